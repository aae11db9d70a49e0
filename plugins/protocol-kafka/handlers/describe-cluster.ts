/**
 * DescribeCluster: the one broker. There is no controller that clients could ask beside it.
 *
 * Source: apache/kafka AuthHelper.computeDescribeClusterResponse; KIP-700, KIP-919.
 */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { describeCluster } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { OPERATIONS_UNKNOWN, operationsOnCluster } from "./authorized-operations.ts"

const BROKERS = 1
const CONTROLLERS = 2

export function handleDescribeCluster(
  exchange: Exchange<typeof describeCluster>,
  request: RequestOf<typeof describeCluster>,
  broker: Broker
): void {
  const { caller } = exchange
  const { endpointType } = request
  const none = { errorMessage: null, clusterId: broker.clusterId, controllerId: broker.nodeId, brokers: [] }
  if (endpointType !== BROKERS) {
    const isController = endpointType === CONTROLLERS
    const errorCode = isController ? ErrorCode.MISMATCHED_ENDPOINT_TYPE : ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
    const message = isController
      ? "this is an endpoint of brokers, and there is none of controllers"
      : `endpoint type ${endpointType} is unknown`
    exchange.complete({
      ...none,
      errorCode: broker.counts.error(errorCode),
      errorMessage: message,
      endpointType: BROKERS
    })
    return
  }
  const { host, port } = caller.advertised
  exchange.complete({
    ...none,
    errorCode: ErrorCode.NONE,
    endpointType,
    brokers: [{ brokerId: broker.nodeId, host, port, rack: null }],
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? operationsOnCluster(broker, caller)
      : OPERATIONS_UNKNOWN
  })
}
