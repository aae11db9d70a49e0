/**
 * DescribeUserScramCredentials: nobody logs in to this listener, so nobody has credentials. Asked for by who describes users' quotas.
 *
 * Source: apache/kafka ScramImage.describe; KIP-554.
 */
import { DESCRIBE } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { describeUserScramCredentials } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { repeatedOf } from "./answered-later.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { mayDo } from "./topic-access.ts"

export function handleDescribeUserScramCredentials(
  exchange: Exchange<typeof describeUserScramCredentials>,
  request: RequestOf<typeof describeUserScramCredentials>,
  broker: Broker
): void {
  if (!mayDo(broker, exchange.caller, DESCRIBE, CLUSTER)) {
    const errorCode = broker.counts.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    exchange.complete({ errorCode, errorMessage: errorMessage(errorCode), results: [] })
    return
  }
  const names = (request.users ?? []).map(({ name }) => name)
  const twice = repeatedOf(names)
  const results = [...new Set(names)].map((user) => {
    const errorCode = twice.has(user) ? ErrorCode.DUPLICATE_RESOURCE : ErrorCode.RESOURCE_NOT_FOUND
    return {
      user,
      errorCode: broker.counts.error(errorCode),
      errorMessage: errorMessage(errorCode),
      credentialInfos: []
    }
  })
  exchange.complete({ errorCode: ErrorCode.NONE, errorMessage: null, results })
}
