/**
 * What a queue log does for itself: offsets reserved ahead, rows by name for what still waits after a while, rows that nobody needs or
 * a bound forbids taken away. Each is an entry of the journal that also says what the log knows of itself afterwards.
 *
 * Invariants
 *  - One change is under way at a time; what it changes in memory is changed when it is committed, so that one that fails has not been.
 *  - Everything that is not in memory has a row by name: coldEnd <= indexedTo.
 *  - A message that goes before its time by name has come never has such a row.
 */
import type { JournalShape } from "../journal/Journal.ts"
import type { KeyValueStoreShape, KeyValueWrite } from "../kv/KeyValueStore.ts"
import { prefixEnd, QUEUE_MESSAGE_PREFIX, QUEUE_NAME_PREFIX } from "../kv/key-prefixes.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { ColdQueue } from "./ColdQueue.ts"
import type { QueueLogCounts, QueueLogOptions } from "./QueueLog.ts"
import {
  decodeRow,
  decodeState,
  encodeNameValue,
  encodeState,
  messageKey,
  nameKey,
  offsetOfKey,
  type QueueRow,
  type QueueState,
  STATE_KEY
} from "./queue-rows.ts"
import { QueueEntry, type ResidentQueue } from "./ResidentQueue.ts"

/** Offsets that are reserved at once: as many are skipped by a restart at most. */
export const RESERVED_OFFSETS = 1_048_576
/** Messages that one change names or takes away. */
const CHANGE_MESSAGES_MAX = 4_096
/** Rows read at once while the log is opened, and their bytes. */
const OPEN_ROWS = 1_024
const OPEN_BYTES = 1_048_576
/** Share of the bound of bytes at which the oldest messages go. */
const HIGH_SHARE = 7 / 8

const MESSAGES_END = prefixEnd(QUEUE_MESSAGE_PREFIX)
const NAMES_END = prefixEnd(QUEUE_NAME_PREFIX)
const FRESH: QueueState = { reserved: 0, indexedTo: 0, indexedBytes: 0, indexedMessages: 0, lostTo: 0 }

export interface QueueUpkeepParts {
  readonly number: number
  readonly journal: JournalShape
  readonly store: KeyValueStoreShape
  readonly clock: ClockShape
  readonly options: QueueLogOptions
  readonly resident: ResidentQueue
  readonly cold: ColdQueue
  readonly counts: QueueLogCounts
  /** Has {@link QueueUpkeep.settle} called when tickets have ended. */
  readonly wait: () => void
}

/** A change that waits for its ticket. */
interface Change {
  readonly ticket: number
  readonly state: QueueState
  readonly committed: () => void
  readonly failed: () => void
}

/** What a change takes away from the beginning of the log. */
interface Cut {
  readonly stop: number
  readonly bytes: number
  readonly messages: number
  /** Of them, those that somebody may have wanted. */
  readonly dropped: number
}

export class QueueUpkeep {
  startOffset = 0
  /** Messages below it lie in the store only. */
  coldEnd = 0
  /** Sum of the sizes of all messages. */
  bytes = 0
  readonly #parts: QueueUpkeepParts
  #state: QueueState = FRESH
  #change: Change | undefined
  /** A change is under way, or what it needs is being read. */
  #isBusy = false
  #next = 0
  #needed = 0
  #reserved = 0
  #isReserving = false
  /** Between the end of {@link QueueUpkeep.open} and {@link QueueUpkeep.close}: before, it is not known which offsets were given. */
  #isOpen = false
  /** When the first message was appended, where it is not in memory; -1 = not known. */
  #oldestColdMs = -1

  constructor(parts: QueueUpkeepParts) {
    this.#parts = parts
  }

  /** One past the last message that a bound took away while somebody may have wanted it; 0 = there was none. */
  get lostTo(): number {
    return this.#state.lostTo
  }

  /** No more messages than these are there: what is in memory and has a row by name stands twice. */
  get messages(): number {
    return this.#state.indexedMessages + this.#parts.resident.length
  }

  /** Offsets below it may be given. */
  get reserved(): number {
    return this.#reserved
  }

  /** A change waits for its ticket. */
  get isWaiting(): boolean {
    return this.#change !== undefined
  }

  /** Reads what is there; the offset of the next message. Rejects with `StorageError`, or `UnknownRow`. */
  async open(): Promise<number> {
    const { number, store, resident } = this.#parts
    const value = store.get(STATE_KEY)
    if (value !== undefined) this.#state = decodeState(value)
    const { indexedTo, indexedBytes, reserved } = this.#state
    const [first] = await store.rangeLater(messageKey(0), MESSAGES_END, 1, 1)
    for (let from = indexedTo; ; ) {
      const rows = await store.rangeLater(messageKey(from), MESSAGES_END, OPEN_ROWS, OPEN_BYTES)
      if (rows.length === 0) break
      for (const row of rows) {
        const offset = offsetOfKey(row.key)
        const { message, size, appendedAtMs } = decodeRow(number, offset, row.value)
        resident.push(new QueueEntry(message, offset, size, appendedAtMs, 0))
        from = offset + 1
      }
    }
    const next = Math.max(reserved, indexedTo, (resident.last?.offset ?? -1) + 1)
    this.#next = next
    this.startOffset = first === undefined ? next : offsetOfKey(first.key)
    this.coldEnd = Math.max(this.startOffset, indexedTo)
    this.bytes = indexedBytes + resident.bytes
    this.#isOpen = true
    return next
  }

