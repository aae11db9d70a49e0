/**
 * Offsets that are given once: what partitions in memory keep over a restart when their records are gone.
 *
 * The row of a partition says from where on its log begins the next time. While the log is open that is the end of a block of offsets
 * which was reserved before the first of them is given out; a graceful stop brings it back to the end of the log. So a start, whatever
 * came before it, gives no offset a second time, and the leader epoch rises where the stop was not graceful.
 *
 * Invariants
 *  - An offset at or above what is synced to the disk is refused, and asked for; appending never waits.
 *  - What is asked for in time is there in time: the next block is asked for when half of the last is left, and has what is used in
 *    {@link BLOCK_MS} at the rate of the last. A disk that stands still refuses nothing for half of that, nor for the first
 *    {@link BLOCK_OFFSETS_MIN} / 2 records of a partition.
 */
import { Effect, type Scope } from "effect"
import type { JournalShape } from "../journal/Journal.ts"
import type { KeyValueStoreShape, KeyValueWrite } from "../kv/KeyValueStore.ts"
import type { ClockShape, Timer } from "../platform/Clock.ts"
import { type LogStart, type PartitionKey, StorageError, Unusable } from "./Engines.ts"
import { decodeLogStart, encodeLogStart, offsetKey } from "./offset-rows.ts"
import { writeSynced } from "./write-synced.ts"

/** Of a block, in offsets: what a crash passes over at least. */
export const BLOCK_OFFSETS_MIN = 1_048_576
/** 2^53 offsets are eight million such blocks. */
export const BLOCK_OFFSETS_MAX = 1_073_741_824
/** A block is to last so long. */
export const BLOCK_MS = 10_000
/** Between two attempts to have a block. */
export const RETRY_MS = 1_000

const AT_ZERO: LogStart = { offset: 0, leaderEpoch: 0 }

export interface ReservedOffsetsParts {
  /** On a disk: what it has committed outlives the process. */
  readonly journal: JournalShape
  readonly store: Pick<KeyValueStoreShape, "get">
  readonly clock: Pick<ClockShape, "monotonicMs" | "after">
}

/** The reservations of one shard. */
export class ReservedOffsets {
  /** Blocks that were reserved, attempts that failed, and appends that were refused for want of a block, since the start. */
  blocks = 0
  failures = 0
  refusals = 0
  readonly clock: ReservedOffsetsParts["clock"]
  readonly #journal: JournalShape
  readonly #store: ReservedOffsetsParts["store"]

  constructor({ journal, store, clock }: ReservedOffsetsParts) {
    this.#journal = journal
    this.#store = store
    this.clock = clock
  }

  /**
   * The offsets of a partition for the life of the scope: there when its first block is reserved, however often that must be tried.
   * Fails where its row cannot be read, or the scope is closed before.
   */
  acquire(key: PartitionKey): Effect.Effect<OffsetReservation, StorageError, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const rowKey = offsetKey(key)
      const start = yield* Effect.try({ try: () => this.#read(rowKey), catch: (error) => error as StorageError })
      const reservation = new OffsetReservation(this, rowKey, start)
      yield* Effect.addFinalizer(() => Effect.promise(() => reservation.release()))
      yield* Effect.tryPromise({ try: () => reservation.ready, catch: (error) => error as StorageError })
      return reservation
    })
  }

  /** Has a partition's log begin at `start` when its offsets are acquired; whether that is synced. */
  begin(key: PartitionKey, start: LogStart): Promise<boolean> {
    return this.write({ key: offsetKey(key), value: encodeLogStart(start) })
  }

  /** Removes a partition's row; settled when that is synced. Does nothing where there is none. */
  forget(key: PartitionKey): Effect.Effect<void, StorageError> {
    return Effect.suspend(() => {
      const rowKey = offsetKey(key)
      if (this.#store.get(rowKey) === undefined) return Effect.void
      return Effect.promise(() => this.write({ key: rowKey, value: undefined })).pipe(
        Effect.flatMap((isDone) => (isDone ? Effect.void : Effect.fail(refused("the journal takes nothing now"))))
      )
    })
  }

  write(row: KeyValueWrite): Promise<boolean> {
    return writeSynced(this.#journal, row)
  }

  #read(rowKey: Uint8Array): LogStart {
    const value = this.#store.get(rowKey)
    return value === undefined ? AT_ZERO : decodeLogStart(value)
  }
}

