/**
 * What a Fetch found as its response: the fields of Apache Kafka, one by one.
 *
 * Source: apache/kafka KafkaApis.handleFetchRequest, FetchResponse, FetchPartitionData; KIP-951 (the current leader).
 */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { FetchPartition } from "../fetch-sessions/FetchList.ts"
import type { FetchOutcome } from "../fetch-sessions/fetch-context.ts"
import type { fetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"

type Response = ResponseOf<typeof fetch>
type TopicAnswer = ElementOf<Response, "responses">
type PartitionAnswer = ElementOf<TopicAnswer, "partitions">

/** The isolation level that hides what a transaction has not committed. */
const READ_COMMITTED = 1
/** The first version in which an answer names the leader where the client does not know the right one. */
const LEADER_FROM = 16

export function answerOf(
  { errorCode, sessionId, partitions }: FetchOutcome,
  { isolationLevel }: RequestOf<typeof fetch>,
  { version, caller }: Exchange<typeof fetch>,
  { counts, nodeId }: Broker
): Response {
  const responses: Array<TopicAnswer & { partitions: Array<PartitionAnswer> }> = []
  const isReadCommitted = isolationLevel === READ_COMMITTED
  let topic: FetchPartition["topic"] | undefined
  let namesLeader = false
  for (const partition of partitions) {
    if (partition.topic !== topic) {
      topic = partition.topic
      responses.push({ topic: topic.topic, topicId: topic.topicId, partitions: [] })
    }
    counts.error(partition.errorCode)
    const answer = partitionAnswer(partition, isReadCommitted)
    const isOtherLeader = version >= LEADER_FROM && isLeaderError(partition.errorCode)
    namesLeader ||= isOtherLeader
    const leaderEpoch = partition.state?.leaderEpoch ?? -1
    responses[responses.length - 1]?.partitions.push(
      isOtherLeader ? { ...answer, currentLeader: { leaderId: nodeId, leaderEpoch } } : answer
    )
  }
  counts.error(errorCode)
  if (!namesLeader) return { errorCode, sessionId, responses }
  const { host, port } = caller.advertised
  return { errorCode, sessionId, responses, nodeEndpoints: [{ nodeId, host, port, rack: null }] }
}

function partitionAnswer(wanted: FetchPartition, isReadCommitted: boolean): PartitionAnswer {
  const { partition, errorCode, state, views, diverging, hasAborted } = wanted
  const isRead = errorCode === 0 && state !== undefined
  const highWatermark = isRead ? state.highWatermark : -1
  const answer: PartitionAnswer = {
    partitionIndex: partition,
    errorCode,
    highWatermark,
    // Without transactions every record below the high watermark is stable.
    lastStableOffset: highWatermark,
    logStartOffset: isRead ? state.logStartOffset : -1,
    abortedTransactions: hasAborted && (isReadCommitted || !isRead) ? [] : null,
    records: views
  }
  if (diverging === undefined) return answer
  return { ...answer, divergingEpoch: { epoch: diverging.epoch, endOffset: diverging.epochEndOffset } }
}

function isLeaderError(errorCode: number): boolean {
  return errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || errorCode === ErrorCode.FENCED_LEADER_EPOCH
}
