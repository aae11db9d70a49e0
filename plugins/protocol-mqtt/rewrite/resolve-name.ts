/** From what a client says to the topic name that a message is published on: the rules' name, where they make one, and whether it may be. */
import { checkTopicName, type Principal } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { isReservedText } from "../reserved-names.ts"

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

/** `$delayed/seconds/`, where a name begins so. */
export function delayOf(name: string): string {
  return DELAYED_PREFIX.exec(name)?.[0] ?? ""
}
