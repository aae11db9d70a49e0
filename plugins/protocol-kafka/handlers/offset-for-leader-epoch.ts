/**
 * OffsetForLeaderEpoch: where a leader epoch ends. A reader that was told another leader epoch than before asks for the end of the epoch of
 * its last record: an end before its own offset says that what it read is gone.
 *
 * Source: apache/kafka KafkaApis.handleOffsetForLeaderEpochRequest, Partition.lastOffsetForLeaderEpoch; KIP-320.
 */
import { DESCRIBE, type TopicInfo } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { errorOfRefusal } from "../refusal-codes.ts"
import type { offsetForLeaderEpoch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { checkLeaderEpoch, topicFor } from "./topic-access.ts"

type Request = RequestOf<typeof offsetForLeaderEpoch>
type PartitionRequest = ElementOf<ElementOf<Request, "topics">, "partitions">
type PartitionAnswer = ElementOf<ElementOf<ResponseOf<typeof offsetForLeaderEpoch>, "topics">, "partitions">

export function handleOffsetForLeaderEpoch(
  exchange: Exchange<typeof offsetForLeaderEpoch>,
  request: Request,
  broker: Broker
): void {
  const topics = request.topics.map(async ({ topic: name, partitions }) => {
    const topic = topicFor(broker, exchange.caller, DESCRIBE, name, "", false)
    const answers = partitions.map(async (asked): Promise<PartitionAnswer> => {
      const found = typeof topic === "number" ? topic : await endOf(topic, asked, broker)
      const { partition } = asked
      if (typeof found === "number") return { partition, errorCode: broker.counts.error(found), endOffset: -1 }
      return { partition, errorCode: ErrorCode.NONE, ...found }
    })
    return { topic: name, partitions: await Promise.all(answers) }
  })
  Promise.all(topics).then(
    (found) => exchange.complete({ topics: found }),
    (error) => exchange.fail(error)
  )
}

async function endOf(
  topic: TopicInfo,
  { partition, currentLeaderEpoch, leaderEpoch }: PartitionRequest,
  broker: Broker
): Promise<{ leaderEpoch: number; endOffset: number } | number> {
  if (partition < 0 || partition >= topic.partitions) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const end = await broker.logs.epochEnd(topic, partition, leaderEpoch)
  // Fencing first: under another epoch the answer is somebody else's.
  const epochError = end.leaderEpoch < 0 ? 0 : checkLeaderEpoch(currentLeaderEpoch, end.leaderEpoch)
  if (epochError !== 0) return epochError
  if (end.refusal !== 0) return errorOfRefusal(end.refusal)
  return { leaderEpoch: end.epoch, endOffset: end.epochEndOffset }
}
