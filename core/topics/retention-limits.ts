/** What a topic's retention means for each of its partitions. */
import type { PartitionLimits } from "../log/Engines.ts"
import { DEFAULT_RETENTION, type Retention, type TopicInfo } from "./TopicInfo.ts"
import { settingsOf } from "./topic-settings.ts"

/** Very many topics have the same retention. */
const limitsOf = new WeakMap<Retention, PartitionLimits>()

/** Of topics from which nothing is deleted for its age or size: those that are compacted alone. */
const UNLIMITED: PartitionLimits = {
  sizeBytesMax: Number.POSITIVE_INFINITY,
  recordsMax: Number.POSITIVE_INFINITY,
  ageMsMax: 0
}

export function retentionLimits(info: TopicInfo): PartitionLimits {
  const { retention = DEFAULT_RETENTION } = info
  if (info.configs !== undefined && !settingsOf(info).isTrimmed) return UNLIMITED
  const known = limitsOf.get(retention)
  if (known !== undefined) return known
  const { ms, bytes } = retention
  const unlimited = Number.POSITIVE_INFINITY
  const limits = { sizeBytesMax: bytes === 0 ? unlimited : bytes, recordsMax: unlimited, ageMsMax: ms }
  limitsOf.set(retention, limits)
  return limits
}
