/** JoinGroup, SyncGroup, Heartbeat and LeaveGroup: forms of old versions, and what is counted; the group's owner does the rest. */
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { joinError, syncError } from "../groups/group-events.ts"
import type { heartbeat, joinGroup, leaveGroup, syncGroup } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf, ResponseOf } from "../wire/schema.ts"
import { askGroup } from "./ask-group.ts"

/** From this version on an error has no protocol. */
const NULL_PROTOCOL_FROM = 7
/** From this version on several members leave with one request. */
const LEAVES_FROM = 3

export function handleJoinGroup(
  exchange: Exchange<typeof joinGroup>,
  request: RequestOf<typeof joinGroup>,
  broker: Broker
): void {
  const answerOf = (answer: ResponseOf<typeof joinGroup>): ResponseOf<typeof joinGroup> => {
    broker.counts.error(answer.errorCode)
    return exchange.version < NULL_PROTOCOL_FROM ? { ...answer, protocolName: answer.protocolName ?? "" } : answer
  }
  const unanswered = () => answerOf(joinError(ErrorCode.NOT_COORDINATOR, request.memberId))
  askGroup(exchange, broker, request.groupId, request, unanswered, answerOf)
}

export function handleSyncGroup(
  exchange: Exchange<typeof syncGroup>,
  request: RequestOf<typeof syncGroup>,
  broker: Broker
): void {
  const answerOf = (answer: ResponseOf<typeof syncGroup>): ResponseOf<typeof syncGroup> => {
    broker.counts.error(answer.errorCode)
    return answer
  }
  const unanswered = () => answerOf(syncError(ErrorCode.NOT_COORDINATOR))
  askGroup(exchange, broker, request.groupId, request, unanswered, answerOf)
}

export function handleHeartbeat(
  exchange: Exchange<typeof heartbeat>,
  request: RequestOf<typeof heartbeat>,
  broker: Broker
): void {
  const answerOf = (answer: ResponseOf<typeof heartbeat>): ResponseOf<typeof heartbeat> => {
    broker.counts.error(answer.errorCode)
    return answer
  }
  const unanswered = () => answerOf({ errorCode: ErrorCode.NOT_COORDINATOR })
  askGroup(exchange, broker, request.groupId, request, unanswered, answerOf)
}

export function handleLeaveGroup(
  exchange: Exchange<typeof leaveGroup>,
  request: RequestOf<typeof leaveGroup>,
  broker: Broker
): void {
  const isOne = exchange.version < LEAVES_FROM
  const members = isOne ? [{ memberId: request.memberId, groupInstanceId: null, reason: null }] : request.members
  const answerOf = (answer: ResponseOf<typeof leaveGroup>): ResponseOf<typeof leaveGroup> => {
    const gone = answer.members ?? []
    broker.counts.error(answer.errorCode)
    for (const { errorCode } of gone) broker.counts.error(errorCode ?? 0)
    return isOne ? { errorCode: answer.errorCode || (gone[0]?.errorCode ?? 0) } : answer
  }
  const unanswered = () => answerOf({ errorCode: ErrorCode.NOT_COORDINATOR, members: [] })
  askGroup(exchange, broker, request.groupId, { ...request, members }, unanswered, answerOf)
}
