/**
 * Retained messages of the topic names that this shard owns: key-value state written through the journal, with a resident index
 * of the names for matching filters.
 *
 * A value is one record batch of one record (`RetainedRecords.ts`), the stored form, so that nothing of the message is lost and nothing
 * else has to be understood to read it; its key is made in `retained-values.ts`. A value of no bytes notes that the name was cleared: while
 * names move between shards, what another one has of it is older. Such a note is no retained message, and goes after a while.
 */
import type { JournalShape, TicketWaiter } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { prefixEnd, RETAINED_PREFIX } from "../kv/key-prefixes.ts"
import { type NamedValue, type TopicNameCursor, TopicNameIndex } from "../router/TopicNameIndex.ts"
import { Message } from "./Message.ts"
import { RetainedArrivals } from "./RetainedArrivals.ts"
import { RetainedRecords } from "./RetainedRecords.ts"
import type { RetainedLimits } from "./retained-limits.ts"
import {
  isClearing,
  keyOf,
  keyOfName,
  makeEntry,
  nameOfKey,
  type RetainedEntry,
  type RetainedValue,
  showEntry,
  sizeOf,
  tenantOfKey
} from "./retained-values.ts"

const NO_BYTES = new Uint8Array(0)
const ALWAYS = (): boolean => true
/** Of a clearing that is noted. */
const CLEARED_BYTES = 128
/** Clearings that are noted at once; beyond it they are done and not noted. */
const CLEARED_MAX = 100_000
/** Rows of one reading at the start. */
const PAGE_ROWS = 1_000
const PAGE_BYTES = 4_194_304

/** A change that the journal has not committed: what was set, or a clearing (`entry` undefined). */
interface Pending {
  readonly tenant: number
  readonly name: string
  readonly key: Uint8Array
  readonly ticket: number
  readonly entry: RetainedEntry | undefined
}

function nameOfChange({ tenant, name }: Pending): string {
  return `${tenant}/${name}`
}

/** A name that is noted as cleared. */
export interface Clearing {
  readonly tenant: number
  readonly name: string
  readonly entry: RetainedEntry
}

/** What a record costs beyond the bytes of its message. */
const RECORD_OVERHEAD_BYTES = 256

export class Retained implements TicketWaiter {
  /** Bytes of all keys and values. */
  sizeBytes = 0
  /** Whether a name that is cleared is noted. */
  notesCleared = false
  readonly arrivals = new RetainedArrivals()
  readonly #journal: JournalShape
  readonly #limits: RetainedLimits
  readonly #seed: number
  readonly #store: KeyValueStoreShape
  readonly #names = new Map<number, TopicNameIndex<RetainedValue>>()
  #pending: Array<Pending> = []
  readonly #clearings = new Map<RetainedEntry, Clearing>()
  readonly #records = new RetainedRecords()
  readonly #message = new Message()

  /** `seed` keeps clients from aiming at collisions in the index of names. */
  constructor(journal: JournalShape, store: KeyValueStoreShape, seed: number, limits: RetainedLimits) {
    this.#journal = journal
    this.#limits = limits
    this.#seed = seed
    this.#store = store
  }

