/**
 * The bounds of topics that a PUBLISH creates: so many, so many bytes, so many creations a second; the least recently written is
 * evicted. Each shard has its share of the node's bounds for the topics that it coordinates.
 */
import type { PartitionLimits } from "../log/Engines.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TopicInfo } from "./TopicInfo.ts"

export interface PublishedTopicsLimits {
  readonly topicsMax: number
  readonly creationsPerSecond: number
  /** Bytes of all such topics together. */
  readonly sizeBytesMax: number
  /** Bounds of one topic. */
  readonly topicSizeBytesMax: number
  readonly topicRecordsMax: number
}

/** What the bounds are by default; docs/architecture.md lists them with the others. */
export const PUBLISHED_TOPICS_LIMITS: PublishedTopicsLimits = {
  topicsMax: 10_000,
  creationsPerSecond: 100,
  sizeBytesMax: 268_435_456,
  topicSizeBytesMax: 1_048_576,
  topicRecordsMax: 1_000
}

export class PublishedTopics {
  /** Creations that the rate refused; what then becomes of the message is the ingress's to say. */
  refusedCount = 0
  createdCount = 0
  evictedCount = 0
  readonly #limits: PublishedTopicsLimits
  readonly #topicsMax: number
  readonly #sizeBytesMax: number
  readonly #ratePerMs: number
  readonly #burst: number
  readonly #clock: ClockShape
  readonly #topics = new Map<string, { readonly info: TopicInfo; readonly log: PartitionLog }>()
  #tokens: number
  #tokensAtMs: number

  constructor(limits: PublishedTopicsLimits, shards: number, clock: ClockShape) {
    this.#limits = limits
    this.#clock = clock
    this.#topicsMax = Math.max(1, Math.floor(limits.topicsMax / shards))
    this.#sizeBytesMax = limits.sizeBytesMax / shards
    this.#burst = Math.max(1, Math.floor(limits.creationsPerSecond / shards))
    this.#ratePerMs = this.#burst / 1000
    this.#tokens = this.#burst
    this.#tokensAtMs = clock.monotonicMs()
  }

  get count(): number {
    return this.#topics.size
  }

  get partitionLimits(): PartitionLimits {
    return { sizeBytesMax: this.#limits.topicSizeBytesMax, recordsMax: this.#limits.topicRecordsMax, ageMsMax: 0 }
  }

  /** Whether one more may be created now; takes one from the rate. */
  admit(): boolean {
    const now = this.#clock.monotonicMs()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#tokensAtMs) * this.#ratePerMs)
    this.#tokensAtMs = now
    if (this.#tokens < 1) {
      this.refusedCount += 1
      return false
    }
    this.#tokens -= 1
    return true
  }

  /** Counts a new topic in; returns those that must go for it. */
  add(info: TopicInfo, log: PartitionLog): ReadonlyArray<TopicInfo> {
    this.createdCount += 1
    this.#topics.set(info.id, { info, log })
    const evicted: Array<TopicInfo> = []
    if (this.#topics.size > this.#topicsMax) this.#evictOldest(evicted, info.id)
    return evicted
  }

  /** Adds up what the topics hold; returns those that must go for the byte bound. */
  census(): ReadonlyArray<TopicInfo> {
    let total = 0
    for (const topic of this.#topics.values()) total += topic.log.sizeBytes
    const evicted: Array<TopicInfo> = []
    while (total > this.#sizeBytesMax && this.#topics.size > 1) total -= this.#evictOldest(evicted, "")
    return evicted
  }

  remove(id: string): void {
    this.#topics.delete(id)
  }

  #evictOldest(evicted: Array<TopicInfo>, spared: string): number {
    let oldest: { readonly info: TopicInfo; readonly log: PartitionLog } | undefined
    for (const topic of this.#topics.values()) {
      if (topic.info.id === spared) continue
      if (oldest === undefined || topic.log.lastWrite < oldest.log.lastWrite) oldest = topic
    }
    if (oldest === undefined) return 0
    this.#topics.delete(oldest.info.id)
    this.evictedCount += 1
    evicted.push(oldest.info)
    return oldest.log.sizeBytes
  }
}
