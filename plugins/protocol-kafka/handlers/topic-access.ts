/** Finds a topic that a request names, and whether the caller may do with it what it asks. */
import { ALLOW, type TopicInfo } from "../../../core/mod.ts"
import type { Broker, Caller } from "../Broker.ts"
import { ErrorCode } from "../wire/error-codes.ts"

/**
 * The topic of a name, or of an id from `byIdFrom` on, as far as the caller may do `action` (an action of Access) to it; else the
 * error code. Without the right to a topic its absence is not told either.
 */
export function topicFor(
  broker: Broker,
  caller: Caller,
  action: number,
  name: string,
  id: string,
  isById: boolean
): TopicInfo | number {
  const { principal } = caller
  const topic = isById ? ownTopic(broker.topics.findById(id), caller) : broker.topics.find(principal.tenant, name)
  if (isById && topic === undefined) return ErrorCode.UNKNOWN_TOPIC_ID
  if (!mayDo(broker, caller, action, topic?.name ?? name)) return ErrorCode.TOPIC_AUTHORIZATION_FAILED
  return topic ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
}

/** The topic where it is the caller's tenant's: an id of another tenant's topic is an unknown one. */
export function ownTopic(topic: TopicInfo | undefined, caller: Caller): TopicInfo | undefined {
  return topic?.tenant === caller.principal.tenant ? topic : undefined
}

/** Whether the caller may do `action` to `name`. A decision that is still pending is no permission. */
export function mayDo(broker: Broker, caller: Caller, action: number, name: string): boolean {
  return broker.access.checkUnsafe(caller.principal, action, name) === ALLOW
}

/** How a leader epoch that a client believes in compares with the true one: 0 or the error code. A negative one asks for no check. */
export function checkLeaderEpoch(asked: number, actual: number): number {
  if (asked < 0 || asked === actual) return ErrorCode.NONE
  return asked < actual ? ErrorCode.FENCED_LEADER_EPOCH : ErrorCode.UNKNOWN_LEADER_EPOCH
}