  get count(): number {
    let count = 0
    for (const names of this.#names.values()) count += names.size
    return count - this.#clearings.size
  }

  /** Names that are noted as cleared. */
  get clearedCount(): number {
    return this.#clearings.size
  }

  /** Takes up what the store holds, after a restart. */
  async start(): Promise<void> {
    const end = prefixEnd(RETAINED_PREFIX)
    let start: Uint8Array = RETAINED_PREFIX
    for (;;) {
      const page = await this.#store.rangeLater(start, end, PAGE_ROWS, PAGE_BYTES)
      const last = page.at(-1)
      if (last === undefined) return
      for (const { key, value } of page) this.#takeUp(key, value)
      start = new Uint8Array(last.key.length + 1)
      start.set(last.key, 0)
    }
  }

  #takeUp(key: Uint8Array, value: Uint8Array): void {
    const tenant = tenantOfKey(key)
    const isCleared = value.length === 0
    if (!isCleared && !this.#decode(tenant, value)) return
    const name = isCleared ? nameOfKey(key) : this.#message.name
    if (this.#namesOf(tenant).get(name) !== undefined) return
    const size = isCleared ? CLEARED_BYTES : this.#message.sizeBytes + RECORD_OVERHEAD_BYTES
    this.#put(tenant, name, isCleared ? makeEntry(undefined, size, isCleared) : size)
  }

  #put(tenant: number, name: string, value: RetainedValue): void {
    const names = this.#namesOf(tenant)
    const before = names.get(name)
    // In its place: a walk that has not come to it yet must not pass it over.
    if (before !== undefined) this.#discount(before)
    this.sizeBytes += sizeOf(value)
    if (typeof value !== "number" && value.isCleared) this.#clearings.set(value, { tenant, name, entry: value })
    names.set(name, value)
  }

  #discount(value: RetainedValue): void {
    this.sizeBytes -= sizeOf(value)
    if (typeof value !== "number") this.#clearings.delete(value)
  }

  #namesOf(tenant: number): TopicNameIndex<RetainedValue> {
    const known = this.#names.get(tenant)
    if (known !== undefined) return known
    const made = new TopicNameIndex<RetainedValue>(this.#seed)
    this.#names.set(tenant, made)
    return made
  }

  /** Whether a bound forbids this retained message. Clearing one, and one that is no larger than the one before, is always allowed. */
  refuses(message: Message): boolean {
    if (message.payloadStart === message.payloadEnd) return false
    const before = this.#names.get(message.tenant)?.get(message.name)
    const sizeBefore = before === undefined || isClearing(before) ? 0 : sizeOf(before)
    const size = message.sizeBytes + RECORD_OVERHEAD_BYTES
    if (size <= sizeBefore) return false
    const isMore = sizeBefore === 0 && this.count >= this.#limits.messagesMax
    return isMore || this.sizeBytes + size - sizeBefore > this.#limits.bytesMax
  }

  /** Sets or, with an empty payload, clears the retained message of `message`'s name; the ticket of the journal to wait for. */
  setUnsafe(message: Message): number {
    const { tenant, name } = message
    const key = keyOf(tenant, message.topic, message.topicStart, message.topicEnd)
    if (message.payloadStart === message.payloadEnd) return this.#clear(tenant, name, key)
    const size = message.sizeBytes + RECORD_OVERHEAD_BYTES
    const entry = makeEntry(this.#records.encode(message), size, false)
    this.#put(tenant, name, entry)
    return this.#submit(tenant, name, key, entry)
  }

  /**
   * Clears the retained message of a name, as a message without a payload does, of which nobody hears; the ticket of the journal to wait
   * for. What that loses was never cleared.
   */
  clear(tenant: number, name: string): number {
    return this.#clear(tenant, name, keyOfName(tenant, name))
  }

  /** A name has no retained message any more; noted where that matters. */
  #clear(tenant: number, name: string, key: Uint8Array): number {
    if (!this.notesCleared || this.#clearings.size >= CLEARED_MAX) {
      this.#drop(this.#names.get(tenant), name)
      return this.#submit(tenant, name, key, undefined)
    }
    const entry = makeEntry(NO_BYTES, CLEARED_BYTES, true)
    this.#put(tenant, name, entry)
    return this.#submit(tenant, name, key, entry)
  }

  #submit(tenant: number, name: string, key: Uint8Array, entry: RetainedEntry | undefined): number {
    const ticket = this.#journal.submit({ writes: [{ key, value: entry?.unapplied }] })
    if (this.#pending.length === 0) this.#journal.tickets.wait(this)
    this.#pending.push({ tenant, name, key, ticket, entry })
    return ticket
  }

