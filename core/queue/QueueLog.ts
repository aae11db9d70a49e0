/**
 * The queue log of one shard, at its owner: each message that a durable session may want, once, in the order in which the shard
 * sequenced them. Rows in the key-value store, written by the journal; the end of it in memory.
 *
 * From the oldest on: rows that lie in the store only (`ColdQueue`), all with a row by name; messages that are in memory too, the first of
 * them with a row by name; those without; those that are not committed.
 *
 * Invariants
 *  - startOffset <= highWatermark <= endOffset; offsets rise by one while nothing goes wrong, and none is given twice: an offset is used only
 *    below a reservation that is committed, and after a restart the log goes on above it.
 *  - A read returns without a promise where all it needs is in memory.
 *  - One change of the log's own (reservation, rows by name, trimming) is under way at a time: `QueueUpkeep`.
 */

import { Effect } from "effect"
import type { StorageBudgetShape } from "../budget/StorageBudget.ts"
import type { Message } from "../ingress/Message.ts"
import type { JournalShape, TicketWaiter } from "../journal/Journal.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { BACKLOG, StorageError, Unusable } from "../log/Engines.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TurnShape } from "../platform/Turn.ts"
import { ColdQueue, isFull } from "./ColdQueue.ts"
import type { QueueCount, QueueRead, QueueReadLimits, QueueSelection, QueueWaiter } from "./QueueLogs.ts"
import { matcherOf, type QueueMatcher } from "./QueueMatcher.ts"
import { QueueUpkeep } from "./QueueUpkeep.ts"
import { encodeRow, messageKey } from "./queue-rows.ts"
import { type LostOffsets, QueueEntry, ResidentQueue, SCANNED_ALL } from "./ResidentQueue.ts"

/** Bounds of one log. */
export interface QueueLogOptions {
  /** Bytes of all messages, whoever still wants them: near it the oldest go, at it appends are refused. */
  readonly bytesMax: number
  /** Age after which a message goes, whoever still wants it. */
  readonly ageMsMax: number
  /** How long a message waits before it gets a row by name. */
  readonly indexAfterMs: number
  /** Bytes of messages in memory beyond which the oldest get a row by name and leave it. */
  readonly residentBytesMax: number
}

/** Bounds of a node; each shard has its share of the bytes. */
export const QUEUE_LOG_OPTIONS: QueueLogOptions = {
  bytesMax: 1_073_741_824,
  ageMsMax: 7 * 86_400_000,
  indexAfterMs: 1_000,
  residentBytesMax: 16_777_216
}

/** What a log counts; read at scrape. */
export interface QueueLogCounts {
  appended: number
  refused: number
  /** Messages that a failed journal took with it. */
  lost: number
  /** Messages that nobody wanted any more. */
  trimmed: number
  /** Messages that a bound removed although somebody may have wanted them. */
  dropped: number
  /** Rows by name that were written. */
  named: number
  /** Changes of the log's own that the store or the journal failed; they are tried again. */
  failures: number
}

export interface QueueLogParts {
  /** The number of this log: the shard's. */
  readonly number: number
  readonly journal: JournalShape
  readonly store: KeyValueStoreShape
  readonly clock: ClockShape
  readonly turn: TurnShape
  /** From a source of chance: keeps clients from aiming at collisions among the filters that they read with. */
  readonly seed: number
  readonly options?: QueueLogOptions
  /** Whether there is room for more on disk. Absent = always. */
  readonly room?: Pick<StorageBudgetShape, "refusal">
}

/** Told that messages with offsets from `from` on and below `end` are lost: their tickets ended with a refusal. */
export type LossListener = (from: number, end: number) => void

interface Watch {
  readonly offset: number
  readonly waiter: QueueWaiter
  isOver: boolean
}

export class QueueLog implements TicketWaiter {
  readonly number: number
  readonly counts: QueueLogCounts = {
    appended: 0,
    refused: 0,
    lost: 0,
    trimmed: 0,
    dropped: 0,
    named: 0,
    failures: 0
  }
  /** Rises whenever messages were lost. */
  generation = 0
  readonly #parts: QueueLogParts
  readonly #options: QueueLogOptions
  readonly #resident = new ResidentQueue()
  readonly #cold: ColdQueue
  readonly #upkeep: QueueUpkeep
  readonly #listeners: Array<LossListener> = []
  #watches: Array<Watch> = []
  #next = 0
  #endOffset = 0
  #highWatermark = 0
  #isWaiting = false

