/**
 * DescribeProducers: who wrote to a partition lately with sequence numbers.
 *
 * Source: apache/kafka KafkaApis.handleDescribeProducersRequest, ReplicaManager.activeProducerState; KIP-664.
 */
import { READ } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { errorOfRefusal } from "../refusal-codes.ts"
import type { describeProducers } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { topicFor } from "./topic-access.ts"

type PartitionAnswer = ElementOf<ElementOf<ResponseOf<typeof describeProducers>, "topics">, "partitions">

/** There are no transactions: none has been begun, and no coordinator has had an epoch. */
const NO_COORDINATOR_EPOCH = -1

export function handleDescribeProducers(
  exchange: Exchange<typeof describeProducers>,
  request: RequestOf<typeof describeProducers>,
  broker: Broker
): void {
  const topics = request.topics.map(async ({ name, partitionIndexes }) => {
    const topic = topicFor(broker, exchange.caller, READ, name, "", false)
    const partitions = partitionIndexes.map(async (partitionIndex): Promise<PartitionAnswer> => {
      if (typeof topic === "number") return refused(partitionIndex, topic, broker)
      if (partitionIndex < 0 || partitionIndex >= topic.partitions) {
        return refused(partitionIndex, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, broker)
      }
      const { refusal, producers } = await broker.logs.producers(topic, partitionIndex)
      if (refusal !== 0) return refused(partitionIndex, errorOfRefusal(refusal), broker)
      const activeProducers = producers.map(({ id, epoch, lastSequence, lastTimestamp }) => ({
        producerId: id,
        producerEpoch: epoch,
        lastSequence,
        lastTimestamp,
        coordinatorEpoch: NO_COORDINATOR_EPOCH
      }))
      return { partitionIndex, errorCode: ErrorCode.NONE, activeProducers }
    })
    return { name, partitions: await Promise.all(partitions) }
  })
  Promise.all(topics).then(
    (found) => exchange.complete({ throttleTimeMs: 0, topics: found }),
    (error) => exchange.fail(error)
  )
}

function refused(partitionIndex: number, errorCode: number, broker: Broker): PartitionAnswer {
  broker.counts.error(errorCode)
  return { partitionIndex, errorCode, errorMessage: errorMessage(errorCode), activeProducers: [] }
}
