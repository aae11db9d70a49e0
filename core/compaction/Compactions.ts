/**
 * Compaction of a shard's partitions, in the background: which ones there are, when each is due, one round at a time.
 *
 * Source: Apache Kafka, LogCleanerManager.grabFilthiestCompactedLog; KIP-354 (max.compaction.lag.ms).
 * Invariants
 *  - One round at a time on a shard, of the partition with the largest dirty share of those that are due; one that waits longer than its lag
 *    comes first. Rounds read and write at most `bytesPerSecond`, and take the loop for `SLICE_MS` at a time.
 *  - What a topic's settings say is looked up anew for each round.
 *  - A round that fails is told, and tried again later, each time after twice as long up to {@link RETRY_MS_MAX}.
 */
import type { CompactionStore, CompactionSurvey, SegmentLimits } from "../log/CompactionStore.ts"
import type { Engines, PartitionKey } from "../log/Engines.ts"
import * as recordBatch from "../log/record-batch.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { makePace } from "../platform/pace.ts"
import type { RandomShape } from "../platform/Random.ts"
import type { LogShape } from "../telemetry/Log.ts"
import { keyOf } from "../topics/OpenPartition.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { settingsOf, type TopicSettings } from "../topics/topic-settings.ts"
import { CompactionRound, type RoundResult } from "./CompactionRound.ts"
import { SECRET_WORDS } from "./keyed-hash.ts"
import { OffsetMap } from "./OffsetMap.ts"
import { type KnownProducers, ProducerEnds } from "./ProducerEnds.ts"

const AREA = "compaction"
/** Topics that are looked at in one call of {@link Compactions.housekeep}, and partitions that are surveyed. */
const TOPICS_PER_CALL = 10_000
const SURVEYS_PER_CALL = 50
const RETRY_MS_MAX = 600_000
/** Bytes of a record, about: for how many keys there may be. */
const RECORD_BYTES = 64

/** Of one shard, or of all of a node, which share them. */
export interface CompactionLimits {
  /** Bytes of a round's keys. */
  readonly offsetMapBytes: number
  /** Read and written by rounds. */
  readonly bytesPerSecond: number
  /** Between two looks at a partition. */
  readonly intervalMs: number
}

/** Where nobody says otherwise; of a node. */
export const COMPACTION_LIMITS: CompactionLimits = {
  offsetMapBytes: 33_554_432,
  bytesPerSecond: 33_554_432,
  intervalMs: 15_000
}

/** What each of so many shards has of the limits of a node. */
export function shareOfCompaction(limits: CompactionLimits, shards: number): CompactionLimits {
  const { offsetMapBytes, bytesPerSecond, intervalMs } = limits
  return { offsetMapBytes: offsetMapBytes / shards, bytesPerSecond: bytesPerSecond / shards, intervalMs }
}

export interface CompactionsParts {
  readonly engines: Pick<typeof Engines.Service, "get">
  /** All topics; they may come and go while they are gone through. */
  readonly topics: () => Iterator<TopicInfo>
  readonly findById: (id: string) => TopicInfo | undefined
  readonly isOwned: (info: TopicInfo, partition: number) => boolean
  /** Of a partition whose producers' state is kept; undefined where nobody keeps it. */
  readonly producers?: (key: PartitionKey) => KnownProducers | undefined
  readonly clock: ClockShape
  readonly random: Pick<RandomShape, "uint32">
  readonly log: LogShape
  readonly limits: CompactionLimits
}

/** A partition of a compacted topic. */
interface Candidate {
  readonly id: string
  readonly partition: number
  nextMs: number
  failures: number
  dirtyRatio: number
  reason: string
}

/** One that is due. */
interface Due {
  readonly candidate: Candidate
  readonly info: TopicInfo
  readonly settings: TopicSettings
  readonly store: CompactionStore
  readonly survey: CompactionSurvey
  readonly isLate: boolean
}

const ZERO = { runs: 0, failures: 0, bytesRead: 0, bytesWritten: 0, recordsRead: 0, recordsRemoved: 0, unread: 0 }

export class Compactions {
  /** Since the start. */
  readonly counts: Record<keyof typeof ZERO, number> = { ...ZERO }
  /** When the last round ended, ms since 1970, or when this began; how long it took. */
  lastEndMs: number
  lastMs = 0
  readonly #parts: CompactionsParts
  readonly #candidates = new Map<string, Candidate>()
  #walk: Iterator<TopicInfo> | undefined
  #running: Promise<void> | undefined
  #isClosed = false

