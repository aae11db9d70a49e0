/**
 * The open logs of the partitions that a shard owns, each over its engine's partition with the engine's faults held back.
 *
 * Invariants
 *  - A partition is closed once, and its engine forgets it only after that.
 *  - What an engine does wrong in opening, closing or forgetting costs that partition and one line in the log, never the shard.
 */
import { Cause, Effect, Exit, Scope } from "effect"
import type { StorageBudgetShape } from "../budget/StorageBudget.ts"
import type { Engine, Engines, Partition, PartitionLimits } from "../log/Engines.ts"
import { GuardedPartition, lineOf } from "../log/GuardedPartition.ts"
import { PartitionLog } from "../log/PartitionLog.ts"
import { atMost } from "../platform/at-most.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TurnShape } from "../platform/Turn.ts"
import type { TopicInfo } from "./TopicInfo.ts"

/** After this long an opening is told of, and no longer waited for. */
export const OPEN_TIMEOUT_MS = 10_000
/** A partition that has not closed after this long is left to itself. */
export const CLOSE_TIMEOUT_MS = 5_000

export interface OpenPartitionsOptions {
  readonly engines: typeof Engines.Service
  readonly clock: ClockShape
  readonly turn: TurnShape
  /** See {@link PartitionLogParts.room}. */
  readonly room?: Pick<StorageBudgetShape, "refusal">
  /** How the log names an engine: with the plugin that brings it. */
  readonly engineLabel: (engine: string) => string
  readonly log: (message: string) => void
}

interface OpenTopic {
  readonly info: TopicInfo
  readonly logs: Array<PartitionLog | undefined>
  /** Partitions that are being opened. */
  readonly opening: Set<number>
  readonly scope: Scope.Closeable
}

export class OpenPartitions {
  readonly #options: OpenPartitionsOptions
  readonly #opened: (info: TopicInfo) => void
  readonly #topics = new Map<string, OpenTopic>()
  readonly #opening = new Set<Promise<void>>()

  /** `opened` is told of a topic whose partition was opened later than its `open` returned, or is no longer waited for. */
  constructor(options: OpenPartitionsOptions, opened: (info: TopicInfo) => void) {
    this.#options = options
    this.#opened = opened
  }

  logUnsafe(topic: TopicInfo, partition: number): PartitionLog | undefined {
    return this.#topics.get(topic.id)?.logs[partition]
  }

  /** Whether the log is about to be there, or to be known not to be. */
  isOpening(topic: TopicInfo, partition: number): boolean {
    return this.#topics.get(topic.id)?.opening.has(partition) === true
  }

  *logs(): Iterable<PartitionLog> {
    for (const topic of this.#topics.values()) for (const log of topic.logs) if (log !== undefined) yield log
  }

  open(info: TopicInfo, isOwned: (partition: number) => boolean, limits: PartitionLimits): void {
    const topic: OpenTopic = { info, logs: [], opening: new Set(), scope: Scope.makeUnsafe() }
    this.#topics.set(info.id, topic)
    const engine = this.#options.engines.get(info.engine)
    if (engine === undefined) {
      this.#options.log(`topic ${info.name}: no engine "${info.engine}" is loaded; it cannot be read or written`)
      return
    }
    for (let partition = 0; partition < info.partitions; partition++) {
      if (isOwned(partition)) this.#openPartition(topic, engine, partition, limits)
    }
  }

  /** Closes the topic's partitions and has its engine forget them; false where it could not forget them all. */
  remove(info: TopicInfo): Effect.Effect<boolean> {
    const engine = this.#options.engines.get(info.engine)
    let isForgotten = engine !== undefined
    const numbers = Array.from({ length: info.partitions }, (_, partition) => partition)
    const forget = Effect.forEach(
      engine === undefined ? [] : numbers,
      (partition) =>
        Effect.suspend(() => engine?.remove(keyOf(info, partition)) ?? Effect.void).pipe(
          Effect.catchCause((cause) =>
            Effect.sync(() => {
              isForgotten = false
              this.#tell(info, partition, `cannot be removed: ${reasonOf(cause)}`)
            })
          )
        ),
      { discard: true }
    )
    return this.#close(info.id).pipe(
      Effect.andThen(forget),
      Effect.map(() => isForgotten)
    )
  }

