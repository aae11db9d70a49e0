/**
 * Retention of partitions that nobody has open: in the course of time each is named to its engine with its bounds.
 *
 * What a partition costs here is a step now and then, whether or not it holds anything: a million take {@link STEPS_MAX} steps a second for
 * a quarter of an hour.
 */
import type { Engines, PartitionLimits } from "../log/Engines.ts"
import { keyOf } from "./OpenPartition.ts"
import type { TopicInfo } from "./TopicInfo.ts"

/** Partitions that are looked at in one call, at most. */
export const STEPS_MAX = 1_000
/** Nobody is looked at again before so many calls. */
export const ROUND_MIN = 60

export interface ClosedTopicsParts {
  readonly engines: typeof Engines.Service
  /** How many topics there are, and all of them: they may come and go while they are gone through. */
  readonly size: () => number
  readonly topics: () => Iterator<TopicInfo>
  /** Whether this shard owns the partition and has not opened it. */
  readonly isClosed: (info: TopicInfo, partition: number) => boolean
  readonly limitsOf: (info: TopicInfo) => PartitionLimits
}

export class ClosedTopics {
  readonly #parts: ClosedTopicsParts
  #topics: Iterator<TopicInfo> | undefined
  /** The topic in the midst of which the last call ended, and its next partition. */
  #info: TopicInfo | undefined
  #partition = 0

  constructor(parts: ClosedTopicsParts) {
    this.#parts = parts
  }

  /** Called about once a second. */
  trimSome(): void {
    for (let left = Math.min(STEPS_MAX, Math.ceil(this.#parts.size() / ROUND_MIN)); left > 0; left--) {
      if (this.#info === undefined || this.#partition >= this.#info.partitions) {
        this.#topics ??= this.#parts.topics()
        const { value, done } = this.#topics.next()
        this.#info = done === true ? undefined : value
        this.#partition = 0
        if (done === true) {
          this.#topics = undefined
          return
        }
      }
      if (this.#info !== undefined) this.#look(this.#info, this.#partition++)
    }
  }

  #look(info: TopicInfo, partition: number): void {
    const { engines, isClosed, limitsOf } = this.#parts
    const engine = engines.get(info.engine)
    if (engine?.trim === undefined || !isClosed(info, partition)) return
    const limits = limitsOf(info)
    const isBounded = limits.ageMsMax > 0 || Math.min(limits.sizeBytesMax, limits.recordsMax) < Number.POSITIVE_INFINITY
    if (isBounded) engine.trim(keyOf(info, partition), limits)
  }
}