  /** Reserves offsets from `next` on; settled when that has ended, however. */
  reserve(next: number): Promise<void> {
    const { journal, counts } = this.#parts
    const { promise, resolve } = Promise.withResolvers<void>()
    const reserved = next + RESERVED_OFFSETS
    const index = journal.nextIndex
    const failed = (): void => {
      counts.failures += 1
      this.#isReserving = false
      resolve()
    }
    this.#isReserving = true
    const synced = (): void => {
      this.#reserved = reserved
      this.#isReserving = false
      resolve()
    }
    // Sessions of another shard may keep an offset that this one's power failure forgets: what is committed is not enough here.
    const committed = (): void => void journal.whenSynced(index).then(synced, failed)
    this.#submit([], { ...this.#state, reserved }, committed, failed)
    return promise
  }

  /** Offsets below `next` have been given. */
  used(next: number): void {
    this.#next = next
    if (this.#isShort() && !this.#isBusy) this.step()
  }

  /** Nobody needs what is below `offset`, which is committed. */
  trimTo(offset: number): void {
    this.#needed = Math.max(this.#needed, offset)
    this.step()
  }

  /** Begins what is due, if nothing is under way. */
  step(): void {
    const { journal, clock, resident, options } = this.#parts
    if (this.#isBusy || !this.#isOpen || journal.refusal !== 0) return
    if (this.#isShort()) {
      void this.reserve(this.#next)
      return
    }
    this.#evict()
    const nowMs = clock.nowMs()
    // Trimming goes first, so that what goes is not named; but not while memory fills.
    if (resident.bytes > 2 * options.residentBytesMax && this.#index(nowMs)) return
    if (!this.#trim(nowMs)) this.#index(nowMs)
  }

  /** Begins nothing more; what is under way may end. */
  close(): void {
    this.#isOpen = false
  }

  /** Tickets have ended. */
  settle(): void {
    const { journal, resident, options } = this.#parts
    const change = this.#change
    if (change !== undefined && change.ticket <= journal.tickets.committed) {
      this.#change = undefined
      this.#isBusy = false
      if (journal.tickets.takeOutcome(change.ticket) === 0) {
        this.#state = change.state
        change.committed()
        this.#evict()
        this.step()
      } else change.failed()
    }
    if (resident.bytes > options.residentBytesMax) this.step()
  }

  #isShort(): boolean {
    return !this.#isReserving && this.#reserved - this.#next < RESERVED_OFFSETS / 2
  }

  #submit(
    writes: ReadonlyArray<KeyValueWrite>,
    state: QueueState,
    committed: () => void,
    failed: () => void = () => void (this.#parts.counts.failures += 1)
  ): void {
    const { journal } = this.#parts
    this.#isBusy = true
    const ticket = journal.submit({ writes: [...writes, { key: STATE_KEY, value: encodeState(state) }] })
    this.#change = { ticket, state, committed, failed }
    if (ticket <= journal.tickets.committed) this.settle()
    else this.#parts.wait()
  }

  /** Writes rows by name for what has waited long enough, or has no room in memory; false where there is none. */
  #index(nowMs: number): boolean {
    const { resident, options, counts } = this.#parts
    const state = this.#state
    const over = resident.bytes - options.residentBytesMax
    const writes: Array<KeyValueWrite> = []
    let bytes = 0
    let indexedTo = state.indexedTo
    for (const { message, offset, size, appendedAtMs } of resident.committedFrom(indexedTo, CHANGE_MESSAGES_MAX)) {
      if (appendedAtMs > nowMs - options.indexAfterMs && bytes >= over) break
      writes.push({ key: keyByName(message, offset), value: encodeNameValue(size) })
      bytes += size
      indexedTo = offset + 1
    }
    if (writes.length === 0) return false
    const indexedBytes = state.indexedBytes + bytes
    const indexedMessages = state.indexedMessages + writes.length
    this.#submit(writes, { ...state, indexedTo, indexedBytes, indexedMessages }, () => {
      counts.named += writes.length
    })
    return true
  }

  /** Lets go of what is in memory beyond the bound and has a row by name. */
  #evict(): void {
    const { resident, options } = this.#parts
    for (;;) {
      const { first } = resident
      if (first === undefined || resident.bytes <= options.residentBytesMax || first.offset >= this.#state.indexedTo)
        return
      if (this.startOffset >= this.coldEnd) this.#oldestColdMs = first.appendedAtMs
      this.coldEnd = first.offset + 1
      resident.shift()
    }
  }

  /** Begins to take away what nobody needs or a bound forbids; false where there is nothing. */
  #trim(nowMs: number): boolean {
    const { resident, options } = this.#parts
    const isCold = this.startOffset < this.coldEnd
    const oldestMs = isCold ? this.#oldestColdMs : (resident.first?.appendedAtMs ?? Number.POSITIVE_INFINITY)
    const isDue =
      this.#needed > this.startOffset ||
      this.bytes > options.bytesMax * HIGH_SHARE ||
      oldestMs <= nowMs - options.ageMsMax
    if (!isDue) return false
    if (this.#needed > this.startOffset && this.#needed >= this.#state.indexedTo) return this.#cutAllNamed()
    if (!isCold) return this.#cutRows(resident.committedFrom(this.startOffset, CHANGE_MESSAGES_MAX), nowMs)
    this.#isBusy = true
    this.#parts.cold.rowsFrom(this.startOffset, this.coldEnd).then(
      ({ rows, next }) => {
        if (!this.#isOpen) return
        this.#isBusy = false
        if (rows.length === 0) this.startOffset = next
        else if (this.#cutRows(rows, nowMs)) return
        // What is read and not cut says how old the oldest is: what else is due is found in a later step.
        if (rows.length === 0 || this.#needed > this.startOffset) this.step()
        else this.#index(nowMs)
      },
      () => {
        this.#isBusy = false
        this.#parts.counts.failures += 1
      }
    )
    return true
  }

  /** Takes away everything that has a row by name, and what else is not needed: no row has to be read for that. */
  #cutAllNamed(): boolean {
    const { resident } = this.#parts
    const { indexedTo, indexedBytes, indexedMessages } = this.#state
    const stop = this.#needed
    let bytes = indexedBytes
    let messages = indexedMessages
    for (const entry of resident.committedFrom(indexedTo, Number.POSITIVE_INFINITY)) {
      if (entry.offset >= stop) break
      bytes += entry.size
      messages += 1
    }
    if (messages === 0) {
      this.#cut({ stop, bytes, messages, dropped: 0 })
      return false
    }
    const writes: Array<KeyValueWrite> = [{ key: messageKey(0), value: undefined, end: messageKey(stop) }]
    if (indexedMessages > 0) writes.push({ key: QUEUE_NAME_PREFIX, value: undefined, end: NAMES_END })
    const state = { ...this.#state, indexedTo: stop, indexedBytes: 0, indexedMessages: 0 }
    this.#submit(writes, state, () => this.#cut({ stop, bytes, messages, dropped: 0 }))
    return true
  }

  /** Takes away those of the first rows that are due; false where none is. */
  #cutRows(rows: ReadonlyArray<QueueRow>, nowMs: number): boolean {
    const { options } = this.#parts
    const { indexedTo } = this.#state
    const tooMany = this.bytes - options.bytesMax * HIGH_SHARE
    const names: Array<KeyValueWrite> = []
    let [stop, bytes, messages, dropped] = [this.startOffset, 0, 0, 0]
    let [namedBytes, namedMessages] = [0, 0]
    let { lostTo } = this.#state
    let kept: QueueRow | undefined
    for (const row of rows) {
      const { message, size, appendedAtMs } = row
      const { queueOffset } = message
      const isNeeded = queueOffset >= this.#needed
      if (isNeeded && bytes >= tooMany && appendedAtMs > nowMs - options.ageMsMax) {
        kept = row
        break
      }
      if (queueOffset < indexedTo) {
        names.push({ key: keyByName(message, queueOffset), value: undefined })
        namedBytes += size
        namedMessages += 1
      }
      stop = queueOffset + 1
      bytes += size
      messages += 1
      if (!isNeeded) continue
      dropped += 1
      lostTo = stop
    }
    // A gap before what is kept goes too.
    if (kept !== undefined || rows.length === 0) {
      stop = Math.max(stop, Math.min(kept?.message.queueOffset ?? this.#needed, this.#needed))
    }
    const oldestMs = kept?.appendedAtMs ?? -1
    if (messages === 0) {
      this.#cut({ stop, bytes, messages, dropped })
      this.#oldestColdMs = oldestMs
      return false
    }
    const state: QueueState = {
      ...this.#state,
      indexedTo: Math.max(indexedTo, stop),
      indexedBytes: this.#state.indexedBytes - namedBytes,
      indexedMessages: this.#state.indexedMessages - namedMessages,
      lostTo
    }
    this.#submit([{ key: messageKey(0), value: undefined, end: messageKey(stop) }, ...names], state, () => {
      this.#cut({ stop, bytes, messages, dropped })
      this.#oldestColdMs = oldestMs
    })
    return true
  }

  #cut({ stop, bytes, messages, dropped }: Cut): void {
    const { resident, counts } = this.#parts
    this.startOffset = stop
    this.coldEnd = Math.max(this.coldEnd, stop)
    this.bytes -= bytes
    counts.trimmed += messages - dropped
    counts.dropped += dropped
    while ((resident.first?.offset ?? stop) < stop) resident.shift()
  }
}

function keyByName({ tenant, topic, topicStart, topicEnd }: QueueRow["message"], offset: number): Uint8Array {
  return nameKey(tenant, topic, topicStart, topicEnd, offset)
}
