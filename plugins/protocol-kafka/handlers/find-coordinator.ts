/**
 * FindCoordinator: this node coordinates every group. There is no coordinator of transactions here yet, and a client that looks for one is
 * given the error of InitProducerId, after which it gives up; one that may be tried again would have it wait for as long as it can.
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

/** What is said of the keys that have no coordinator here. */
const REFUSED: ReadonlyMap<number, readonly [errorCode: number, message: string]> = new Map([
  [
    TRANSACTION,
    [
      ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
      "transactions are not served yet: produce without a transactional id"
    ]
  ],
  [SHARE, [ErrorCode.COORDINATOR_NOT_AVAILABLE, "share groups are not served yet"]]
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
  const [errorCode, errorMessage] = (isKnown ? REFUSED.get(keyType) : undefined) ?? [
    ErrorCode.INVALID_REQUEST,
    `key type ${keyType} is none of this version`
  ]
  const none = { errorCode, errorMessage, nodeId: -1, host: "", port: -1 }
  for (const _ of keys) broker.counts.error(errorCode)
  exchange.complete({ ...none, coordinators: keys.map((key) => ({ ...none, key })) })
}