  /** Values whose tickets are committed can be read from the store now; others may have been submitted meanwhile. */
  ticketsCommitted(): void {
    const { tickets } = this.#journal
    const left = this.#pending.findIndex(({ ticket }) => ticket > tickets.committed)
    const done = this.#pending.splice(0, left < 0 ? this.#pending.length : left)
    let later: ReadonlySet<string> | undefined
    for (const change of done) {
      if (tickets.failureOf(change.ticket) < 0) {
        later ??= new Set(this.#pending.map(nameOfChange))
        // What comes behind it says what becomes of the name.
        if (!later.has(nameOfChange(change))) this.#undo(change)
      } else if (change.entry !== undefined) this.#settle(change, change.entry)
    }
    if (this.#pending.length > 0) tickets.wait(this)
  }

  #settle({ tenant, name }: Pending, entry: RetainedEntry): void {
    entry.unapplied = undefined
    if (entry.isCleared || entry.isShown) return
    const names = this.#namesOf(tenant)
    if (names.get(name) === entry) names.set(name, entry.size)
  }

  /** The journal has lost a change: the name has what the store says, unless it was changed again. */
  #undo({ tenant, name, key, entry }: Pending): void {
    const names = this.#namesOf(tenant)
    if (names.get(name) !== entry) return
    this.#drop(names, name)
    const value = this.#store.get(key)
    if (value !== undefined) this.#takeUp(key, value)
  }

  /** Visits what matches `filter`; expired messages are left out and removed. */
  match(tenant: number, filter: string, nowMs: number, visit: (message: Message) => void): void {
    const walk = this.walk(tenant, filter)
    while (!walk.isDone) this.visitSome(tenant, walk, Number.POSITIVE_INFINITY, nowMs, visit)
  }

  /** A walk over what matches `filter`, to be taken in paces by {@link Retained.visitSome}; close it where it is left before its end. */
  walk(tenant: number, filter: string): TopicNameCursor<RetainedValue> {
    return this.#namesOf(tenant).cursor(filter)
  }

