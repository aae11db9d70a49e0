/** From what a client says to the topic name that a message is published on: the rules' name, where they make one, and whether it may be. */
import { checkTopicName, type Principal } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { isDelayedWrong } from "../delayed/delayed-name.ts"
import { NOT_AUTHORIZED } from "../reasons.ts"
import { isReservedText } from "../reserved-names.ts"
import { TOPIC_NAME_INVALID } from "../wire/reason-codes.ts"

const DELAYED_PREFIX = /^\$delayed\/\d+\//

/** The name to publish on in the place of one that is right; undefined where the rules make of it what nobody may publish on. */
export function resolveName({ rewrite, topicBounds }: Broker, name: string, principal: Principal): string | undefined {
  const made = rewrite.published(name, principal)
  if (made === name) return name
  return checkTopicName(made) === 0 && !isReservedText(made) && !topicBounds.isTextOver(made) ? made : undefined
}

/** Whether the rules would refuse a message on a right name, be it delayed, if it were published now. */
export function isRefusedName(broker: Broker, name: string, principal: Principal): boolean {
  if (!broker.rewrite.hasPublishRules && !broker.refusals.hasPublishRules) return false
  const resolved = resolveName(broker, name.slice(delayOf(name).length), principal)
  return resolved === undefined || broker.refusals.isPublishRefused(resolved)
}

/** Whether a client may say a name at all, be it delayed: 0 or the Reason Code of its refusal, before any rule is asked. */
export function judgeName({ topicBounds, services }: Broker, name: string): number {
  const plain = name.slice(delayOf(name).length)
  if (checkTopicName(name) !== 0 || isDelayedWrong(name, services.clock.nowMs()) || topicBounds.isTextOver(plain)) {
    return TOPIC_NAME_INVALID
  }
  return isReservedText(plain) ? NOT_AUTHORIZED : 0
}

/** `$delayed/seconds/`, where a name begins so. */
export function delayOf(name: string): string {
  return DELAYED_PREFIX.exec(name)?.[0] ?? ""
}
