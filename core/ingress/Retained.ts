/**
 * Retained messages of the topic names that this shard owns: key-value state written through the journal, with a resident index
 * of the names for matching filters.
 *
 * A value is one record batch of one record, the stored form, so that nothing of the message is lost and nothing else has to be
 * understood to read it. Key: "retained", tenant (4 bytes), topic name. A value of no bytes notes that the name was cleared: while
 * names move between shards, what another one has of it is older. Such a note is no retained message, and goes after a while.
 */
import { assert } from "../assert.ts"
import type { JournalShape, TicketWaiter } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { prefixEnd, RETAINED_PREFIX } from "../kv/key-prefixes.ts"
import { deliveryHeaders, deliveryHeadersCount } from "../log/delivery-headers.ts"
import { RECORD_BYTES_MAX } from "../log/PartitionLog.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import { type NamedValue, type TopicNameCursor, TopicNameIndex } from "../router/TopicNameIndex.ts"
import { Message } from "./Message.ts"
import { fillFromRecord } from "./record-message.ts"
import type { RetainedLimits } from "./retained-limits.ts"

const PREFIX = RETAINED_PREFIX
const NO_BYTES = new Uint8Array(0)
const ALWAYS = (): boolean => true
/** Of a clearing that is noted. */
const CLEARED_BYTES = 128
/** Clearings that are noted at once; beyond it they are done and not noted. */
const CLEARED_MAX = 100_000
const nameDecoder = new TextDecoder()
/** Rows of one reading at the start. */
const PAGE_ROWS = 1_000
const PAGE_BYTES = 4_194_304

function keyOf(tenant: number, name: Uint8Array, start: number, end: number): Uint8Array {
  const key = new Uint8Array(PREFIX.length + 4 + end - start)
  key.set(PREFIX, 0)
  // Byte by byte: a look at `key.buffer` would make an ArrayBuffer of each key, which lives as long as the message does.
  for (let at = 0; at < 4; at++) key[PREFIX.length + at] = tenant >>> (24 - 8 * at)
  key.set(name.subarray(start, end), PREFIX.length + 4)
  return key
}

/** A name with a retained message, or one that is noted as cleared: its key, and its value while the journal has not applied it yet. */
export interface RetainedEntry {
  readonly key: Uint8Array
  unapplied: Uint8Array | undefined
  /** Bytes of key and value. */
  readonly size: number
  readonly isCleared: boolean
  /** It was found to be another shard's: what comes from there is not to give way to it. */
  isStray: boolean
}

/** A change that the journal has not committed: what was set, or a clearing (`entry` undefined). */
interface Pending {
  readonly tenant: number
  readonly name: string
  readonly key: Uint8Array
  readonly ticket: number
  readonly entry: RetainedEntry | undefined
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
  readonly #journal: JournalShape
  readonly #limits: RetainedLimits
  readonly #seed: number
  readonly #store: KeyValueStoreShape
  readonly #names = new Map<number, TopicNameIndex<RetainedEntry>>()
  #pending: Array<Pending> = []
  readonly #clearings = new Map<RetainedEntry, Clearing>()
  readonly #builder = new RecordBatchBuilder(RECORD_BYTES_MAX)
  readonly #cursor = new RecordCursor()
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
    const tenant = new DataView(key.buffer, key.byteOffset).getUint32(PREFIX.length)
    const isCleared = value.length === 0
    if (!isCleared && !this.#decode(tenant, value)) return
    const name = isCleared ? nameDecoder.decode(key.subarray(PREFIX.length + 4)) : this.#message.name
    if (this.#namesOf(tenant).get(name) !== undefined) return
    const size = isCleared ? CLEARED_BYTES : this.#message.sizeBytes + RECORD_OVERHEAD_BYTES
    // A key of its own: the page's bytes would be held whole by it.
    this.#put(tenant, name, { key: key.slice(), unapplied: undefined, size, isCleared, isStray: false })
  }

  #put(tenant: number, name: string, entry: RetainedEntry): void {
    const names = this.#namesOf(tenant)
    const before = names.get(name)
    if (before !== undefined) {
      // In its place: a walk that has not come to it yet must not pass it over.
      this.sizeBytes -= before.size
      this.#clearings.delete(before)
    }
    this.sizeBytes += entry.size
    if (entry.isCleared) this.#clearings.set(entry, { tenant, name, entry })
    names.set(name, entry)
  }

