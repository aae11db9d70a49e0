/**
 * Who was put on the blacklist and taken off it, when and why: the last changes, kept over restarts.
 *
 * Row `bl` revision(8) name: a format byte, then the entry as JSON. The revision is the meta store's: a change that was told before a
 * restart and is told again after it stands there once. What was not written down before a crash is found at the start: the list says what
 * stands on it, and what the log has as standing and the list has not was taken off.
 *
 * Invariants
 *  - Entries are in the order of the revisions; of those above the bound the oldest go.
 *  - Clients that were found flapping have a bound of their own: they cannot push out what administrators did.
 */
import { BAN_LOG_PREFIX, type JournalShape, type KeyValueStoreShape, prefixEnd } from "../../../core/mod.ts"
import type { RuleChange } from "../rules/RuleSet.ts"
import { type BanRule, endOf, isFlapping } from "./ban-rule.ts"

/** Changes of entries that administrators made, and as many of those of clients that were found flapping. */
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
  readonly revision: number
}

export class BanLog {
  readonly #place: Place
  /** Oldest first. */
  readonly #kept: Array<Kept> = []
  /** What is told before {@link BanLog.caughtUp}, in whatever order. */
  #early: Array<RuleChange<BanRule>> | undefined = []

  constructor(place: Place) {
    this.#place = place
    const { store } = place
    for (const { key, value } of store.range(BAN_LOG_PREFIX, prefixEnd(BAN_LOG_PREFIX), BAN_LOG_MAX * 4)) {
      const event = read(value)
      if (event !== undefined) this.#kept.push({ key, event, revision: revisionOf(event) })
    }
  }

  /** Newest first. */
  get events(): ReadonlyArray<BanEvent> {
    return this.#kept.map(({ event }) => event).toReversed()
  }

  /** Writes down a change of the blacklist; one that is there already is left out. */
  note(change: RuleChange<BanRule>, nowMs: number): void {
    if (this.#early !== undefined) {
      this.#early.push(change)
      return
    }
    const { name, before, after, revision } = change
    const rule = after ?? before
    if (rule === undefined || this.#has(name, revision)) return
    const action = after !== undefined ? "banned" : endOf(rule) <= nowMs ? "expired" : "lifted"
    this.#add(rule, action, revision, nowMs)
  }

  /** All that stands on the list has been told: what was missed is written down. */
  caughtUp(rules: Iterable<BanRule>, nowMs: number): void {
    const early = (this.#early ?? []).toSorted((one, other) => one.revision - other.revision)
    this.#early = undefined
    const standing = new Map([...rules].map((rule) => [rule.name, rule]))
    // What is older than a log that is full has fallen out of it.
    const isFull = this.#kept.length >= BAN_LOG_MAX
    const from = isFull ? (this.#kept[0]?.revision ?? 0) : 0
    for (const change of early) if (change.revision >= from) this.note(change, nowMs)
    const last = new Map(this.#kept.map(({ event }) => [event.name, event]))
    const revision = this.#kept.at(-1)?.revision ?? 0
    for (const [name, event] of last) {
      if (event.action !== "banned" || standing.has(name)) continue
      this.#add(ruleOf(event), endOf(event) <= nowMs ? "expired" : "lifted", revision, nowMs)
    }
  }

  #has(name: string, revision: number): boolean {
    for (let index = this.#kept.length - 1; index >= 0; index--) {
      const kept = this.#kept[index]
      if (kept === undefined || kept.revision < revision) return false
      if (kept.revision === revision && kept.event.name === name) return true
    }
    return false
  }

  #add(rule: BanRule, action: BanEvent["action"], revision: number, nowMs: number): void {
    const id = `${revision}-${rule.name}`
    const event: BanEvent = { id, time: new Date(nowMs).toISOString(), action, ...rule }
    const key = keyOf(revision, rule.name)
    const later = this.#kept.findIndex((kept) => kept.revision > revision)
    this.#kept.splice(later < 0 ? this.#kept.length : later, 0, { key, event, revision })
    const writes = this.#trim(isFlapping(rule)).map((old) => ({ key: old, value: undefined }))
    this.#place.journal.submit({ writes: [...writes, { key, value: write(event) }] })
  }

  /** Takes the oldest of one kind out where there are too many; their keys. */
  #trim(ofFlapping: boolean): ReadonlyArray<Uint8Array> {
    const own = this.#kept.filter(({ event }) => isFlapping(event) === ofFlapping)
    const gone = own.slice(0, Math.max(0, own.length - BAN_LOG_MAX))
    for (const each of gone) this.#kept.splice(this.#kept.indexOf(each), 1)
    return gone.map(({ key }) => key)
  }
}

function revisionOf({ id }: BanEvent): number {
  return Number(id.split("-")[0])
}

function ruleOf({ name, blacklist_type, resource_name, end_time, desc }: BanEvent): BanRule {
  return { name, blacklist_type, resource_name, end_time, desc }
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
