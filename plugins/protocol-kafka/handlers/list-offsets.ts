/**
 * ListOffsets: the offset of a point in time, or of one of the special points.
 *
 * Source: apache/kafka ReplicaManager.fetchOffset, UnifiedLog.fetchOffsetByTimestamp; KIP-734, KIP-405, KIP-1005, KIP-1023.
 */
import {
  DESCRIBE,
  type OffsetAndTimestamp,
  type PartitionState,
  recordBatch,
  type TopicInfo
} from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { errorOfRefusal } from "../refusal-codes.ts"
import type { listOffsets } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { checkLeaderEpoch, topicFor } from "./topic-access.ts"

type Request = RequestOf<typeof listOffsets>
type TopicAnswer = ElementOf<ResponseOf<typeof listOffsets>, "topics">
type PartitionAnswer = ElementOf<TopicAnswer, "partitions">
type PartitionRequest = ElementOf<ElementOf<Request, "topics">, "partitions">

const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
/** From which version each special timestamp may be asked for; any other negative one never. */
const SPECIAL_FROM: ReadonlyMap<number, number> = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11]
])
const NOWHERE: Omit<PartitionAnswer, "partitionIndex"> = { errorCode: ErrorCode.NONE, timestamp: -1, offset: -1 }

export function handleListOffsets(exchange: Exchange<typeof listOffsets>, request: Request, broker: Broker): void {
  const topics = request.topics.map(async ({ name, partitions }): Promise<TopicAnswer> => {
    const topic = topicFor(broker, exchange.caller, DESCRIBE, name, "", false)
    const twice = repeated(partitions)
    const once = partitions.filter((asked, index) => !twice.has(asked.partitionIndex) || isFirst(partitions, index))
    const answers = once.map(async (asked): Promise<PartitionAnswer> => {
      const found = twice.has(asked.partitionIndex)
        ? ErrorCode.INVALID_REQUEST
        : await find(topic, asked, exchange.version, broker)
      if (typeof found !== "number") return { ...found, partitionIndex: asked.partitionIndex }
      return { ...NOWHERE, partitionIndex: asked.partitionIndex, errorCode: broker.counts.error(found) }
    })
    return { name, partitions: await Promise.all(answers) }
  })
  Promise.all(topics).then(
    (found) => exchange.complete({ topics: found }),
    (error) => exchange.fail(error)
  )
}

/** Partitions that stand more than once in a topic's list. */
function repeated(partitions: ReadonlyArray<PartitionRequest>): ReadonlySet<number> {
  const seen = new Set<number>()
  const twice = new Set<number>()
  for (const { partitionIndex } of partitions) {
    if (seen.has(partitionIndex)) twice.add(partitionIndex)
    seen.add(partitionIndex)
  }
  return twice
}

/** Whether no earlier entry names the same partition. */
function isFirst(partitions: ReadonlyArray<PartitionRequest>, index: number): boolean {
  const { partitionIndex } = partitions[index] ?? { partitionIndex: -1 }
  return partitions.findIndex((other) => other.partitionIndex === partitionIndex) === index
}

/** Where the point in time lies, or an error code: that there is no right to the topic first, that it is not there after what is asked. */
async function find(
  topic: TopicInfo | number,
  asked: PartitionRequest,
  version: number,
  broker: Broker
): Promise<Omit<PartitionAnswer, "partitionIndex"> | number> {
  const { partitionIndex: partition, timestamp } = asked
  if (topic === ErrorCode.TOPIC_AUTHORIZATION_FAILED) return topic
  if (timestamp < 0 && version < (SPECIAL_FROM.get(timestamp) ?? Number.POSITIVE_INFINITY)) {
    return ErrorCode.UNSUPPORTED_VERSION
  }
  if (typeof topic === "number") return topic
  if (partition < 0 || partition >= topic.partitions) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const state = await broker.logs.state(topic, partition)
  if (state.refusal !== 0) return errorOfRefusal(state.refusal)
  const epochError = checkLeaderEpoch(asked.currentLeaderEpoch, state.leaderEpoch)
  if (epochError !== 0) return epochError
  const { leaderEpoch } = state
  switch (timestamp) {
    case LATEST:
      return { ...NOWHERE, offset: state.highWatermark, leaderEpoch }
    case EARLIEST:
    case EARLIEST_LOCAL: {
      const offset = state.logStartOffset
      return { ...NOWHERE, offset, leaderEpoch: await epochAt(topic, partition, offset, state, broker) }
    }
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return NOWHERE
    default: {
      const found =
        timestamp === MAX_TIMESTAMP
          ? await newest(topic, partition, broker)
          : await broker.logs.offsetForTimestamp(topic, partition, timestamp)
      if (found === undefined) return NOWHERE
      return { ...NOWHERE, ...found, leaderEpoch: await epochAt(topic, partition, found.offset, state, broker) }
    }
  }
}

/** The leader epoch of the batch that holds `offset`. */
async function epochAt(
  topic: TopicInfo,
  partition: number,
  offset: number,
  state: PartitionState,
  broker: Broker
): Promise<number> {
  const { bytes } = await broker.logs.read(topic, partition, offset, 0)
  return bytes.length > recordBatch.MAGIC_POSITION ? recordBatch.partitionLeaderEpoch(bytes, 0) : state.leaderEpoch
}

/** The first record of the largest timestamp, found by halving the time between one that exists and one that does not. */
async function newest(topic: TopicInfo, partition: number, broker: Broker): Promise<OffsetAndTimestamp | undefined> {
  const { logs } = broker
  let best = await logs.offsetForTimestamp(topic, partition, 0)
  if (best === undefined) return undefined
  let above = Number.MAX_SAFE_INTEGER
  while (best.timestamp + 1 < above) {
    // Just above what is known first: it is the newest one most often.
    let probe = best.timestamp + 1
    let found = await logs.offsetForTimestamp(topic, partition, probe)
    if (found === undefined) break
    best = found
    probe = best.timestamp + Math.ceil((above - best.timestamp) / 2)
    if (probe >= above) continue
    found = await logs.offsetForTimestamp(topic, partition, probe)
    if (found === undefined) above = probe
    else best = found
  }
  return best
}
