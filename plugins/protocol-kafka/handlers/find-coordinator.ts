/** FindCoordinator: there is no coordinator of groups or transactions here yet, and the answer says so. */
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

const MESSAGES: ReadonlyMap<number, string> = new Map([
  [GROUP, "consumer groups are not served yet: assign partitions instead of subscribing"],
  [TRANSACTION, "transactions are not served yet: produce without a transactional id"],
  [SHARE, "share groups are not served yet"]
])

export function handleFindCoordinator(
  exchange: Exchange<typeof findCoordinator>,
  request: RequestOf<typeof findCoordinator>,
  broker: Broker
): void {
  const message = MESSAGES.get(request.keyType)
  const isValid = message !== undefined && (request.keyType !== SHARE || exchange.version >= SHARE_FROM)
  const errorCode = isValid ? ErrorCode.COORDINATOR_NOT_AVAILABLE : ErrorCode.INVALID_REQUEST
  const errorMessage = isValid ? message : `key type ${request.keyType} is none of this version`
  const none = { errorCode, errorMessage, nodeId: -1, host: "", port: -1 }
  const keys = exchange.version >= BATCHED_FROM ? request.coordinatorKeys : [request.key]
  for (const _ of keys) broker.counts.error(errorCode)
  exchange.complete({ ...none, coordinators: keys.map((key) => ({ ...none, key })) })
}
