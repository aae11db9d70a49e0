/**
 * InitProducerId: an id that no other producer has, under epoch 0. There are no transactions yet: a transactional id is refused with an
 * error after which clients give up.
 *
 * Source: apache/kafka KafkaApis.handleInitProducerIdRequest, TransactionCoordinator.handleInitProducerId; KIP-98, KIP-360.
 */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { initProducerId } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"

const NONE = -1

export function handleInitProducerId(
  exchange: Exchange<typeof initProducerId>,
  request: RequestOf<typeof initProducerId>,
  broker: Broker
): void {
  const refused = refusedWith(request)
  const answer = (producerId: number): void => {
    if (producerId >= 0)
      exchange.complete({ throttleTimeMs: 0, errorCode: ErrorCode.NONE, producerId, producerEpoch: 0 })
    else refuse(exchange, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, broker)
  }
  if (refused !== ErrorCode.NONE) refuse(exchange, refused, broker)
  else broker.newProducerId().then(answer, (error) => exchange.fail(error))
}

function refusedWith({ transactionalId, producerId, producerEpoch }: RequestOf<typeof initProducerId>): number {
  if (transactionalId === "") return ErrorCode.INVALID_REQUEST
  // There is no right to any: one is not given the chance to believe that it works.
  if (transactionalId !== null) return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  return (producerId === NONE) === (producerEpoch === NONE) ? ErrorCode.NONE : ErrorCode.INVALID_REQUEST
}

function refuse(exchange: Exchange<typeof initProducerId>, errorCode: number, broker: Broker): void {
  exchange.complete({
    throttleTimeMs: 0,
    errorCode: broker.counts.error(errorCode),
    producerId: NONE,
    producerEpoch: NONE
  })
}