  constructor(parts: CompactionsParts) {
    this.#parts = parts
    this.lastEndMs = parts.clock.nowMs()
  }

  /** Partitions of compacted topics. */
  get partitions(): number {
    return this.#candidates.size
  }

  /** The largest share of a log that came since it was compacted, 0 to 1. */
  get dirtyRatioMax(): number {
    let largest = 0
    for (const { dirtyRatio } of this.#candidates.values()) largest = Math.max(largest, dirtyRatio)
    return largest
  }

  /** Called about once a second. */
  housekeep(): void {
    if (this.#isClosed) return
    this.#look()
    if (this.#running !== undefined || this.#candidates.size === 0) return
    const isDue = ({ nextMs }: Candidate): boolean => nextMs <= this.#parts.clock.monotonicMs()
    if (![...this.#candidates.values()].some(isDue)) return
    this.#running = this.#next().finally(() => {
      this.#running = undefined
    })
  }

  /** Settled when no round is under way and none will begin. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#running
  }

  /** Goes on through the topics: those that are compacted become candidates. */
  #look(): void {
    for (let left = TOPICS_PER_CALL; left > 0; left--) {
      this.#walk ??= this.#parts.topics()
      const { value: info, done } = this.#walk.next()
      if (done === true) {
        this.#walk = undefined
        return
      }
      if (info.configs === undefined || !settingsOf(info).isCompacted) continue
      for (let partition = 0; partition < info.partitions; partition++) {
        const name = `${info.id}/${partition}`
        if (this.#candidates.has(name) || !this.#parts.isOwned(info, partition)) continue
        this.#candidates.set(name, { id: info.id, partition, nextMs: 0, failures: 0, dirtyRatio: 0, reason: "" })
      }
    }
  }

  /** Looks at those whose time has come, and compacts the one that needs it most. Never rejects. */
  async #next(): Promise<void> {
    const { clock, limits } = this.#parts
    let best: Due | undefined
    let surveys = 0
    for (const [name, candidate] of this.#candidates) {
      if (candidate.nextMs > clock.monotonicMs()) continue
      if (surveys++ >= SURVEYS_PER_CALL || this.#isClosed) break
      candidate.nextMs = clock.monotonicMs() + limits.intervalMs
      const due = await this.#survey(name, candidate)
      if (due === undefined || (best !== undefined && !isBefore(due, best))) continue
      // Who has to wait is looked at again at once.
      if (best !== undefined) best.candidate.nextMs = 0
      best = due
    }
    if (best !== undefined && !this.#isClosed) await this.#run(best)
  }

  /** What is to be done for a partition; undefined where nothing is. */
  async #survey(name: string, candidate: Candidate): Promise<Due | undefined> {
    const { findById, engines, clock } = this.#parts
    const info = findById(candidate.id)
    const settings = info && settingsOf(info)
    if (info === undefined || settings?.isCompacted !== true || !this.#parts.isOwned(info, candidate.partition)) {
      this.#candidates.delete(name)
      return undefined
    }
    const store = engines.get(info.engine)?.compaction
    if (store === undefined) return undefined
    try {
      const key = keyOf(info, candidate.partition)
      const survey = await store.survey(key, segmentLimits(settings))
      if (survey === undefined) return undefined
      candidate.dirtyRatio = ratioOf(survey, survey.dirtyBytes)
      const isLate = await this.#isLate(store, key, survey, settings, clock.nowMs())
      const isDirty = survey.dirtyBytes > 0 && candidate.dirtyRatio > settings.dirtyRatioMin
      return isLate || isDirty ? { candidate, info, settings, store, survey, isLate } : undefined
    } catch (error) {
      this.#failed(candidate, info, error)
      return undefined
    }
  }

  /** Whether the oldest record that was not compacted yet may not stay so. */
  async #isLate(
    store: CompactionStore,
    key: PartitionKey,
    { cleanedTo, activeFrom, dirtyBytes }: CompactionSurvey,
    { compactionLagMsMax }: TopicSettings,
    nowMs: number
  ): Promise<boolean> {
    if (dirtyBytes === 0 || compactionLagMsMax === Number.MAX_SAFE_INTEGER) return false
    const first = await store.read(key, cleanedTo, activeFrom, 1)
    return first.length > 0 && recordBatch.maxTimestamp(first, 0) < nowMs - compactionLagMsMax
  }

  async #run({ candidate, info, settings, store, survey, isLate }: Due): Promise<void> {
    const { clock, random, limits, producers: known } = this.#parts
    const key = keyOf(info, candidate.partition)
    const startedMs = clock.monotonicMs()
    const nowMs = clock.nowMs()
    const map = new OffsetMap({
      bytesMax: limits.offsetMapBytes,
      keysExpected: survey.dirtyBytes / RECORD_BYTES,
      secret: Int32Array.from({ length: SECRET_WORDS }, () => random.uint32())
    })
    const pace = makePace(limits.bytesPerSecond, clock)
    const producers = new ProducerEnds(nowMs, known?.(key))
    const round = new CompactionRound(
      { store, key, survey, map, producers, pace, clock },
      {
        nowMs,
        tombstoneMs: settings.tombstoneMs,
        lagMsMin: settings.compactionLagMsMin,
        // Without what is too young it may be too little.
        isWorth: (dirtyBytes) => isLate || ratioOf(survey, dirtyBytes) > settings.dirtyRatioMin,
        isOver: () => this.#isClosed || this.#parts.findById(info.id) === undefined
      }
    )
    try {
      const result = await round.run()
      this.lastMs = clock.monotonicMs() - startedMs
      candidate.failures = 0
      candidate.reason = ""
      this.#ended(candidate, info, survey, result)
    } catch (error) {
      this.#failed(candidate, info, error)
    }
  }

  #ended(candidate: Candidate, { name: topic }: TopicInfo, survey: CompactionSurvey, result: RoundResult): void {
    const { log, clock, limits } = this.#parts
    const { outcome, cleanedTo, isPartial, ...numbers } = result
    for (const each of ["bytesRead", "bytesWritten", "recordsRead", "recordsRemoved", "unread"] as const) {
      this.counts[each] += numbers[each]
    }
    if (outcome === "nothing") {
      // What came since is too young, or too little of it is not: reading it again soon would find the same.
      candidate.nextMs = clock.monotonicMs() + Math.min(RETRY_MS_MAX, 4 * limits.intervalMs)
      return
    }
    if (outcome === "changed") return
    this.counts.runs += 1
    this.lastEndMs = clock.nowMs()
    candidate.dirtyRatio = 0
    if (isPartial) candidate.nextMs = 0
    const { partition } = candidate
    const from = survey.cleanedTo
    const fields = { topic, partition, from, to: cleanedTo, ...numbers, took_ms: Math.round(this.lastMs) }
    if (numbers.unread === 0) log.info(AREA, "a log was compacted", fields)
    else log.warn(AREA, "a log was compacted, but for batches that cannot be read", fields)
  }