  #namesOf(tenant: number): TopicNameIndex<RetainedEntry> {
    const known = this.#names.get(tenant)
    if (known !== undefined) return known
    const made = new TopicNameIndex<RetainedEntry>(this.#seed)
    this.#names.set(tenant, made)
    return made
  }

  /** Whether a bound forbids this retained message. Clearing one, and one that is no larger than the one before, is always allowed. */
  refuses(message: Message): boolean {
    if (message.payloadStart === message.payloadEnd) return false
    const entry = this.#names.get(message.tenant)?.get(message.name)
    const before = entry?.isCleared === true ? undefined : entry
    const size = message.sizeBytes + RECORD_OVERHEAD_BYTES
    if (before !== undefined && size <= before.size) return false
    const isMore = before === undefined && this.count >= this.#limits.messagesMax
    return isMore || this.sizeBytes + size - (before?.size ?? 0) > this.#limits.bytesMax
  }

  /** Sets or, with an empty payload, clears the retained message of `message`'s name; the ticket of the journal to wait for. */
  setUnsafe(message: Message): number {
    const { tenant, name } = message
    const key = keyOf(tenant, message.topic, message.topicStart, message.topicEnd)
    if (message.payloadStart === message.payloadEnd) return this.#clear(tenant, name, key)
    const size = message.sizeBytes + RECORD_OVERHEAD_BYTES
    const entry = { key, unapplied: this.#encode(message), size, isCleared: false, isStray: false }
    this.#put(tenant, name, entry)
    return this.#submit(tenant, name, key, entry)
  }

  /** A name has no retained message any more; noted where that matters. */
  #clear(tenant: number, name: string, key: Uint8Array): number {
    if (!this.notesCleared || this.#clearings.size >= CLEARED_MAX) {
      this.#drop(this.#names.get(tenant), name)
      return this.#submit(tenant, name, key, undefined)
    }
    const entry = { key, unapplied: NO_BYTES, size: CLEARED_BYTES, isCleared: true, isStray: false }
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
    for (const change of done) {
      if (tickets.failureOf(change.ticket) < 0) this.#undo(change)
      else if (change.entry !== undefined) change.entry.unapplied = undefined
    }
    if (this.#pending.length > 0) tickets.wait(this)
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
  walk(tenant: number, filter: string): TopicNameCursor<RetainedEntry> {
    return this.#namesOf(tenant).cursor(filter)
  }

  /**
   * Goes on with `walk` for at most `steps` of it, a match or some names that do not match each, and while `goesOn` says so; expired
   * messages as in `match`.
   */
  visitSome(
    tenant: number,
    walk: TopicNameCursor<RetainedEntry>,
    steps: number,
    nowMs: number,
    visit: (message: Message) => void,
    goesOn: () => boolean = ALWAYS
  ): void {
    const names = this.#namesOf(tenant)
    const found: Array<NamedValue<RetainedEntry>> = []
    const expired: Array<NamedValue<RetainedEntry>> = []
    for (let left = steps; left > 0 && !walk.isDone && goesOn(); left--) {
      walk.next(1, found)
      const match = found.pop()
      if (match === undefined || !this.#read(tenant, match.value)) continue
      const message = this.#message
      if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) expired.push(match)
      else visit(message)
    }
    for (const { name, value } of expired) {
      // A visitor may have set a newer one meanwhile.
      if (names.get(name) === value) this.#clear(tenant, name, value.key)
    }
  }

  /** The names with a retained message that this shard does not own any more: this one, or (undefined) all. */
  misplaced(tenant: number, name: string | undefined, isOwner: (name: string) => boolean): ReadonlyArray<string> {
    const names = this.#names.get(tenant)
    if (names === undefined) return []
    if (name !== undefined) {
      const entry = names.get(name)
      if (entry === undefined || entry.isCleared || isOwner(name)) return []
      entry.isStray = true
      return [name]
    }
    const found: Array<string> = []
    names.visitAll((candidate, entry) => {
      if (entry.isCleared || isOwner(candidate)) return true
      entry.isStray = true
      found.push(candidate)
      return true
    })
    return found
  }

  /** The retained message (borrowed until the next call) of a name, and the entry that it is. */
  find(tenant: number, name: string): { readonly message: Message; readonly entry: RetainedEntry } | undefined {
    const entry = this.#names.get(tenant)?.get(name)
    return entry !== undefined && this.#read(tenant, entry) ? { message: this.#message, entry } : undefined
  }

  /** Whether a name is noted as cleared. */
  isCleared(tenant: number, name: string): boolean {
    return this.#names.get(tenant)?.get(name)?.isCleared === true
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
    const known = found === undefined || this.#isOlder(tenant, found, message.timestamp) ? undefined : found
    if (known !== undefined && known.unapplied === undefined) {
      done(true)
      return
    }
    const ticket = known === undefined ? this.setUnsafe(message) : this.#ticketOf(known)
    tickets.whenCommitted(ticket, () => done(tickets.failureOf(ticket) === 0))
  }

  /** Whether what is known of a name is older than a message of this time that another shard has. */
  #isOlder(tenant: number, entry: RetainedEntry, timestamp: number): boolean {
    if (entry.isCleared) return false
    return entry.isStray || (this.#read(tenant, entry) && this.#message.timestamp < timestamp)
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
    const ticket = this.#submit(tenant, name, entry.key, undefined)
    const { tickets } = this.#journal
    tickets.whenCommitted(ticket, () => done(tickets.failureOf(ticket) === 0))
  }

  /** What is noted as cleared now, in the order in which it was noted; to be forgotten later where it is still so. */
  clearings(): ReadonlyArray<Clearing> {
    return [...this.#clearings.values()]
  }

  #drop(names: TopicNameIndex<RetainedEntry> | undefined, name: string): void {
    const entry = names?.get(name)
    if (entry === undefined) return
    this.sizeBytes -= entry.size
    this.#clearings.delete(entry)
    names?.delete(name)
  }

  #encode(message: Message): Uint8Array {
    const builder = this.#builder
    builder.reset()
    const extra = deliveryHeaders(message.qos, true)
    const refusal = builder.append(
      message.timestamp,
      message.topic,
      message.topicStart,
      message.topicEnd,
      message.payload,
      message.payloadStart,
      message.payloadEnd,
      message.headers,
      message.headersStart,
      message.headersEnd,
      message.headerCount,
      extra,
      0,
      extra.length,
      deliveryHeadersCount(message.qos, true)
    )
    assert(refusal === 0, "a message that came in a packet fits in a batch")
    return builder.bytes.slice(0, builder.finish())
  }

  /** Puts the message of an entry into the scratch message; false where there is none. */
  #read(tenant: number, entry: RetainedEntry): boolean {
    const value = entry.unapplied ?? this.#store.get(entry.key)
    return value !== undefined && value.length > 0 && this.#decode(tenant, value)
  }

  #decode(tenant: number, value: Uint8Array): boolean {
    const cursor = this.#cursor
    cursor.reset(value, 0, value.length)
    if (!cursor.next()) return false
    fillFromRecord(this.#message, cursor, true)
    this.#message.tenant = tenant
    this.#message.begin()
    return true
  }
}
