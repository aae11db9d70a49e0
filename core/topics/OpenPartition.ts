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
  PartitionKey,
  PartitionLimits,
  PartitionOptions,
  StorageError
} from "../log/Engines.ts"
import { GuardedPartition, lineOf } from "../log/GuardedPartition.ts"
import { PartitionLog, type PartitionLogParts } from "../log/PartitionLog.ts"
import type { OffsetReservation, ReservedOffsets } from "../log/ReservedOffsets.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TurnShape } from "../platform/Turn.ts"
import type { TopicInfo } from "./TopicInfo.ts"

/** After this long an opening is told of, and no longer waited for. */
export const OPEN_TIMEOUT_MS = 10_000
/** A partition that could not be opened is tried again when it is asked for after this long. */
export const RETRY_MS = 10_000

/** What an engine opened, and the offsets that were reserved for it. */
interface Opened {
  readonly partition: Partition
  readonly reservation: OffsetReservation | undefined
}

export interface OpenPartitionParts {
  readonly info: TopicInfo
  readonly partition: number
  readonly engine: Engine
  /** For the log: with the plugin that brings it. */
  readonly engineName: string
  readonly limits: PartitionLimits
  /** Where offsets of it must not be given a second time. */
  readonly offsets: ReservedOffsets | undefined
  readonly compressor: BatchCompressor
  readonly room: PartitionLogParts["room"]
  readonly clock: ClockShape
  readonly turn: TurnShape
  readonly log: (message: string) => void
}

export class OpenPartition {
  /** Undefined while it is being opened, and where that failed. */
  log: PartitionLog | undefined
  isOpening = false
  readonly #parts: OpenPartitionParts
  #scope = Scope.makeUnsafe()
  /** Who waits for the opening; undefined = nobody. */
  #waiting: Array<() => void> | undefined
  #failedAtMs = 0
  /** Why it could not be opened the last time, which is told of once. */
  #toldReason = ""
  #isClosed = false

  constructor(parts: OpenPartitionParts) {
    this.#parts = parts
  }

  /** Its opening failed a while ago. */
  get mayRetry(): boolean {
    return this.log === undefined && !this.isOpening && this.#parts.clock.monotonicMs() - this.#failedAtMs >= RETRY_MS
  }

  /**
   * Opens it; `settled` is called where that is not done when this returns: once, when it is open, has failed or is no longer waited for.
   * Returns whether it is done.
   */
  open(settled: () => void): boolean {
    const { info, partition, engineName, limits, clock } = this.#parts
    const events = {
      committed: () => this.log?.committed(),
      failed: (reason: string, refusal?: number) => {
        this.#fault(`${engineName}: ${reason}`)
        this.log?.failed(refusal)
      }
    }
    const opening = this.#openAt(keyOf(info, partition), { limits, mode: info.mode, events })
    const fiber = Effect.runFork(Scope.provide(opening, this.#scope))
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
    const timer = clock.after(OPEN_TIMEOUT_MS, () => {
      this.#fault(`${engineName} has not opened it after ${OPEN_TIMEOUT_MS / 1000} s`)
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

  /** Closes it; done when its engine has. */
  close(): Effect.Effect<void> {
    this.#isClosed = true
    this.log?.close()
    return Scope.close(this.#scope, Exit.void)
  }

  /** Has the engine open it: where offsets of it are reserved, when they are, and above all that were. */
  #openAt(key: PartitionKey, options: PartitionOptions): Effect.Effect<Opened, StorageError, Scope.Scope> {
    const { engine, offsets } = this.#parts
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
    const { info, partition, engine, engineName, clock, turn, compressor, room } = this.#parts
    if (Exit.isFailure(result)) {
      this.#failedAtMs = clock.monotonicMs()
      const failed = this.#scope
      this.#scope = Scope.makeUnsafe()
      Effect.runFork(Scope.close(failed, Exit.void))
      if (Cause.hasInterruptsOnly(result.cause)) return
      const reason = lineOf(Cause.squash(result.cause))
      if (reason !== this.#toldReason) this.#fault(`${engineName} cannot open it: ${reason}`)
      this.#toldReason = reason
      return
    }
    const fault = (line: string): void => this.#fault(line)
    const guarded = new GuardedPartition(result.value.partition, { engineName, clock, fault })
    let { reservation } = result.value
    if (reservation !== undefined && guarded.logEndOffset < reservation.start.offset) {
      fault(`${engineName} begins at ${guarded.logEndOffset} where ${reservation.start.offset} offsets were given out`)
      reservation = undefined
    }
    const isJournaled = engine.isJournaled === true
    const parts = { clock, turn, isJournaled, compressor, reservation, room }
    this.log = new PartitionLog(info, partition, guarded, parts)
    this.#toldReason = ""
  }

  #fault(line: string): void {
    const { info, partition, log } = this.#parts
    log(`partition ${info.name}/${partition}: ${line}`)
  }
}

export function keyOf(info: TopicInfo, partition: number): PartitionKey {
  return { tenant: info.tenant, topicId: info.id, partition }
}
