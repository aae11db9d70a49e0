/**
 * One partition that its shard has opened, or is opening: the log over its engine's partition, with the engine's faults held back.
 *
 * Invariants
 *  - Who waits for the opening is called in the order in which they came, in the call that makes the log known: nobody overtakes them.
 *  - What an engine does wrong in opening costs this partition and one line in the log, never the shard.
 */
import { Cause, Effect, Exit, Scope } from "effect"
import type { BatchCompressor } from "../log/BatchCompressor.ts"
import type {
  Engine,
  Partition,
  PartitionEvents,
  PartitionKey,
  PartitionLimits,
  PartitionOptions,
  StorageError
} from "../log/Engines.ts"
import { GuardedPartition, type GuardedPartitionParts, lineOf } from "../log/GuardedPartition.ts"
import { PartitionLog, type PartitionLogParts } from "../log/PartitionLog.ts"
import type { OffsetReservation, ReservedOffsets } from "../log/ReservedOffsets.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TurnShape } from "../platform/Turn.ts"
import { FutureLog } from "./FutureLog.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"

/** After this long an opening is told of, and no longer waited for. */
export const OPEN_TIMEOUT_MS = 10_000
/** A partition that could not be opened is tried again when it is asked for after this long. */
export const RETRY_MS = 10_000

/** What an engine opened, and the offsets that were reserved for it. */
interface Opened {
  readonly partition: Partition
  readonly reservation: OffsetReservation | undefined
}

/** What all partitions of an engine have alike. */
export interface OpenPartitionParts {
  readonly engine: Engine
  /** For the log: with the plugin that brings it. */
  readonly engineName: string
  readonly compressor: BatchCompressor
  readonly room: PartitionLogParts["room"]
  readonly producers: PartitionLogParts["producers"]
  readonly clock: ClockShape
  readonly turn: TurnShape
  readonly log: (message: string) => void
}

/** Where its offsets must not be given a second time, and its bounds. */
export interface OpenPartitionOptions {
  readonly limits: PartitionLimits
  readonly offsets: ReservedOffsets | undefined
  /** It is filled with the batches of another one first: it has a {@link FutureLog} until {@link OpenPartition.becomeCurrent}. */
  readonly isFuture?: boolean
}

export class OpenPartition implements PartitionEvents, GuardedPartitionParts {
  /** Undefined while it is being opened, and where that failed. */
  log: PartitionLog | undefined
  isOpening = false
  /** Undefined where it is no copy, or not any more. */
  future: FutureLog | undefined
  /** Told where the engine has lost something of it. */
  onFailed: ((reason: string) => void) | undefined
  /** The log while nobody gets at it. */
  #held: PartitionLog | undefined
  #isFuture = false
  #info: TopicInfo
  readonly #partition: number
  readonly #parts: OpenPartitionParts
  /** Where {@link Reopening.tryOpen} gave it. */
  #reopened: Partition | undefined
  /** Where {@link Engine.open} did, or is about to. */
  #scope: Scope.Closeable | undefined
  /** Who waits for the opening; undefined = nobody. */
  #waiting: Array<() => void> | undefined
  #failedAtMs = 0
  /** Why it could not be opened the last time, which is told of once. */
  #toldReason = ""
  #isClosed = false

  constructor(info: TopicInfo, partition: number, parts: OpenPartitionParts) {
    this.#info = info
    this.#partition = partition
    this.#parts = parts
  }

  get engineName(): string {
    return this.#parts.engineName
  }

  get clock(): ClockShape {
    return this.#parts.clock
  }

  /** Its opening failed a while ago. */
  get mayRetry(): boolean {
    return this.log === undefined && !this.isOpening && this.clock.monotonicMs() - this.#failedAtMs >= RETRY_MS
  }

