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
import { resolveName } from "./rewrite/resolve-name.ts"

const DOLLAR = 0x24
const encoder = new TextEncoder()

/** Where to wait for a message that was taken: see {@link IngressShape}. */
export type PendingPlace = Pick<IngressShape, "pendingStream" | "pendingTicket" | "pendingOwner" | "pendingIsJournaled">

/**
 * Publishes a message, unless its topic name is longer or deeper than is allowed here or the broker's own; outcomes are those of
 * {@link IngressShape.publishUnsafe}. Where to wait for it stands in {@link Broker.pending} until the next call.
 */
export function enter(broker: Broker, message: Message, principal: Principal): number {
  const { topic, topicStart, topicEnd } = message
  broker.pending = broker.services.ingress
  if (topic[topicStart] === DOLLAR && isDelayed(topic, topicStart, topicEnd)) {
    return enterDelayed(broker, message, principal)
  }
  return enterNow(broker, message, principal)
}

/** By the name that the rules make of its own; one that it may not have, or that is none, it does not become anything. */
function enterNow(broker: Broker, message: Message, principal: Principal): number {
  if (!broker.rewrite.hasPublishRules || isRefusedAnyway(broker, message)) return publish(broker, message, principal)
  const { name } = message
  const resolved = resolveName(broker, name, principal)
  if (resolved === undefined) return REFUSED_NOT_AUTHORIZED
  if (resolved === name) return publish(broker, message, principal)
  const made = encoder.encode(resolved)
  return withTopic(message, made, 0, made.length, () => publish(broker, message, principal))
}

/** Whether a message would be refused whatever rules there are. */
function isRefusedAnyway({ topicBounds }: Broker, { topic, topicStart, topicEnd }: Message): boolean {
  return (
    isReserved(topic, topicStart, topicEnd) ||
    checkTopicNameBytes(topic, topicStart, topicEnd) !== 0 ||
    topicBounds.isOver(topic, topicStart, topicEnd)
  )
}

/** Has a message sent on under another topic name. It gets its own one back: its keeper may have to try again. */
function withTopic(message: Message, bytes: Uint8Array, start: number, end: number, send: () => number): number {
  const { topic, topicStart, topicEnd } = message
  message.topic = bytes
  message.topicStart = start
  message.topicEnd = end
  message.wireFormat = 0
  message.begin()
  const outcome = send()
  message.topic = topic
  message.topicStart = topicStart
  message.topicEnd = topicEnd
  message.begin()
  return outcome
}

function publish(broker: Broker, message: Message, principal: Principal): number {
  const { topic, topicStart, topicEnd } = message
  if (isReserved(topic, topicStart, topicEnd)) {
    return checkTopicNameBytes(topic, topicStart, topicEnd) === 0 ? REFUSED_NOT_AUTHORIZED : REFUSED_TOPIC_NAME
  }
  if (broker.topicBounds.isOver(topic, topicStart, topicEnd)) return REFUSED_TOPIC_NAME
  if (broker.refusals.hasPublishRules && isRefused(broker, message)) return REFUSED_NOT_AUTHORIZED
  return broker.services.ingress.publishUnsafe(message, principal)
}

/** Whether the rules refuse its name; one that is none is left to the ingress. */
function isRefused({ refusals }: Broker, { topic, topicStart, topicEnd, name }: Message): boolean {
  return checkTopicNameBytes(topic, topicStart, topicEnd) === 0 && refusals.isPublishRefused(name)
}

function enterDelayed(broker: Broker, message: Message, principal: Principal): number {
  const { topic, topicStart, topicEnd } = message
  const dueAtMs = parseDelayed(topic, topicStart, topicEnd, broker.services.clock.nowMs())
  if (dueAtMs === DELAY_INVALID) return REFUSED_TOPIC_NAME
  if (broker.settings.delayed_messages_max === 0) return REFUSED_NOT_AUTHORIZED
  if (broker.topicBounds.isOver(topic, delayedTopic.start, topicEnd)) return REFUSED_TOPIC_NAME
  return withTopic(message, topic, delayedTopic.start, topicEnd, () => enterAt(broker, message, principal, dueAtMs))
}

function enterAt(broker: Broker, message: Message, principal: Principal, dueAtMs: number): number {
  if (dueAtMs === 0) return enterNow(broker, message, principal)
  // The rules make a name of it, and access is asked for, when its time has come. A publisher that may not is told now.
  const name = resolveName(broker, message.name, principal)
  if (name === undefined || broker.refusals.isPublishRefused(name)) return REFUSED_NOT_AUTHORIZED
  if (broker.services.access.checkUnsafe(principal, PUBLISH, name) !== ALLOW) return REFUSED_NOT_AUTHORIZED
  broker.pending = broker.delayed
  return broker.delayed.take(message, principal, dueAtMs)
}
