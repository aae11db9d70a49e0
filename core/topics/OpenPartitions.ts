/**
 * The open partitions of a shard. Those of an engine that {@link Engine.reopens} are opened by the first who asks for them and closed when
 * nobody has for a while; others are open as long as their topic is there.
 *
 * Invariants
 *  - A partition is closed once, and its engine forgets it only after that.
 *  - What is closed because it is idle has nothing that waits in it or for it, and is found as it was when it is opened again.
 *  - What an engine does wrong in opening, closing or forgetting costs that partition and one line in the log, never the shard.
 */
import { Cause, Effect } from "effect"
import type { StorageBudgetShape } from "../budget/StorageBudget.ts"
import type { Engine, Engines, PartitionLimits, StorageError } from "../log/Engines.ts"
import { lineOf } from "../log/GuardedPartition.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import type { ReservedOffsets } from "../log/ReservedOffsets.ts"
import { atMost } from "../platform/at-most.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TurnShape } from "../platform/Turn.ts"
import type { ShardProducers } from "../producers/ShardProducers.ts"
import { Closings } from "./Closings.ts"
import { EngineParts } from "./EngineParts.ts"
import { FuturePartitions, type OpenTopic, openOf } from "./FuturePartitions.ts"
import { keyOf, OpenPartition } from "./OpenPartition.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"

/** A partition that has not closed after this long is left to itself. */
export const CLOSE_TIMEOUT_MS = 5_000
/** A partition that can be opened again is closed when nobody has used it for so many seconds, or up to twice as many. */
export const IDLE_ROUNDS = 30
/** Above so many open partitions of that kind those used least lately are closed at once. */
export const OPEN_MAX = 131_072
/** Partitions that are looked at for each one opened above the bound. */
const STEPS_A_TURN = 16

export interface OpenPartitionsOptions {
  readonly engines: typeof Engines.Service
  readonly clock: ClockShape
  readonly turn: TurnShape
  /** How the log names an engine: with the plugin that brings it. */
  readonly engineLabel: (engine: string) => string
  readonly log: (message: string) => void
  /** See {@link PartitionLogParts.room}. */
  readonly room?: Pick<StorageBudgetShape, "refusal">
  /** Which offsets of logs in memory were given out; undefined where nothing is kept over a restart. */
  readonly offsets?: ReservedOffsets | undefined
  readonly producers?: ShardProducers | undefined
}

export interface OpenPartitionsParts extends OpenPartitionsOptions {
  readonly isOwned: (info: TopicInfo, partition: number) => boolean
  readonly limitsOf: (info: TopicInfo) => PartitionLimits
  /**
   * What a topic is now, by its id; undefined = it is gone. Whoever asks for a log may have heard of the topic before it was moved: where it
   * was kept then is nobody's any more.
   */
  readonly current: (id: string) => TopicInfo | undefined
  /** Told of a topic whose partition was opened later than it was asked for, or is no longer waited for. */
  readonly opened: (info: TopicInfo) => void
  /** Instead of {@link OPEN_MAX}. */
  readonly openMax?: number
}

const COUNTED = ["gatheredBatches", "gatheredRecords", "refusedRecords"] as const
/** What was counted in logs that are closed. */
export type LogCounts = Record<(typeof COUNTED)[number], number>

export class OpenPartitions {
  readonly engines: EngineParts
  readonly #parts: OpenPartitionsParts
  readonly #topics = new Map<string, OpenTopic>()
  /** Logs of topics that are moved, as they are to be. */
  readonly futures: FuturePartitions
  /** Former logs of topics that were moved, until they are forgotten: settled when they are closed. */
  readonly #left = new Map<string, Promise<void>>()
  /** Those whose partitions are open as long as they are there. */
  readonly #steady = new Set<OpenTopic>()
  readonly #opening = new Set<Promise<void>>()
  /** Open partitions that may be closed. */
  #idleCandidates = 0
  #hand: Iterator<OpenTopic> | undefined
  readonly #closings: Closings
  readonly #closed: LogCounts = { gatheredBatches: 0, gatheredRecords: 0, refusedRecords: 0 }

