/** What a topic's retention means for each of its partitions. */
import type { PartitionLimits } from "../log/Engines.ts"
import { DEFAULT_RETENTION, type Retention, type TopicInfo } from "./TopicInfo.ts"

/** Very many topics have the same retention. */
const limitsOf = new WeakMap<Retention, PartitionLimits>()

export function retentionLimits({ retention = DEFAULT_RETENTION }: TopicInfo): PartitionLimits {
  const known = limitsOf.get(retention)
  if (known !== undefined) return known
  const { ms, bytes } = retention
  const unlimited = Number.POSITIVE_INFINITY
  const limits = { sizeBytesMax: bytes === 0 ? unlimited : bytes, recordsMax: unlimited, ageMsMax: ms }
  limitsOf.set(retention, limits)
  return limits
}