  /** Closes all that is open when it runs. */
  closeAll(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach([...this.#topics.keys()], (id) => this.#close(id), { discard: true, concurrency: 64 })
    )
  }

  /** Done when all that is being opened now is open or failed, {@link OPEN_TIMEOUT_MS} after it began at the latest. */
  settled(): Effect.Effect<void> {
    return Effect.promise(() => Promise.all([...this.#opening])).pipe(Effect.asVoid)
  }

  #openPartition(topic: OpenTopic, engine: Engine, partition: number, limits: PartitionLimits): void {
    const { info, logs } = topic
    const { clock, turn, room } = this.#options
    const engineName = this.#options.engineLabel(info.engine)
    const fault = (line: string): void => this.#options.log(`partition ${info.name}/${partition}: ${line}`)
    const events = {
      committed: () => logs[partition]?.committed(),
      failed: (reason: string, refusal?: number) => {
        fault(`${engineName}: ${reason}`)
        logs[partition]?.failed(refusal)
      }
    }
    const opened = (result: Exit.Exit<Partition, unknown>): void => {
      if (Exit.isFailure(result)) {
        if (!Cause.hasInterruptsOnly(result.cause)) fault(`${engineName} cannot open it: ${reasonOf(result.cause)}`)
        return
      }
      const guarded = new GuardedPartition(result.value, { engineName, clock, fault })
      logs[partition] = new PartitionLog(info, partition, guarded, {
        clock,
        turn,
        isJournaled: engine.isJournaled === true,
        ...(room === undefined ? {} : { room })
      })
    }
    const opening = Effect.suspend(() => engine.open(keyOf(info, partition), { limits, mode: info.mode, events }))
    const fiber = Effect.runFork(Scope.provide(opening, topic.scope))
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      opened(exit)
      return
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#opening.add(promise)
    topic.opening.add(partition)
    const settle = (): void => {
      timer.cancel()
      this.#opening.delete(promise)
      resolve()
      topic.opening.delete(partition)
      // Of a topic that was closed meanwhile nobody waits for anything.
      if (this.#topics.get(info.id) === topic) this.#opened(info)
    }
    const timer = clock.after(OPEN_TIMEOUT_MS, () => {
      fault(`${engineName} has not opened it after ${OPEN_TIMEOUT_MS / 1000} s`)
      settle()
    })
    fiber.addObserver((late) => {
      // A topic that was closed meanwhile needs no log; its scope has closed what was opened.
      if (this.#topics.get(info.id) === topic) opened(late)
      settle()
    })
  }

  #close(id: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const topic = this.#topics.get(id)
      if (topic === undefined) return Effect.void
      this.#topics.delete(id)
      for (const log of topic.logs) log?.close()
      return atMost(Scope.close(topic.scope, Exit.void), CLOSE_TIMEOUT_MS, this.#options.clock, {
        failed: (cause) => this.#tell(topic.info, 0, `failed to close: ${reasonOf(cause)}`),
        late: () => this.#tell(topic.info, 0, `has not closed after ${CLOSE_TIMEOUT_MS / 1000} s`)
      })
    })
  }

  #tell(info: TopicInfo, partition: number, what: string): void {
    this.#options.log(`partition ${info.name}/${partition}: ${this.#options.engineLabel(info.engine)} ${what}`)
  }
}

function keyOf(info: TopicInfo, partition: number): { tenant: number; topicId: string; partition: number } {
  return { tenant: info.tenant, topicId: info.id, partition }
}

function reasonOf(cause: Cause.Cause<unknown>): string {
  return lineOf(Cause.squash(cause))
}
