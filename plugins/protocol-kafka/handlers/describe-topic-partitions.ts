/**
 * DescribeTopicPartitions: topics in the order of their names, at most some partitions at a time, and where to go on.
 *
 * Source: apache/kafka DescribeTopicPartitionsRequestHandler, KRaftMetadataCache.describeTopicResponse; KIP-966.
 */
import { DESCRIBE, isKafkaTopicName, type TopicInfo } from "../../../core/mod.ts"
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { describeTopicPartitions } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import { type ElementOf, type RequestOf, type ResponseOf, UUID_ZERO } from "../wire/schema.ts"
import { answerWith } from "./answered-later.ts"
import { operationsOnTopic } from "./authorized-operations.ts"
import { describePartitions } from "./described-partitions.ts"
import { mayDo } from "./topic-access.ts"

type Request = RequestOf<typeof describeTopicPartitions>
type Response = ResponseOf<typeof describeTopicPartitions>
type TopicAnswer = ElementOf<Response, "topics">

/** Partitions of one answer, as Kafka's max.request.partition.size.limit. */
export const ANSWER_PARTITIONS_MAX = 2_000

export function handleDescribeTopicPartitions(
  exchange: Exchange<typeof describeTopicPartitions>,
  request: Request,
  broker: Broker
): void {
  const { cursor } = request
  if (cursor !== null && (cursor.partitionIndex < 0 || request.responsePartitionLimit < 0)) {
    const errorCode = broker.counts.error(ErrorCode.INVALID_REQUEST)
    exchange.complete({ topics: request.topics.map(({ name }) => refused(name, errorCode)) })
    return
  }
  answerWith(exchange, describe(request, broker, exchange.caller))
}

async function describe(request: Request, broker: Broker, caller: Caller): Promise<Response> {
  const { cursor } = request
  let left = Math.max(1, Math.min(request.responsePartitionLimit, ANSWER_PARTITIONS_MAX))
  const topics: Array<TopicAnswer> = []
  const hidden: Array<TopicAnswer> = []
  for (const { name, topic } of candidates(request, left, broker, caller)) {
    if (!mayDo(broker, caller, DESCRIBE, name)) {
      // What a caller asks for by name is refused; what it does not name is not told of.
      if (request.topics.length > 0) hidden.push(refused(name, ErrorCode.TOPIC_AUTHORIZATION_FAILED))
      continue
    }
    if (left <= 0) return { topics: [...topics, ...hidden], nextCursor: { topicName: name, partitionIndex: 0 } }
    if (topic === undefined) {
      const isName = isKafkaTopicName(name)
      topics.push(refused(name, isName ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.INVALID_TOPIC_EXCEPTION))
      continue
    }
    const from = cursor?.topicName === name ? cursor.partitionIndex : 0
    const to = Math.min(topic.partitions, from + left)
    const partitions = await describePartitions(topic, from, to, broker)
    left -= partitions.length
    topics.push({
      errorCode: ErrorCode.NONE,
      name,
      topicId: topic.id,
      isInternal: false,
      // Java clients cannot read null in these two, which the schema allows.
      partitions: partitions.map(({ offlineReplicas = [], ...one }) => ({
        ...{ ...one, offlineReplicas },
        eligibleLeaderReplicas: [],
        lastKnownElr: []
      })),
      topicAuthorizedOperations: operationsOnTopic(broker, caller, name)
    })
    if (to < topic.partitions) {
      return { topics: [...topics, ...hidden], nextCursor: { topicName: name, partitionIndex: to } }
    }
  }
  return { topics: [...topics, ...hidden], nextCursor: null }
}

/** Topics from the cursor on, in the order of their names; of all topics a page that cannot be too small. */
function* candidates(
  { topics, cursor }: Request,
  left: number,
  broker: Broker,
  caller: Caller
): Generator<{ readonly name: string; readonly topic: TopicInfo | undefined }> {
  const { tenant } = caller.principal
  const from = cursor?.topicName ?? ""
  if (topics.length > 0) {
    const names = [...new Set(topics.map(({ name }) => name))].filter((name) => name >= from).toSorted()
    for (const name of names) yield { name, topic: broker.topics.find(tenant, name) }
    return
  }
  const first = broker.topics.find(tenant, from)
  if (first !== undefined) yield { name: first.name, topic: first }
  for (let after = from; ; ) {
    const page = broker.topics.page(tenant, after, "", left + 1)
    for (const topic of page) yield { name: topic.name, topic }
    const last = page.at(-1)
    if (last === undefined || page.length <= left) return
    after = last.name
  }
}

function refused(name: string, errorCode: number): TopicAnswer {
  return { errorCode, name, topicId: UUID_ZERO, isInternal: false, partitions: [] }
}