  constructor(parts: OpenPartitionsParts) {
    this.#parts = parts
    this.engines = new EngineParts(parts)
    this.#closings = new Closings(parts.clock, CLOSE_TIMEOUT_MS)
    this.futures = new FuturePartitions({ ...parts, partsOf: (name, engine) => this.engines.of(name, engine) })
  }

  /**
   * A topic came to be: what has to be open is opened. `isLasting`: it comes back under its id after a restart, so that offsets which were
   * given out must not be given again.
   */
  add(info: TopicInfo, isLasting: boolean): void {
    const engine = this.#parts.engines.get(info.engine)
    if (engine === undefined) {
      this.#parts.log(`topic ${info.name}: no engine "${info.engine}" is loaded; it cannot be read or written`)
      return
    }
    if (engine.reopens !== undefined) return
    const offsets = isLasting && info.mode === "memory" ? this.#parts.offsets : undefined
    const topic: OpenTopic = { info, partitions: [], reopens: false, offsets }
    this.#topics.set(info.id, topic)
    this.#steady.add(topic)
    for (let partition = 0; partition < info.partitions; partition++) {
      if (this.#parts.isOwned(info, partition)) this.#open(topic, engine, partition)
    }
  }

  /** The log of a partition; one that nobody has used lately is opened, which may be done when this returns or later. */
  logUnsafe(info: TopicInfo, partition: number): PartitionLog | undefined {
    const open = this.#topics.get(info.id)?.partitions[partition]
    if (open?.log !== undefined) {
      open.log.isUsed = true
      return open.log
    }
    return this.#reopen(info, partition, open)
  }

  /** Whether nobody has opened it and anybody may. */
  isClosed(topic: TopicInfo, partition: number): boolean {
    if (this.#parts.engines.get(topic.engine)?.reopens === undefined) return false
    return this.#topics.get(topic.id)?.partitions[partition] === undefined
  }

  /** Whether the log is about to be there, or to be known not to be. */
  isOpening(topic: TopicInfo, partition: number): boolean {
    return this.#topics.get(topic.id)?.partitions[partition]?.isOpening === true
  }

  /** Calls `done` when the log is there, or is known not to be: at once where nothing is being opened. */
  whenSettled(topic: TopicInfo, partition: number, done: () => void): void {
    const open = this.#topics.get(topic.id)?.partitions[partition]
    if (open === undefined) done()
    else open.whenSettled(done)
  }

  /** Closes what was opened for a move that is given up. */
  dropFutures(id: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const topic = this.futures.take(id)
      return topic === undefined ? Effect.void : this.#end(topic.info, openOf(topic))
    })
  }

  /** Keeps the open log of a partition from everybody until it is released, or the topic is switched; undefined where it is not open. */
  hold(info: TopicInfo, partition: number): PartitionLog | undefined {
    return this.#topics.get(info.id)?.partitions[partition]?.hold()
  }

  release(info: TopicInfo): void {
    const topic = this.#topics.get(info.id)
    if (topic === undefined) return
    for (const open of openOf(topic)) open.release()
    this.#parts.opened(info)
  }

