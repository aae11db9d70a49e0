/** Where the partitions are that a replay reads, and from which offset on each. */
import type { HistoryShape, LogsShape, TopicInfo } from "../../../core/mod.ts"
import { QUOTA_EXCEEDED } from "../reasons.ts"
import { IMPLEMENTATION_SPECIFIC_ERROR } from "../wire/reason-codes.ts"
import type { ReplayFrom } from "./replay-from.ts"

/** Partitions of one replay. */
export const PARTITIONS_MAX = 1_000

/** A place in a partition. */
export interface ReplayPlace {
  readonly topic: TopicInfo
  readonly partition: number
  readonly offset: number
  /** Which log the offset is of, see {@link PartitionState}; undefined = whichever there is. */
  readonly incarnation: number | undefined
}

/** The places, or the Reason Code with which the subscription is refused. */
export async function findStart(
  history: HistoryShape,
  logs: LogsShape,
  tenant: number,
  filter: string,
  from: ReplayFrom
): Promise<ReadonlyArray<ReplayPlace> | number> {
  const topics = await history.homesOf(tenant, filter, PARTITIONS_MAX)
  if (topics === undefined) return QUOTA_EXCEEDED
  const wanted = topics.flatMap((topic) =>
    Array.from({ length: topic.partitions }, (_, partition) => ({ topic, partition }))
  )
  if (wanted.length > PARTITIONS_MAX) return QUOTA_EXCEEDED
  // An offset says nothing where there are several partitions, or none.
  if (from.kind === "offset" && wanted.length !== 1) return IMPLEMENTATION_SPECIFIC_ERROR
  const places: Array<ReplayPlace> = []
  for (const { topic, partition } of wanted) {
    const { refusal, logStartOffset, highWatermark, incarnation } = await logs.state(topic, partition)
    // One that cannot be read now is not passed over in silence.
    if (refusal !== 0) return QUOTA_EXCEEDED
    const offset = await offsetOf(logs, topic, partition, from, logStartOffset, highWatermark)
    if (offset < logStartOffset || offset > highWatermark) return IMPLEMENTATION_SPECIFIC_ERROR
    places.push({ topic, partition, offset, incarnation })
  }
  // What has been stored there until now is not of these names any more; what was when the reader comes back is.
  for (const topic of history
    .formerHomesOf(tenant, filter)
    .filter(({ id }) => !topics.some((home) => home.id === id))) {
    for (let partition = 0; partition < topic.partitions; partition++) {
      if (places.length >= PARTITIONS_MAX) return QUOTA_EXCEEDED
      const { refusal, highWatermark, incarnation } = await logs.state(topic, partition)
      if (refusal !== 0) return QUOTA_EXCEEDED
      places.push({ topic, partition, offset: highWatermark, incarnation })
    }
  }
  return places
}

async function offsetOf(
  logs: LogsShape,
  topic: TopicInfo,
  partition: number,
  from: ReplayFrom,
  logStartOffset: number,
  highWatermark: number
): Promise<number> {
  if (from.kind === "earliest") return logStartOffset
  if (from.kind === "latest") return highWatermark
  if (from.kind === "offset") return from.offset
  const found = await logs.offsetForTimestamp(topic, partition, from.atMs)
  return found === undefined ? highWatermark : Math.max(found.offset, logStartOffset)
}
