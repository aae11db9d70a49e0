/**
 * Fetch: the request as what is wanted of which partition, and the errors that are clear before any log is read. Reading and waiting
 * is FetchPoll's, what is kept from one request to the next is in fetch-sessions/.
 *
 * Source: apache/kafka KafkaApis.handleFetchRequest; KIP-227, KIP-516.
 */
import { READ } from "../../../core/mod.ts"
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { FetchList, FetchPartition } from "../fetch-sessions/FetchList.ts"
import { contextOf } from "../fetch-sessions/fetch-context.ts"
import type { fetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { FetchPoll } from "./FetchPoll.ts"
import { topicFor } from "./topic-access.ts"

/** The first version that names topics by id. */
const BY_ID_FROM = 13
/** The first version in which a replica names itself in a tagged field. */
const REPLICA_STATE_FROM = 15

export function handleFetch(exchange: Exchange<typeof fetch>, request: RequestOf<typeof fetch>, broker: Broker): void {
  const { caller, version } = exchange
  const context = contextOf(request, version >= BY_ID_FROM, caller.principal.tenant, broker.fetchSessions)
  if (typeof context === "number") {
    exchange.complete({ errorCode: broker.counts.error(context), responses: [] })
    return
  }
  const replicaId = version >= REPLICA_STATE_FROM ? request.replicaState.replicaId : request.replicaId
  lookUp(context.list, caller, broker)
  const readable: Array<FetchPartition> = []
  const refused: Array<FetchPartition> = []
  const unknown: Array<FetchPartition> = []
  for (const partition of context.list.partitions) {
    partition.errorCode = refusalOf(partition)
    partition.state = undefined
    partition.diverging = undefined
    partition.hasAborted = true
    partition.views = NO_VIEWS
    if (partition.errorCode === 0) readable.push(partition)
    else if (partition.errorCode === ErrorCode.UNKNOWN_TOPIC_ID) unknown.push(partition)
    else refused.push(partition)
  }
  // An id that is none comes before a partition that is none, as Apache has it.
  const plan = { context, readable, refused: [...unknown, ...refused], isReplica: replicaId >= 0 }
  new FetchPoll(exchange, request, plan, broker).begin()
}

const NO_VIEWS: FetchPartition["views"] = []

function lookUp(list: FetchList, caller: Caller, broker: Broker): void {
  for (const topic of list.topics.values()) {
    const found = topicFor(broker, caller, READ, topic.topic, topic.topicId, list.isById)
    topic.info = typeof found === "number" ? undefined : found
    topic.errorCode = typeof found === "number" ? found : ErrorCode.NONE
  }
}

/** Why a partition is not read at all; 0 = it is. */
function refusalOf({ topic, partition }: FetchPartition): number {
  if (topic.info === undefined) return topic.errorCode
  const isThere = partition >= 0 && partition < topic.info.partitions
  return isThere ? ErrorCode.NONE : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
}
