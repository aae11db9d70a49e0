/**
 * Who was put on the blacklist and taken off it, when and why: the last {@link BAN_LOG_MAX} changes, kept over restarts.
 *
 * Row `bl` revision(8) name: a format byte, then the entry as JSON. The revision is the meta store's: a change that was told before a
 * restart and is told again after it stands there once.
 *
 * Invariant: entries are in the order of the changes; when there are more than the bound the oldest go.
 */
import { BAN_LOG_PREFIX, type JournalShape, type KeyValueStoreShape, prefixEnd } from "../../../core/mod.ts"
import type { RuleChange } from "../rules/RuleSet.ts"
import { type BanRule, endOf } from "./ban-rule.ts"

export const BAN_LOG_MAX = 1_000

const FORMAT = 1
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface BanEvent extends BanRule {
  /** Of the change; they rise. */
  readonly id: string
  /** ISO 8601. */
  readonly time: string
  /** "expired" is taken off because its time was over. */
  readonly action: "banned" | "lifted" | "expired"
}

interface Place {
  readonly journal: JournalShape
  readonly store: KeyValueStoreShape
}

interface Kept {
  readonly key: Uint8Array
  readonly event: BanEvent
}

export class BanLog {
  readonly #place: Place
  /** Oldest first. */
  readonly #kept: Array<Kept> = []
  /** Changes up to this one are there. */
  #revision = 0

  constructor(place: Place) {
    this.#place = place
    const { store } = place
    for (const { key, value } of store.range(BAN_LOG_PREFIX, prefixEnd(BAN_LOG_PREFIX), BAN_LOG_MAX * 2)) {
      const event = read(value)
      if (event === undefined) continue
      this.#kept.push({ key, event })
      this.#revision = Number(event.id.split("-")[0])
    }
  }

  /** Newest first. */
  get events(): ReadonlyArray<BanEvent> {
    return this.#kept.map(({ event }) => event).toReversed()
  }

  /** Writes down a change of the blacklist; one that is there already is left out. */
  note({ name, before, after, revision }: RuleChange<BanRule>, nowMs: number): void {
    const rule = after ?? before
    if (rule === undefined || revision < this.#revision) return
    const id = `${revision}-${name}`
    if (revision === this.#revision && this.#kept.some(({ event }) => event.id === id)) return
    this.#revision = revision
    const action = after !== undefined ? "banned" : endOf(rule) <= nowMs ? "expired" : "lifted"
    const event: BanEvent = { id, time: new Date(nowMs).toISOString(), action, ...rule }
    const key = keyOf(revision, name)
    this.#kept.push({ key, event })
    const gone = this.#kept.splice(0, Math.max(0, this.#kept.length - BAN_LOG_MAX))
    const writes = gone.map((old) => ({ key: old.key, value: undefined }))
    this.#place.journal.submit({ writes: [...writes, { key, value: write(event) }] })
  }
}

function keyOf(revision: number, name: string): Uint8Array {
  const tail = encoder.encode(name)
  const key = new Uint8Array(BAN_LOG_PREFIX.length + 8 + tail.length)
  key.set(BAN_LOG_PREFIX)
  new DataView(key.buffer).setBigUint64(BAN_LOG_PREFIX.length, BigInt(revision))
  key.set(tail, BAN_LOG_PREFIX.length + 8)
  return key
}

function write(event: BanEvent): Uint8Array {
  return encoder.encode(`\u0001${JSON.stringify(event)}`)
}

function read(value: Uint8Array): BanEvent | undefined {
  if (value[0] !== FORMAT) return undefined
  try {
    return JSON.parse(decoder.decode(value.subarray(1)))
  } catch {
    return undefined
  }
}