  /**
   * Goes on with `walk` for at most `steps` of it, a match or some names that do not match each, and while `goesOn` says so; expired
   * messages as in `match`.
   */
  visitSome(
    tenant: number,
    walk: TopicNameCursor<RetainedValue>,
    steps: number,
    nowMs: number,
    visit: (message: Message) => void,
    goesOn: () => boolean = ALWAYS
  ): void {
    const found: Array<NamedValue<RetainedValue>> = []
    const expired: Array<string> = []
    for (let left = steps; left > 0 && !walk.isDone && goesOn(); left--) {
      walk.next(1, found)
      const match = found.pop()
      if (match === undefined || !this.#read(tenant, match.name, match.value)) continue
      if (this.#hasExpired(nowMs)) expired.push(match.name)
      else visit(this.#message)
    }
    for (const name of expired) {
      // A visitor may have set a newer one meanwhile.
      const value = this.#names.get(tenant)?.get(name)
      if (value === undefined || !this.#read(tenant, name, value) || !this.#hasExpired(nowMs)) continue
      this.#clear(tenant, name, keyOfName(tenant, name))
    }
  }

  #hasExpired(nowMs: number): boolean {
    const { expiresAtMs } = this.#message
    return expiresAtMs !== 0 && expiresAtMs <= nowMs
  }

  /** The names with a retained message that this shard does not own any more: this one, or (undefined) all. */
  misplaced(tenant: number, name: string | undefined, isOwner: (name: string) => boolean): ReadonlyArray<string> {
    const names = this.#names.get(tenant)
    if (names === undefined) return []
    if (name !== undefined) {
      const value = names.get(name)
      if (value === undefined || isClearing(value) || isOwner(name)) return []
      showEntry(names, name, value).isStray = true
      return [name]
    }
    const found: Array<string> = []
    names.visitAll((candidate, value) => {
      if (isClearing(value) || isOwner(candidate)) return true
      showEntry(names, candidate, value).isStray = true
      found.push(candidate)
      return true
    })
    return found
  }

  /** The retained message (borrowed until the next call) of a name, and the entry that it is. */
  find(tenant: number, name: string): { readonly message: Message; readonly entry: RetainedEntry } | undefined {
    const names = this.#names.get(tenant)
    const value = names?.get(name)
    if (names === undefined || value === undefined || !this.#read(tenant, name, value)) return undefined
    return { message: this.#message, entry: showEntry(names, name, value) }
  }

  /** Whether a name has a retained message, expired or not, committed or not. */
  has(tenant: number, name: string): boolean {
    const value = this.#names.get(tenant)?.get(name)
    return value !== undefined && !isClearing(value)
  }

  /** The value of a name that had `stored` in the store: what was set since comes before it; undefined where it was cleared. */
  newest(tenant: number, name: string, stored: Uint8Array): Uint8Array | undefined {
    const value = this.#names.get(tenant)?.get(name)
    if (value === undefined || isClearing(value)) return undefined
    return (typeof value === "number" ? undefined : value.unapplied) ?? stored
  }

  /** Whether a name is noted as cleared. */
  isCleared(tenant: number, name: string): boolean {
    const value = this.#names.get(tenant)?.get(name)
    return value !== undefined && isClearing(value)
  }

  /**
   * Sets a message that another shard has where nothing newer is known of its name here; `done` is told whether what is known is for
   * good: this message, or what came to the name before or since.
   */
  setIfNewer(message: Message, done: (isKept: boolean) => void): void {
    const { tickets, refusal } = this.#journal
    if (refusal !== 0) {
      done(false)
      return
    }
    const { tenant, name } = message
    const found = this.#names.get(tenant)?.get(name)
    const known = found === undefined || this.#isOlder(tenant, name, found, message.timestamp) ? undefined : found
    if (known !== undefined && (typeof known === "number" || known.unapplied === undefined)) {
      done(true)
      return
    }
    const ticket = known === undefined ? this.setUnsafe(message) : this.#ticketOf(known)
    tickets.whenCommitted(ticket, () => done(tickets.failureOf(ticket) === 0))
  }

  /** Whether what is known of a name is older than a message of this time that another shard has. */
  #isOlder(tenant: number, name: string, value: RetainedValue, timestamp: number): boolean {
    if (isClearing(value)) return false
    if (typeof value !== "number" && value.isStray) return true
    return !this.#read(tenant, name, value) || this.#message.timestamp < timestamp
  }

  #ticketOf(entry: RetainedEntry): number {
    return this.#pending.find((pending) => pending.entry === entry)?.ticket ?? this.#journal.tickets.committed
  }

  /** Removes what is known of a name where it is this very entry still; `done` is told whether it is gone for good. */
  forget(tenant: number, name: string, entry: RetainedEntry, done: (isGone: boolean) => void): void {
    const names = this.#names.get(tenant)
    if (names === undefined || names.get(name) !== entry) {
      done(true)
      return
    }
    this.#drop(names, name)
    const ticket = this.#submit(tenant, name, keyOfName(tenant, name), undefined)
    const { tickets } = this.#journal
    tickets.whenCommitted(ticket, () => done(tickets.failureOf(ticket) === 0))
  }

  /** What is noted as cleared now, in the order in which it was noted; to be forgotten later where it is still so. */
  clearings(): ReadonlyArray<Clearing> {
    return [...this.#clearings.values()]
  }

  #drop(names: TopicNameIndex<RetainedValue> | undefined, name: string): void {
    const value = names?.get(name)
    if (value === undefined) return
    this.#discount(value)
    names?.delete(name)
  }

  /** Puts the message of a name into the scratch message; false where there is none. */
  #read(tenant: number, name: string, value: RetainedValue): boolean {
    if (isClearing(value)) return false
    const unapplied = typeof value === "number" ? undefined : value.unapplied
    const bytes = unapplied ?? this.#store.get(keyOfName(tenant, name))
    return bytes !== undefined && bytes.length > 0 && this.#decode(tenant, bytes)
  }

  #decode(tenant: number, value: Uint8Array): boolean {
    return this.#records.decode(this.#message, tenant, value)
  }
}