  /**
   * Opens it; `settled` is called where that is not done when this returns: once, when it is open, has failed or is no longer waited for.
   * Returns whether it is done.
   */
  open({ limits, offsets, isFuture = false }: OpenPartitionOptions, settled: () => void): boolean {
    this.#isFuture = isFuture
    const key = keyOf(this.#info, this.#partition)
    const options: PartitionOptions = { limits, mode: this.#info.mode, events: this }
    if (offsets === undefined) {
      this.#reopened = this.#parts.engine.reopens?.tryOpen(key, options)
      if (this.#reopened !== undefined) {
        this.#makeLog(this.#reopened, undefined)
        return true
      }
    }
    this.#scope = Scope.makeUnsafe()
    const fiber = Effect.runFork(Scope.provide(this.#openAt(key, options, offsets), this.#scope))
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      this.#opened(exit)
      return true
    }
    this.isOpening = true
    const settle = (): void => {
      if (!this.isOpening) return
      this.isOpening = false
      timer.cancel()
      const waiting = this.#waiting ?? []
      this.#waiting = undefined
      for (const each of waiting) each()
      settled()
    }
    const timer = this.clock.after(OPEN_TIMEOUT_MS, () => {
      this.fault(`${this.engineName} has not opened it after ${OPEN_TIMEOUT_MS / 1000} s`)
      this.#failedAtMs = Number.POSITIVE_INFINITY
      settle()
    })
    fiber.addObserver((late) => {
      const isLate = !this.isOpening
      // One that was closed meanwhile needs no log; its scope has closed what was opened.
      if (!this.#isClosed) this.#opened(late)
      settle()
      if (isLate && !this.#isClosed) settled()
    })
    return false
  }

  /** Calls `done` when it is open, has failed, or is no longer waited for. */
  whenSettled(done: () => void): void {
    if (!this.isOpening) done()
    else if (this.#waiting === undefined) this.#waiting = [done]
    else this.#waiting.push(done)
  }

  /** Keeps the log from everybody: who wants it waits as if it were being opened. Returns it, where it is there. */
  hold(): PartitionLog | undefined {
    const { log } = this
    if (log === undefined) return undefined
    log.hold(true)
    this.#held = log
    this.log = undefined
    this.isOpening = true
    return log
  }

  /** Ends {@link OpenPartition.hold}: gives the log back, or, where another has taken its place, lets those who wait look for that. */
  release(isReplaced = false): void {
    const held = this.#held
    if (held === undefined) return
    if (!isReplaced) {
      held.hold(false)
      this.log = held
      this.#held = undefined
    }
    this.isOpening = false
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const each of waiting) each()
  }

  /** The log gives its place to another one, that of `after` where it was copied: what is known of its producers goes there. */
  handOver(after: OpenPartition | undefined): void {
    const producers = (this.log ?? this.#held)?.producers
    if (producers === undefined) return
    if (!producers.isEmpty) after?.log?.takeProducers(producers)
    // Before anybody appends to the other one: what this one knows may be behind by then.
    producers.close()
  }

  /** What was copied is the log from now on. */
  becomeCurrent(): void {
    const { future } = this
    this.#isFuture = false
    this.onFailed = undefined
    this.future = undefined
    if (future !== undefined) this.#makeLog(future.partition, future.reservation)
  }

  /** Its topic is to be kept as `info` says from now on, within these bounds. */
  alter(info: TopicInfo, limits: PartitionLimits): void {
    this.#info = info
    const log = this.log ?? this.#held
    const { compressor } = this.#parts
    log?.alter(info, limits, compressor)
    if (log === undefined && this.isOpening) this.whenSettled(() => this.log?.alter(info, limits, compressor))
  }

  /** Closes it; done when its engine has. */
  close(): Effect.Effect<void> {
    const [scope, closing] = [this.#scope, this.closePlainly()]
    if (closing !== undefined) return Effect.promise(() => closing)
    this.#isClosed = true
    this.log?.close()
    this.#held?.close()
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  }

  /** The same without an effect, of one that {@link Reopening.tryOpen} gave: settled when its engine has closed it. Else undefined. */
  closePlainly(): Promise<void> | undefined {
    const reopened = this.#reopened
    if (reopened === undefined) return undefined
    this.#isClosed = true
    this.log?.close()
    this.#held?.close()
    try {
      return this.#parts.engine.reopens?.close(reopened) ?? Promise.resolve()
    } catch (error) {
      return Promise.reject(error)
    }
  }

  // What the engine tells.

  committed(): void {
    const log = this.log ?? this.#held
    log?.committed()
  }

  failed(reason: string, refusal?: number): void {
    this.fault(`${this.engineName}: ${reason}`)
    this.onFailed?.(reason)
    const log = this.log ?? this.#held
    log?.failed(refusal)
  }

  fault(line: string): void {
    this.#parts.log(`partition ${this.#info.name}/${this.#partition}: ${line}`)
  }

  /** Has the engine open it: where offsets of it are reserved, when they are, and above all that were. */
  #openAt(
    key: PartitionKey,
    options: PartitionOptions,
    offsets: ReservedOffsets | undefined
  ): Effect.Effect<Opened, StorageError, Scope.Scope> {
    const { engine } = this.#parts
    if (offsets === undefined) {
      const opened = Effect.suspend(() => engine.open(key, options))
      return opened.pipe(Effect.map((partition) => ({ partition, reservation: undefined })))
    }
    return offsets.acquire(key).pipe(
      Effect.flatMap((reservation) => {
        const opened = engine.open(key, { ...options, start: reservation.start })
        return opened.pipe(Effect.map((partition) => ({ partition, reservation })))
      })
    )
  }

  #opened(result: Exit.Exit<Opened, unknown>): void {
    if (Exit.isSuccess(result)) {
      this.#makeLog(result.value.partition, result.value.reservation)
      return
    }
    this.#failedAtMs = this.clock.monotonicMs()
    if (this.#scope !== undefined) Effect.runFork(Scope.close(this.#scope, Exit.void))
    this.#scope = undefined
    if (Cause.hasInterruptsOnly(result.cause)) return
    const reason = lineOf(Cause.squash(result.cause))
    if (reason !== this.#toldReason) this.fault(`${this.engineName} cannot open it: ${reason}`)
    this.#toldReason = reason
  }

  #makeLog(partition: Partition, given: OffsetReservation | undefined): void {
    const { engine, engineName, clock, turn, compressor, room, producers } = this.#parts
    const guarded = partition instanceof GuardedPartition ? partition : new GuardedPartition(partition, this)
    let reservation = given
    // One that was copied was told where to begin by what it was copied from.
    if (partition !== guarded && reservation !== undefined && guarded.logEndOffset < reservation.start.offset) {
      const { offset } = reservation.start
      this.fault(`${engineName} begins at ${guarded.logEndOffset} where ${offset} offsets were given out`)
      reservation = undefined
    }
    if (this.#isFuture) {
      this.future = new FutureLog(guarded, reservation, this.#info.mode === "memory" ? undefined : room)
      return
    }
    const isJournaled = engine.isJournaled === true
    const parts = { clock, turn, isJournaled, compressor, reservation, room, producers }
    this.log = new PartitionLog(this.#info, this.#partition, guarded, parts)
    this.#toldReason = ""
  }
}

export function keyOf(info: TopicInfo, partition: number): PartitionKey {
  return { tenant: info.tenant, topicId: logIdOf(info), partition }
}
