/**
 * FindCoordinator: this node coordinates every group; there is no coordinator of transactions here yet, and the answer says so with an
 * error after which clients give up: a coordinator that is not available (15) is one that they ask for again and again.
 *
 * Source: apache/kafka KafkaApis.handleFindCoordinatorRequest, TransactionManager.FindCoordinatorHandler (which errors are final).
 */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { findCoordinator } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"

const GROUP = 0
const TRANSACTION = 1
const SHARE = 2
/** The first version that knows share groups. */
const SHARE_FROM = 6
/** The first version with a list of keys. */
const BATCHED_FROM = 4

/** By the type of a key, what is said of it: the same that InitProducerId answers to a transactional id. */
const ABSENT: ReadonlyMap<number, { readonly errorCode: number; readonly errorMessage: string }> = new Map([
  [
    TRANSACTION,
    {
      errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
      errorMessage: "transactions are not served yet: produce without a transactional id"
    }
  ],
  [SHARE, { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, errorMessage: "share groups are not served yet" }]
])

export function handleFindCoordinator(
  exchange: Exchange<typeof findCoordinator>,
  request: RequestOf<typeof findCoordinator>,
  broker: Broker
): void {
  const { keyType } = request
  const keys = exchange.version >= BATCHED_FROM ? request.coordinatorKeys : [request.key]
  if (keyType === GROUP) {
    const { host, port } = exchange.caller.advertised
    const found = { errorCode: ErrorCode.NONE, errorMessage: null, nodeId: broker.nodeId, host, port }
    exchange.complete({ ...found, coordinators: keys.map((key) => ({ ...found, key })) })
    return
  }
  const isKnown = keyType !== SHARE || exchange.version >= SHARE_FROM
  const absent = (isKnown ? ABSENT.get(keyType) : undefined) ?? {
    errorCode: ErrorCode.INVALID_REQUEST,
    errorMessage: `key type ${keyType} is none of this version`
  }
  const none = { ...absent, nodeId: -1, host: "", port: -1 }
  for (const _ of keys) broker.counts.error(absent.errorCode)
  exchange.complete({ ...none, coordinators: keys.map((key) => ({ ...none, key })) })
}
