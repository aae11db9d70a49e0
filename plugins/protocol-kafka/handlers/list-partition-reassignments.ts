/**
 * ListPartitionReassignments: no replica is ever on its way to another broker. Topics that are moved to another engine stay where they are.
 *
 * Source: apache/kafka ReplicationControlManager.listPartitionReassignments (what is not being reassigned is left out, unknown or not).
 */
import { DESCRIBE } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { listPartitionReassignments } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { mayDo } from "./topic-access.ts"

export function handleListPartitionReassignments(
  exchange: Exchange<typeof listPartitionReassignments>,
  _request: RequestOf<typeof listPartitionReassignments>,
  broker: Broker
): void {
  const isAllowed = mayDo(broker, exchange.caller, DESCRIBE, CLUSTER)
  const errorCode = isAllowed ? ErrorCode.NONE : ErrorCode.CLUSTER_AUTHORIZATION_FAILED
  const message = isAllowed ? null : errorMessage(errorCode)
  exchange.complete({ errorCode: broker.counts.error(errorCode), errorMessage: message, topics: [] })
}
