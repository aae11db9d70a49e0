/**
 * Tokens of messages that must be stored once though their sender may hand them over twice: QoS 2 messages and wills that come from
 * another shard. A token stands in the journal entry of what it came with; its sender gives it back when it will not send it again.
 *
 * Key: the prefix of tokens, then the token's text, which begins with its sender's shard and a slash.
 */
import type { JournalShape, TicketWaiter } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { prefixEnd, TOKEN_PREFIX } from "../kv/key-prefixes.ts"

const NO_BYTES = new Uint8Array(0)
const PAGE_BYTES = 1_048_576
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class Tokens implements TicketWaiter {
  readonly #journal: JournalShape
  readonly #store: KeyValueStoreShape
  /** Taken and not committed yet, with the ticket. */
  readonly #uncommitted = new Map<string, number>()

  constructor(journal: JournalShape, store: KeyValueStoreShape) {
    this.#journal = journal
    this.#store = store
  }

  /** The ticket of a token that was taken, 0 where that is committed; undefined where it was not taken. */
  ticketOf(token: string): number | undefined {
    const ticket = this.#uncommitted.get(token)
    if (ticket !== undefined) return ticket
    return this.#store.get(keyOf(token)) === undefined ? undefined : 0
  }

  /** Takes a token in this turn's entry; returns the journal's ticket. */
  take(token: string): number {
    const ticket = this.#journal.submit({ writes: [{ key: keyOf(token), value: NO_BYTES }] })
    if (this.#uncommitted.size === 0) this.#journal.tickets.wait(this)
    this.#uncommitted.set(token, ticket)
    return ticket
  }

  /** Its sender will not send it again; returns the journal's ticket. */
  giveBack(token: string): number {
    this.#uncommitted.delete(token)
    return this.#journal.submit({ writes: [{ key: keyOf(token), value: undefined }] })
  }

  /** As {@link Tokens.giveBack}; `done` is called when it is committed, or with a refusal: then the token is still taken. */
  giveBackThen(token: string, done: (outcome: number) => void): void {
    const ticket = this.giveBack(token)
    const { tickets } = this.#journal
    tickets.whenCommitted(ticket, () => done(tickets.takeOutcome(ticket)))
  }

  /** Committed ones that begin with `prefix`, behind `after` in the order of their bytes: so many, or fewer where there are no more. */
  async page(prefix: string, after: string, max: number): Promise<ReadonlyArray<string>> {
    const end = prefixEnd(keyOf(prefix))
    // A zero byte behind the last one: the next key there can be.
    let start = after === "" ? keyOf(prefix) : keyOf(`${after}\0`)
    const found: Array<string> = []
    while (found.length < max) {
      const rows = await this.#store.rangeLater(start, end, max - found.length, PAGE_BYTES)
      const last = rows.at(-1)
      if (last === undefined) break
      for (const { key } of rows) found.push(decoder.decode(key.subarray(TOKEN_PREFIX.length)))
      start = Uint8Array.of(...last.key, 0)
    }
    return found
  }

  ticketsCommitted(): void {
    const { tickets } = this.#journal
    for (const [token, ticket] of this.#uncommitted) {
      if (ticket > tickets.committed) break
      this.#uncommitted.delete(token)
    }
    if (this.#uncommitted.size > 0) tickets.wait(this)
  }
}

function keyOf(token: string): Uint8Array {
  const name = encoder.encode(token)
  const key = new Uint8Array(TOKEN_PREFIX.length + name.length)
  key.set(TOKEN_PREFIX, 0)
  key.set(name, TOKEN_PREFIX.length)
  return key
}
