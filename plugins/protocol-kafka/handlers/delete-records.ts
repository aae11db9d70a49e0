/**
 * DeleteRecords: the log of a partition starts at an offset from now on; answered when that is committed as the topic's mode promises.
 *
 * Source: apache/kafka ReplicaManager.deleteRecordsOnLocalLog, UnifiedLog.maybeIncrementLogStartOffset; KIP-107.
 */
import { DELETE, HIGH_WATERMARK, OUT_OF_RANGE, type TopicInfo } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { errorOfRefusal } from "../refusal-codes.ts"
import type { deleteRecords } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { answerWith, mapInOrder } from "./answered-later.ts"
import { topicFor } from "./topic-access.ts"

type Request = RequestOf<typeof deleteRecords>
type TopicAnswer = ElementOf<ResponseOf<typeof deleteRecords>, "topics">
type PartitionAnswer = ElementOf<TopicAnswer, "partitions">
type PartitionRequest = ElementOf<ElementOf<Request, "topics">, "partitions">

export function handleDeleteRecords(exchange: Exchange<typeof deleteRecords>, request: Request, broker: Broker): void {
  const topics = mapInOrder(request.topics, async ({ name, partitions }): Promise<TopicAnswer> => {
    const topic = topicFor(broker, exchange.caller, DELETE, name, "", false)
    const answers = await mapInOrder(partitions, (asked) =>
      typeof topic === "number" ? Promise.resolve(refusal(asked, topic, broker)) : remove(topic, asked, broker)
    )
    return { name, partitions: answers }
  })
  answerWith(
    exchange,
    topics.then((found) => ({ topics: found }))
  )
}

async function remove(topic: TopicInfo, asked: PartitionRequest, broker: Broker): Promise<PartitionAnswer> {
  const { partitionIndex, offset } = asked
  if (partitionIndex < 0 || partitionIndex >= topic.partitions) {
    return refusal(asked, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, broker)
  }
  if (offset < HIGH_WATERMARK) return refusal(asked, ErrorCode.OFFSET_OUT_OF_RANGE, broker)
  const result = await broker.logs.deleteBefore(topic, partitionIndex, offset)
  if (result.refusal !== 0) {
    const isBeyond = result.refusal === OUT_OF_RANGE
    return refusal(asked, isBeyond ? ErrorCode.OFFSET_OUT_OF_RANGE : errorOfRefusal(result.refusal), broker)
  }
  return { partitionIndex, lowWatermark: result.logStartOffset, errorCode: ErrorCode.NONE }
}

function refusal({ partitionIndex }: PartitionRequest, errorCode: number, broker: Broker): PartitionAnswer {
  return { partitionIndex, lowWatermark: -1, errorCode: broker.counts.error(errorCode) }
}
