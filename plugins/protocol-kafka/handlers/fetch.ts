/**
 * Fetch: the request as what is wanted of which partition, and the errors that are clear before any log is read. Reading and waiting
 * is FetchPoll's.
 *
 * Fetch sessions are not kept: every answer says session 0, which makes each request a full one. A request that goes on with a
 * session is told that there is none.
 *
 * Source: apache/kafka KafkaApis.handleFetchRequest, FetchManager; KIP-227.
 */
import { READ } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { fetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { FetchPoll, type Wanted } from "./FetchPoll.ts"
import { topicFor } from "./topic-access.ts"

/** The first version that names topics by id. */
const BY_ID_FROM = 13
/** Session epochs that ask for everything: a new session, and none. */
const EPOCH_INITIAL = 0
const EPOCH_NONE = -1

export function handleFetch(exchange: Exchange<typeof fetch>, request: RequestOf<typeof fetch>, broker: Broker): void {
  if (request.sessionEpoch !== EPOCH_INITIAL && request.sessionEpoch !== EPOCH_NONE) {
    exchange.complete({ errorCode: broker.counts.error(ErrorCode.FETCH_SESSION_ID_NOT_FOUND), responses: [] })
    return
  }
  const isById = exchange.version >= BY_ID_FROM
  const wanted: Array<Wanted> = []
  for (const { topic: name, topicId, partitions } of request.topics) {
    const found = topicFor(broker, exchange.caller, READ, name, topicId, isById)
    const group = { topic: name, topicId }
    for (const { partition, fetchOffset, partitionMaxBytes, currentLeaderEpoch } of partitions) {
      const topic = typeof found === "number" ? undefined : found
      let errorCode: number = typeof found === "number" ? found : ErrorCode.NONE
      if (topic !== undefined && (partition < 0 || partition >= topic.partitions)) {
        errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      }
      wanted.push({
        group,
        topic,
        partition,
        offset: fetchOffset,
        sizeMax: Math.max(0, partitionMaxBytes),
        leaderEpoch: currentLeaderEpoch,
        knownError: errorCode,
        errorCode,
        state: undefined,
        views: [],
        isElsewhere: false
      })
    }
  }
  new FetchPoll(exchange, request, wanted, broker).begin()
}