  /** The topic is kept as `info` says from now on: in the logs that were opened and filled for that, where they are; else in its own. */
  switchTo(info: TopicInfo): void {
    const before = this.#topics.get(info.id)
    const future = this.futures.become(info)
    this.#forget(info.id)
    if (future !== undefined) {
      this.#topics.set(info.id, future)
      if (future.reopens) this.#idleCandidates += openOf(future).length
      else this.#steady.add(future)
    } else this.add(info, true)
    if (before !== undefined) {
      const partitions = openOf(before)
      for (const [partition, open] of before.partitions.entries()) open?.handOver(future?.partitions[partition])
      for (const open of partitions) open.release(true)
      const left = Effect.runPromise(this.#end(before.info, partitions))
      if (logIdOf(before.info) !== logIdOf(info)) this.#left.set(logIdOf(before.info), left)
    }
    this.#parts.opened(info)
  }

  /** The topic is to be kept as `info` says from now on: within other bounds, compressed or not, in more partitions. */
  alter(info: TopicInfo): void {
    const topic = this.#topics.get(info.id)
    if (topic === undefined) return
    topic.info = info
    const limits = this.#parts.limitsOf(info)
    for (const open of openOf(topic)) open.alter(info, limits)
    const engine = this.#parts.engines.get(info.engine)
    if (topic.reopens || engine === undefined) return
    for (let partition = 0; partition < info.partitions; partition++) {
      if (topic.partitions[partition] === undefined && this.#parts.isOwned(info, partition)) {
        this.#open(topic, engine, partition)
      }
    }
  }

  /** Logs that are open now. */
  *logs(): Iterable<PartitionLog> {
    for (const { partitions } of this.#topics.values()) {
      for (const open of partitions) if (open?.log !== undefined) yield open.log
    }
  }

  /** What was counted in logs that are open and in those that were. */
  total(field: keyof LogCounts): number {
    let total = this.#closed[field]
    for (const log of this.logs()) total += log[field]
    return total
  }

  /** Seals what lies gathered in logs where nothing more comes, and closes some of those that nobody uses; called about once a second. */
  housekeep(): void {
    for (const { partitions } of this.#steady) for (const open of partitions) open?.log?.sealIdle()
    this.#turnHand(Math.ceil(this.#topics.size / IDLE_ROUNDS))
  }

  /** Closes the topic's partitions and has its engine forget them; false where it could not forget them all. */
  remove(info: TopicInfo): Effect.Effect<boolean> {
    const engine = this.#parts.engines.get(info.engine)
    let isForgotten = engine !== undefined
    const numbers = Array.from({ length: info.partitions }, (_, partition) => partition)
    const forget = Effect.forEach(
      engine === undefined ? [] : numbers,
      (partition) =>
        Effect.suspend(() => engine?.remove(keyOf(info, partition)) ?? Effect.void).pipe(
          Effect.andThen(Effect.suspend(() => this.#forgetRows(info, partition))),
          Effect.catchCause((cause) =>
            Effect.sync(() => {
              isForgotten = false
              this.#tell(info, partition, `cannot be removed: ${lineOf(Cause.squash(cause))}`)
            })
          )
        ),
      { discard: true }
    )
    // Of a topic that was moved: its former log is closed, and the one it has now stays.
    const close = Effect.suspend(() => {
      const left = this.#left.get(logIdOf(info))
      this.#left.delete(logIdOf(info))
      if (left !== undefined) return Effect.promise(() => left)
      const isOther = logIdOf(this.#topics.get(info.id)?.info ?? info) !== logIdOf(info)
      return isOther ? Effect.void : this.#close(info.id)
    })
    return close.pipe(
      Effect.andThen(forget),
      Effect.map(() => isForgotten)
    )
  }

  /** Closes all that is open when it runs. */
  closeAll(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(
        [...this.#topics.keys(), ...this.futures.ids()],
        (id) => Effect.andThen(this.dropFutures(id), this.#close(id)),
        { discard: true, concurrency: 64 }
      )
    )
  }

  /** Done when all that is being opened now is open or failed, its time after it began at the latest. */
  settled(): Effect.Effect<void> {
    return Effect.promise(() => Promise.all([...this.#opening])).pipe(Effect.asVoid)
  }

  #reopen({ id }: TopicInfo, partition: number, open: OpenPartition | undefined): PartitionLog | undefined {
    if (open !== undefined) {
      const topic = this.#topics.get(id)
      if (topic === undefined || !open.mayRetry) return undefined
      this.#begin(topic, open)
      return open.log
    }
    const { engines, isOwned, current } = this.#parts
    const info = current(id)
    if (info === undefined) return undefined
    const engine = engines.get(info.engine)
    if (engine?.reopens === undefined || partition >= info.partitions || !isOwned(info, partition)) return undefined
    if (this.#idleCandidates >= (this.#parts.openMax ?? OPEN_MAX)) this.#turnHand(STEPS_A_TURN)
    let topic = this.#topics.get(id)
    if (topic === undefined) {
      topic = { info, partitions: [], reopens: true, offsets: undefined }
      this.#topics.set(id, topic)
    }
    return this.#open(topic, engine, partition).log
  }

  #open(topic: OpenTopic, engine: Engine, partition: number): OpenPartition {
    const open = new OpenPartition(topic.info, partition, this.engines.of(topic.info.engine, engine))
    topic.partitions[partition] = open
    if (topic.reopens) this.#idleCandidates += 1
    this.#begin(topic, open)
    return open
  }

  #begin(topic: OpenTopic, open: OpenPartition): void {
    const { info, offsets } = topic
    let resolve: (() => void) | undefined
    const isDone = open.open({ limits: this.#parts.limitsOf(info), offsets }, () => {
      resolve?.()
      // Of a topic that was closed meanwhile nobody waits for anything.
      if (this.#topics.get(info.id) === topic) this.#parts.opened(info)
    })
    if (isDone) return
    const opening = new Promise<void>((done) => {
      resolve = () => {
        this.#opening.delete(opening)
        done()
      }
    })
    this.#opening.add(opening)
  }

  /** Goes on through the open topics and closes what was not used since the hand came by the last time. */
  #turnHand(steps: number): void {
    for (let left = steps; left > 0; left--) {
      this.#hand ??= this.#topics.values()
      const { value: topic, done } = this.#hand.next()
      if (done === true) {
        this.#hand = undefined
        return
      }
      if (!topic.reopens) continue
      for (const [partition, open] of topic.partitions.entries()) {
        if (open !== undefined && this.#isUnused(open)) this.#closeOne(topic, partition, open)
      }
    }
  }

  /** Whether nobody used it since this was asked the last time. One that could not be opened is forgotten when it may be tried again. */
  #isUnused(open: OpenPartition): boolean {
    if (open.log === undefined) return open.mayRetry
    open.log.sealIdle()
    return open.log.takeIsUnused()
  }

  #closeOne(topic: OpenTopic, partition: number, open: OpenPartition): void {
    topic.partitions[partition] = undefined
    this.#idleCandidates -= 1
    if (topic.partitions.every((each) => each === undefined)) this.#topics.delete(topic.info.id)
    const { info } = topic
    const closing = open.closePlainly()
    if (closing === undefined) Effect.runFork(this.#end(info, [open]))
    else {
      this.#count([open])
      this.#closings.add(
        closing,
        (error) => this.#tell(info, partition, `failed to close: ${lineOf(error)}`),
        () => this.#tellLate(info, partition)
      )
    }
  }

  #close(id: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const topic = this.#topics.get(id)
      if (topic === undefined) return Effect.void
      this.#forget(id)
      return this.#end(topic.info, openOf(topic))
    })
  }

  #forget(id: string): void {
    const topic = this.#topics.get(id)
    if (topic === undefined) return
    this.#topics.delete(id)
    this.#steady.delete(topic)
    if (topic.reopens) this.#idleCandidates -= openOf(topic).length
  }

  #end(info: TopicInfo, partitions: ReadonlyArray<OpenPartition>): Effect.Effect<void> {
    const closing = partitions.map((open) => open.close())
    this.#count(partitions)
    return atMost(Effect.all(closing, { discard: true }), CLOSE_TIMEOUT_MS, this.#parts.clock, {
      failed: (cause) => this.#tell(info, 0, `failed to close: ${lineOf(Cause.squash(cause))}`),
      late: () => this.#tellLate(info, 0)
    })
  }

  /** Logs that are closed count on. */
  #count(partitions: ReadonlyArray<OpenPartition>): void {
    for (const { log } of partitions) {
      if (log === undefined) continue
      for (const field of COUNTED) this.#closed[field] += log[field]
    }
  }

  #tellLate(info: TopicInfo, partition: number): void {
    this.#tell(info, partition, `has not closed after ${CLOSE_TIMEOUT_MS / 1000} s`)
  }

  #forgetRows(info: TopicInfo, partition: number): Effect.Effect<void, StorageError> {
    const { offsets, producers } = this.#parts
    if (info.mode !== "memory") return producers?.forget(keyOf(info, partition)) ?? Effect.void
    return offsets?.forget(keyOf(info, partition)) ?? Effect.void
  }

  #tell(info: TopicInfo, partition: number, what: string): void {
    this.#parts.log(`partition ${info.name}/${partition}: ${this.#parts.engineLabel(info.engine)} ${what}`)
  }
}
