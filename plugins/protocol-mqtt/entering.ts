/**
 * The way of a client's message, a PUBLISH's or a will's, into the ingress: names that mean something to this broker do here what
 * they mean.
 */
import {
  ALLOW,
  checkTopicNameBytes,
  type IngressShape,
  type Message,
  type Principal,
  PUBLISH,
  REFUSED_NOT_AUTHORIZED,
  REFUSED_TOPIC_NAME
} from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { DELAY_INVALID, delayedTopic, isDelayed, parseDelayed } from "./delayed/delayed-name.ts"
import { isReserved } from "./reserved-names.ts"

const DOLLAR = 0x24

/** Where to wait for a message that was taken: see {@link IngressShape}. */
export type PendingPlace = Pick<IngressShape, "pendingStream" | "pendingTicket" | "pendingOwner" | "pendingIsJournaled">

/**
 * Publishes a message, unless its topic name is longer or deeper than is allowed here or the broker's own; outcomes are those of
 * {@link IngressShape.publishUnsafe}. Where to wait for it stands in {@link Broker.pending} until the next call.
 */
export function enter(broker: Broker, message: Message, principal: Principal): number {
  const { topic, topicStart, topicEnd } = message
  const { ingress } = broker.services
  broker.pending = ingress
  if (topic[topicStart] === DOLLAR) {
    if (isDelayed(topic, topicStart, topicEnd)) return enterDelayed(broker, message, principal)
    if (isReserved(topic, topicStart, topicEnd)) {
      return checkTopicNameBytes(topic, topicStart, topicEnd) === 0 ? REFUSED_NOT_AUTHORIZED : REFUSED_TOPIC_NAME
    }
  }
  if (broker.topicBounds.isOver(topic, topicStart, topicEnd)) return REFUSED_TOPIC_NAME
  return ingress.publishUnsafe(message, principal)
}

function enterDelayed(broker: Broker, message: Message, principal: Principal): number {
  const { topic, topicStart, topicEnd } = message
  const dueAtMs = parseDelayed(topic, topicStart, topicEnd, broker.services.clock.nowMs())
  if (dueAtMs === DELAY_INVALID) return REFUSED_TOPIC_NAME
  if (broker.settings.delayed_messages_max === 0) return REFUSED_NOT_AUTHORIZED
  if (broker.topicBounds.isOver(topic, delayedTopic.start, topicEnd)) return REFUSED_TOPIC_NAME
  message.topicStart = delayedTopic.start
  message.wireFormat = 0
  message.begin()
  const outcome = enterAt(broker, message, principal, dueAtMs)
  // Its keeper may have to try again.
  message.topicStart = topicStart
  message.begin()
  return outcome
}

function enterAt(broker: Broker, message: Message, principal: Principal, dueAtMs: number): number {
  const { ingress, access } = broker.services
  if (dueAtMs === 0) return ingress.publishUnsafe(message, principal)
  // Asked again when its time has come; a publisher that may not is told now.
  if (access.checkUnsafe(principal, PUBLISH, message.name) !== ALLOW) return REFUSED_NOT_AUTHORIZED
  broker.pending = broker.delayed
  return broker.delayed.take(message, principal, dueAtMs)
}
