/**
 * Retained messages of this shard page by page, by topic name: for an administrator, who looks at a million of them a page at a time.
 *
 * Invariants
 *  - Names rise by the bytes of their UTF-8. A name that is there from the first page to the last comes once, one that comes or goes
 *    meanwhile at most once.
 *  - A page costs a bounded number of rows of the store, read off the loop, whatever is looked for; one that found little is short.
 *  - What was cleared is left out from that moment on, and what was set is shown as it is. A name that had no message before is not there
 *    until the journal has committed it; if it loses that, it never was.
 *  - What is expired, and what has yet to move to another shard, is left out.
 */
import type { JournalShape } from "../journal/Journal.ts"
import type { KeyValue, KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { Message } from "./Message.ts"
import type { Retained } from "./Retained.ts"
import { RetainedRecords } from "./RetainedRecords.ts"
import { keyOfName, nameOfKey } from "./retained-values.ts"

/** Rows of one reading, and about how many bytes of values. */
const READ_ROWS = 512
const READ_BYTES = 1_048_576
/** Rows and bytes that a page looks at. */
export const PAGE_ROWS_MAX = 4_096
const PAGE_BYTES_MAX = 16_777_216

/** What listing and removing retained messages need of their shard. */
export interface RetainedOfShard {
  readonly port: LinkPort
  readonly retained: Retained
  readonly store: KeyValueStoreShape
  readonly journal: JournalShape
  readonly ownerOf: (tenant: number, name: string) => number
  readonly clock: ClockShape
}

export interface RetainedQuery {
  readonly tenant: number
  /** The topic name behind which the page begins; "" = from the beginning. */
  readonly after: string
  /** Substring of the topic name. */
  readonly filter: string
  /** Messages, 1 or more. */
  readonly limit: number
}

export interface RetainedPage<Item> {
  readonly items: ReadonlyArray<Item>
  /** The last topic name that was looked at, behind which the next page begins; undefined = this is the last page. */
  readonly next: string | undefined
}

export class RetainedPages {
  readonly #parts: RetainedOfShard
  readonly #records = new RetainedRecords()
  readonly #message = new Message()

  constructor(parts: RetainedOfShard) {
    this.#parts = parts
  }

  /** A page, with what `show` makes of each message, borrowed during the call. Rejects with `StorageError`. */
  async read<Item>(query: RetainedQuery, show: (message: Message) => Item): Promise<RetainedPage<Item>> {
    const { tenant, filter, limit } = query
    const end = keyOfName(tenant + 1, "")
    const items: Array<Item> = []
    let { after } = query
    let rows = 0
    let bytes = 0
    while (rows < PAGE_ROWS_MAX && bytes < PAGE_BYTES_MAX) {
      // One more than what is wanted says whether there is another page.
      const wanted = filter === "" ? Math.min(limit - items.length + 1, READ_ROWS) : READ_ROWS
      const start = keyOfName(tenant, after === "" ? "" : `${after}\0`)
      const found = await this.#parts.store.rangeLater(start, end, wanted, READ_BYTES)
      if (found.length === 0) return { items, next: undefined }
      for (const row of found) {
        const name = nameOfKey(row.key)
        if (name.includes(filter) && this.#take(tenant, name, row)) {
          if (items.length === limit) return { items, next: after }
          items.push(show(this.#message))
        }
        after = name
        bytes += row.value.length
      }
      rows += found.length
    }
    return { items, next: after }
  }

  /** Fills the scratch message in; false where the name has none to show. */
  #take(tenant: number, name: string, { value }: KeyValue): boolean {
    const { retained, clock } = this.#parts
    const newest = retained.newest(tenant, name, value)
    if (newest === undefined || !this.#records.decode(this.#message, tenant, newest)) return false
    const { expiresAtMs } = this.#message
    return (expiresAtMs === 0 || expiresAtMs > clock.nowMs()) && this.#isOwned(tenant, name)
  }

  #isOwned(tenant: number, name: string): boolean {
    const { port, retained, ownerOf } = this.#parts
    // Nothing is astray on one shard, or while no name has moved for a while.
    return port.shards === 1 || !retained.notesCleared || ownerOf(tenant, name) === port.shard
  }
}