  #failed(candidate: Candidate, { name: topic }: TopicInfo, error: unknown): void {
    const { log, clock, limits } = this.#parts
    this.counts.failures += 1
    const delayMs = Math.min(RETRY_MS_MAX, limits.intervalMs * 2 ** candidate.failures)
    candidate.failures += 1
    candidate.nextMs = clock.monotonicMs() + delayMs
    const reason = error instanceof Error ? error.message : String(error)
    // The same reason is told once.
    if (reason === candidate.reason) return
    candidate.reason = reason
    log.warn(AREA, "a log could not be compacted now; it is tried again", {
      topic,
      partition: candidate.partition,
      reason
    })
  }
}

/** Whether the one is to be compacted before the other. */
function isBefore(one: Due, other: Due): boolean {
  if (one.isLate !== other.isLate) return one.isLate
  return one.candidate.dirtyRatio > other.candidate.dirtyRatio
}

function ratioOf({ cleanBytes }: CompactionSurvey, dirtyBytes: number): number {
  return dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes)
}

/** What may be compacted only in time has to be in a segment that is ended by then. */
function segmentLimits({ segmentMs, segmentBytes, compactionLagMsMax }: TopicSettings): SegmentLimits {
  const ageMsMax = Math.min(segmentMs ?? Number.MAX_SAFE_INTEGER, compactionLagMsMax)
  return { ageMsMax: ageMsMax === Number.MAX_SAFE_INTEGER ? undefined : ageMsMax, sizeBytesMax: segmentBytes }
}