/** Says of a log which offsets it may give out. */
export type OffsetGate = Pick<OffsetReservation, "askAt" | "admits" | "ended">
/** Of a log that is kept: its offsets are given once by themselves. */
export const UNRESERVED: OffsetGate = {
  askAt: Number.POSITIVE_INFINITY,
  admits: () => true,
  ended: () => {}
}

/** The offsets of one partition, while its log is open. */
export class OffsetReservation {
  /** Where the log begins. */
  readonly start: LogStart
  /** Settled when the first block is reserved; rejects where the reservation is given back before. */
  readonly ready: Promise<void>
  /** While a log ends below, it need not ask whether it may go on. */
  askAt: number
  /** One past the last offset that may be given out. */
  #limit: number
  /** What the last ask was made at, for the rate. */
  #askedAt: number
  #askedMs: number
  #isAsking = false
  #end: LogStart | undefined
  #isReleased = false
  #retry: Timer | undefined
  #leaderEpoch: number
  readonly #all: ReservedOffsets
  readonly #key: Uint8Array
  readonly #settle: { readonly resolve: () => void; readonly reject: (error: StorageError) => void }

  constructor(all: ReservedOffsets, key: Uint8Array, start: LogStart) {
    this.#all = all
    this.#key = key
    this.start = start
    this.#limit = start.offset
    this.askAt = start.offset
    this.#askedAt = start.offset
    this.#askedMs = all.clock.monotonicMs()
    this.#leaderEpoch = start.leaderEpoch
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.ready = promise
    this.#settle = { resolve, reject }
    this.#ask(BLOCK_OFFSETS_MIN)
  }

  /** Whether the log may end at `end` now; asks for the next block where it is time to. */
  admits(end: number, leaderEpoch: number): boolean {
    if (this.#end !== undefined) return false
    this.#leaderEpoch = leaderEpoch
    if (!this.#isAsking && end > this.askAt) {
      const nowMs = this.#all.clock.monotonicMs()
      const perMs = (end - this.#askedAt) / Math.max(1, nowMs - this.#askedMs)
      this.#askedAt = end
      this.#askedMs = nowMs
      const short = Math.max(0, end - this.#limit)
      this.#ask(short + Math.min(BLOCK_OFFSETS_MAX, Math.max(BLOCK_OFFSETS_MIN, Math.ceil(perMs * BLOCK_MS))))
    }
    if (end <= this.#limit) return true
    this.#all.refusals += 1
    return false
  }

  /** The log has ended there, for good: nothing is admitted from now on. */
  ended(end: LogStart): void {
    this.#end = end
    this.askAt = Number.NEGATIVE_INFINITY
  }

  /** Gives back what was not used, where the log has ended; settled when that is synced, or cannot be. */
  async release(): Promise<void> {
    this.#isReleased = true
    this.#retry?.cancel()
    this.#settle.reject(refused("it was closed before its offsets were reserved"))
    this.ready.catch(() => {})
    // Without it the next start begins at the end of the block, as after a crash.
    if (this.#end !== undefined) await this.#all.write({ key: this.#key, value: encodeLogStart(this.#end) })
  }

  #ask(block: number): void {
    this.#isAsking = true
    const limit = this.#limit + block
    const row = { key: this.#key, value: encodeLogStart({ offset: limit, leaderEpoch: this.#leaderEpoch + 1 }) }
    void this.#all.write(row).then((isReserved) => {
      if (isReserved) {
        this.#all.blocks += 1
        this.#isAsking = false
        this.#limit = limit
        if (this.#end === undefined) this.askAt = limit - block / 2
        this.#settle.resolve()
        return
      }
      this.#all.failures += 1
      if (!this.#isReleased) this.#retry = this.#all.clock.after(RETRY_MS, () => this.#ask(block))
    })
  }
}

function refused(message: string): StorageError {
  return new StorageError({ engine: "journal", reason: new Unusable({ message }) })
}
