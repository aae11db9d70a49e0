/** What a subscriber is to get of one topic name: its matching subscriptions taken together. */
import type { Message } from "../ingress/Message.ts"

/** Receives messages; a session of a protocol. */
export interface Subscriber {
  /** Takes a message; its ranges hold until this returns (keep {@link Message.owned}). Never throws. */
  deliverUnsafe(message: Message, delivery: Delivery): void
}

/** One topic filter of one subscriber, with its options: what is said to a table of them, and what it answers. */
export class Subscription {
  readonly subscriber: Subscriber
  readonly filter: string
  /** Granted QoS. */
  readonly qos: number
  /** The client identifier whose own messages are left out; "" = none. */
  readonly noLocal: string
  readonly retainAsPublished: boolean
  /** Subscription identifier; 0 = none. */
  readonly identifier: number
  #alone: Delivery | undefined

  constructor(
    subscriber: Subscriber,
    filter: string,
    qos: number,
    noLocal: string,
    retainAsPublished: boolean,
    identifier: number
  ) {
    this.subscriber = subscriber
    this.filter = filter
    this.qos = qos
    this.noLocal = noLocal
    this.retainAsPublished = retainAsPublished
    this.identifier = identifier
  }

  /** {@link Subscription.identifier} as a delivery has it. */
  get identifiers(): ReadonlyArray<number> {
    return this.identifier === 0 ? NO_IDENTIFIERS : [this.identifier]
  }

  /** The delivery for a name that only this subscription of its subscriber matches; made once. */
  get alone(): Delivery {
    this.#alone ??= new Delivery(
      this.subscriber,
      this.qos,
      this.noLocal,
      this.retainAsPublished,
      this.identifiers,
      NO_PARTS
    )
    return this.#alone
  }
}

const NO_IDENTIFIERS: ReadonlyArray<number> = []
const NO_PARTS: ReadonlyArray<Subscription> = []

export class Delivery {
  readonly subscriber: Subscriber
  /** Highest granted QoS. */
  readonly qos: number
  readonly noLocal: string
  readonly retainAsPublished: boolean
  readonly identifiers: ReadonlyArray<number>
  /** The subscriptions behind it where they are several and one says no local; empty else. */
  readonly parts: ReadonlyArray<Subscription>

  constructor(
    subscriber: Subscriber,
    qos: number,
    noLocal: string,
    retainAsPublished: boolean,
    identifiers: ReadonlyArray<number>,
    parts: ReadonlyArray<Subscription>
  ) {
    this.subscriber = subscriber
    this.qos = qos
    this.noLocal = noLocal
    this.retainAsPublished = retainAsPublished
    this.identifiers = identifiers
    this.parts = parts
  }

  /** Takes subscriptions that match one name together, one delivery a subscriber, in the order of first appearance. */
  static gather(matched: ReadonlyArray<Subscription>): ReadonlyArray<Delivery> {
    if (matched.length === 0) return NO_DELIVERIES
    const only = matched[0]
    if (matched.length === 1 && only !== undefined) return [only.alone]
    const groups = new Map<Subscriber, Subscription | Array<Subscription>>()
    for (const subscription of matched) {
      const group = groups.get(subscription.subscriber)
      if (group === undefined) groups.set(subscription.subscriber, subscription)
      else if (Array.isArray(group)) group.push(subscription)
      else groups.set(subscription.subscriber, [group, subscription])
    }
    const deliveries: Array<Delivery> = []
    for (const group of groups.values()) {
      if (Array.isArray(group)) deliveries.push(Delivery.merge(group))
      else deliveries.push(group.alone)
    }
    return deliveries
  }

  /** What is left for the publisher itself: the subscriptions without no local; undefined where none is. */
  forPublisher(): Delivery | undefined {
    const rest = this.parts.filter((part) => part.noLocal === "")
    return rest.length === 0 ? undefined : Delivery.merge(rest)
  }

  /** The delivery of subscriptions that one subscriber has, one at least. */
  static merge(group: ReadonlyArray<Subscription>): Delivery {
    const first = group[0]
    if (group.length === 1 && first !== undefined) return first.alone
    let qos = 0
    let retainAsPublished = false
    let noLocal = ""
    const identifiers: Array<number> = []
    for (const subscription of group) {
      qos = Math.max(qos, subscription.qos)
      retainAsPublished ||= subscription.retainAsPublished
      if (subscription.noLocal !== "") noLocal = subscription.noLocal
      if (subscription.identifier !== 0 && !identifiers.includes(subscription.identifier)) {
        identifiers.push(subscription.identifier)
      }
    }
    const subscriber = (first as Subscription).subscriber
    return new Delivery(subscriber, qos, noLocal, retainAsPublished, identifiers, noLocal === "" ? NO_PARTS : group)
  }
}

export const NO_DELIVERIES: ReadonlyArray<Delivery> = []
