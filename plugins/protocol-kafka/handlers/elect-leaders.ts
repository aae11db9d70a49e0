/**
 * ElectLeaders: each partition has one replica, which leads it: there is nothing to elect, and that is what is said.
 *
 * Source: apache/kafka ReplicationControlManager.electLeaders; KIP-460.
 */
import { ALTER } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { electLeaders } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { mayDo } from "./topic-access.ts"

/** Preferred, and unclean. */
const ELECTION_TYPES: ReadonlySet<number> = new Set([0, 1])

export function handleElectLeaders(
  exchange: Exchange<typeof electLeaders>,
  request: RequestOf<typeof electLeaders>,
  broker: Broker
): void {
  const { caller } = exchange
  if (!mayDo(broker, caller, ALTER, CLUSTER)) {
    const errorCode = broker.counts.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    exchange.complete({ errorCode, replicaElectionResults: [] })
    return
  }
  if (!ELECTION_TYPES.has(request.electionType)) {
    exchange.complete({ errorCode: broker.counts.error(ErrorCode.INVALID_REQUEST), replicaElectionResults: [] })
    return
  }
  // Of all partitions those are told that were elected: none.
  const asked = request.topicPartitions ?? []
  const replicaElectionResults = asked.map(({ topic, partitions }) => {
    const found = broker.topics.find(caller.principal.tenant, topic)
    const partitionResult = partitions.map((partitionId) => {
      const isThere = found !== undefined && partitionId >= 0 && partitionId < found.partitions
      const errorCode = isThere ? ErrorCode.ELECTION_NOT_NEEDED : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      return { partitionId, errorCode: broker.counts.error(errorCode), errorMessage: errorMessage(errorCode) }
    })
    return { topic, partitionResult }
  })
  exchange.complete({ errorCode: ErrorCode.NONE, replicaElectionResults })
}