  constructor(parts: QueueLogParts) {
    this.number = parts.number
    this.#parts = parts
    this.#options = parts.options ?? QUEUE_LOG_OPTIONS
    this.#cold = new ColdQueue(parts.number, parts.store)
    this.#upkeep = new QueueUpkeep({
      ...parts,
      options: this.#options,
      resident: this.#resident,
      cold: this.#cold,
      counts: this.counts,
      wait: () => this.#wait()
    })
  }

  /** The first offset that may be there. */
  get startOffset(): number {
    return this.#upkeep.startOffset
  }

  /** One past the last message; after a loss as far back as the high watermark, though the lost offsets are not given again. */
  get endOffset(): number {
    return this.#endOffset
  }

  /** One past the last committed message. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Bytes of all messages that are there. */
  get bytes(): number {
    return this.#upkeep.bytes
  }

  /** Bytes that the log takes in memory, about. */
  get memoryBytes(): number {
    return this.#resident.bytes + this.#cold.cachedBytes
  }

  /** Reads the positions and what has no row by name yet, and reserves offsets; once, after the journal's recovery. */
  open(): Effect.Effect<void, StorageError> {
    return Effect.tryPromise({
      try: async () => {
        const next = await this.#upkeep.open()
        this.#next = next
        this.#endOffset = next
        this.#highWatermark = next
        await this.#upkeep.reserve(next)
      },
      catch: (error) =>
        error instanceof StorageError
          ? error
          : new StorageError({ engine: "queue log", reason: new Unusable({ message: String(error) }) })
    })
  }

  /**
   * Appends `message` (borrowed) and sets its place; returns its offset, or why not: the journal's refusal or the disk's, or {@link BACKLOG} where
   * a bound is reached. It is kept when `journal.tickets.issued`, as it is then, is committed.
   */
  appendUnsafe(message: Message): number {
    const { journal, clock, room } = this.#parts
    const size = message.sizeBytes
    const offset = this.#next
    const refusal = journal.refusal || (room?.refusal ?? 0)
    if (refusal !== 0 || this.#upkeep.bytes + size > this.#options.bytesMax || offset >= this.#upkeep.reserved) {
      this.counts.refused += 1
      return refusal === 0 ? BACKLOG : refusal
    }
    message.queue = this.number
    message.queueOffset = offset
    const owned = message.owned()
    owned.queue = this.number
    owned.queueOffset = offset
    const nowMs = clock.nowMs()
    const ticket = journal.submit({ writes: [{ key: messageKey(offset), value: encodeRow(message, nowMs) }] })
    this.#resident.push(new QueueEntry(owned, offset, size, nowMs, ticket))
    this.#next = offset + 1
    this.#endOffset = this.#next
    this.#upkeep.bytes += size
    this.counts.appended += 1
    this.#upkeep.used(this.#next)
    if (ticket <= journal.tickets.committed) this.#settle()
    else this.#wait()
    return offset
  }

  /**
   * What matches `selection` from `position` on. Synchronously where it lies in memory; a promise, which never says `isAtEnd`, where
   * the store has to be read: then read on from `next`. A call looks at a bounded number of messages. Rejects with `StorageError`.
   *
   * With `includeUncommitted` it goes on above the high watermark, up to the first message of QoS 2 that is not committed.
   */
  read(
    position: number,
    selection: QueueSelection,
    limits: QueueReadLimits,
    includeUncommitted: boolean
  ): QueueRead | Promise<QueueRead> {
    const matcher = matcherOf(selection, this.#parts.seed)
    const from = Math.max(position, this.startOffset)
    if (from < this.#upkeep.coldEnd) {
      return this.#cold.read(from, this.#upkeep.coldEnd, matcher, limits).then(({ rows, next }) =>
        this.#result(
          rows.map((row) => row.message),
          next,
          false
        )
      )
    }
    return this.#readResident(from, matcher, limits, includeUncommitted)
  }

  /** Counts what matches from `position` on, committed or not, up to `messagesMax`; a promise as {@link QueueLog.read}. */
  count(position: number, selection: QueueSelection, messagesMax: number): QueueCount | Promise<QueueCount> {
    const from = Math.max(position, this.startOffset)
    if (messagesMax <= 0) return this.#counted(0, 0, from, false)
    const matcher = matcherOf(selection, this.#parts.seed)
    if (from < this.#upkeep.coldEnd) {
      return this.#cold
        .count(from, this.#upkeep.coldEnd, matcher, messagesMax)
        .then(({ messages, bytes, next }) => this.#counted(messages, bytes, next, false))
    }
    let messages = 0
    let bytes = 0
    const stopped = this.#resident.scan(from, matcher, ({ size }) => {
      if (messages >= messagesMax) return false
      messages += 1
      bytes += size
      return true
    })
    const isAtEnd = stopped === SCANNED_ALL
    return this.#counted(messages, bytes, isAtEnd ? Math.max(from, this.#endOffset) : stopped, isAtEnd)
  }

  /** Tells `waiter` once when the high watermark is above `offset`, never within this call; the result takes it back. */
  watch(offset: number, waiter: QueueWaiter): () => void {
    const watch: Watch = { offset, waiter, isOver: false }
    if (this.#highWatermark > offset) this.#parts.turn.deferWork({ endTurn: () => tell(watch) })
    else this.#watches.push(watch)
    return () => {
      watch.isOver = true
      const index = this.#watches.indexOf(watch)
      if (index >= 0) this.#watches.splice(index, 1)
    }
  }

  /** Tells of losses, for the life of the log. */
  onLost(listener: LossListener): void {
    this.#listeners.push(listener)
  }

  /** Nobody needs what is below `offset`; it goes in bounded steps. Call it about once a second. */
  trimTo(offset: number): void {
    this.#upkeep.trimTo(Math.min(offset, this.#highWatermark))
  }

  /** Bounds, rows by name, reservations; call it about once a second. */
  housekeep(): void {
    this.#upkeep.step()
  }

  /** The log changes nothing of its own from now on: call it before its journal and its store are closed. */
  close(): void {
    this.#upkeep.close()
  }

  ticketsCommitted(): void {
    this.#isWaiting = false
    this.#settle()
    if (this.#resident.hasUncommitted || this.#upkeep.isWaiting) this.#wait()
  }

  #counted(messages: number, bytes: number, next: number, isAtEnd: boolean): QueueCount {
    return { messages, bytes, next, isAtEnd, logMessages: this.#upkeep.messages, logBytes: this.#upkeep.bytes }
  }

  #readResident(from: number, matcher: QueueMatcher, limits: QueueReadLimits, includeUncommitted: boolean): QueueRead {
    const messages: Array<Message> = []
    let bytes = 0
    const stopped = this.#resident.scan(from, matcher, ({ message, offset, size }) => {
      if (offset >= this.#highWatermark && (!includeUncommitted || message.qos === 2)) return false
      if (isFull(messages.length, bytes, size, limits)) return false
      messages.push(message)
      bytes += size
      return true
    })
    const isAtEnd = stopped === SCANNED_ALL
    return this.#result(messages, isAtEnd ? Math.max(from, this.#endOffset) : stopped, isAtEnd)
  }

  #result(messages: ReadonlyArray<Message>, next: number, isAtEnd: boolean): QueueRead {
    const { startOffset } = this
    const { lostTo } = this.#upkeep
    return {
      messages,
      next,
      isAtEnd,
      startOffset,
      lostTo,
      endOffset: this.#endOffset,
      highWatermark: this.#highWatermark
    }
  }

  #wait(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.#parts.journal.tickets.wait(this)
  }

  #settle(): void {
    const { journal } = this.#parts
    const lost: Array<LostOffsets> = []
    const { lostBytes } = this.#resident
    const settled = this.#resident.settle(journal.tickets, lost)
    if (settled >= 0) this.#highWatermark = settled + 1
    if (lost.length > 0) {
      this.#upkeep.bytes -= this.#resident.lostBytes - lostBytes
      const end = (this.#resident.last?.offset ?? -1) + 1
      this.#endOffset = Math.max(this.#highWatermark, end)
      this.generation += 1
    }
    this.#upkeep.settle()
    for (const { from, end } of lost) {
      this.counts.lost += end - from
      for (const listener of this.#listeners) listener(from, end)
    }
    if (settled >= 0) this.#tellWatches()
  }

  #tellWatches(): void {
    if (this.#watches.length === 0) return
    const watches = this.#watches
    this.#watches = []
    for (const watch of watches) {
      if (watch.isOver) continue
      if (watch.offset >= this.#highWatermark) this.#watches.push(watch)
      else tell(watch)
    }
  }
}

function tell(watch: Watch): void {
  if (watch.isOver) return
  watch.isOver = true
  watch.waiter.queueAdvanced()
}
