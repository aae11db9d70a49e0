/**
 * What is promised to one MQTT session, whatever becomes of the broker's process: the messages that were acknowledged to their
 * publishers while a subscription stood, in their order, QoS 2 once; its subscriptions with their options; nothing else.
 *
 * A session is one epoch of a client identifier: a clean start, or a CONNACK without session present, begins the next.
 * Source: MQTT 5.0, sections 3.3.4, 3.8.3, 3.8.4, 3.10.4, 4.1, 4.3 and 4.6.
 */
import { matches } from "../sim/matches.ts"
import type { DecodedOf } from "../support/mqtt-decode.ts"
import { propertiesOf, type Qos } from "../support/mqtt-packets.ts"
import { type Ledger, type Message, show } from "./Ledger.ts"
import type { RetainedModel } from "./RetainedModel.ts"

/** What is asked for with SUBSCRIBE, for one topic filter. */
export interface Wish {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0 = none. */
  readonly identifier: number
}

/** One SUBSCRIBE of one topic filter. */
export interface Subscription extends Wish {
  /** For each retained name that matches: the newest value that was acknowledged when the SUBSCRIBE was sent. */
  readonly floors: ReadonlyMap<string, number>
  /** Moment of its SUBACK; 0 = it may or may not be there. */
  grantedAt: number
  /** A later SUBSCRIBE or UNSUBSCRIBE of the same filter was sent. */
  isSuperseded: boolean
  /** Moment of its UNSUBACK, or of the SUBACK of the one that replaced it; 0 = none. */
  goneAt: number
}

export interface SessionOwner {
  readonly clientId: string
  readonly version: 4 | 5
}

const known = new Map<string, boolean>()
/** {@link matches}, remembered: a run asks the same again and again. */
export function covers(filter: string, name: string): boolean {
  const key = `${filter} ${name}`
  let found = known.get(key)
  if (found === undefined) known.set(key, (found = matches(filter, name)))
  return found
}

export class SessionModel {
  readonly name: string
  readonly owner: SessionOwner
  /** It cannot be resumed any more: nothing is owed to it. */
  hasEnded = false
  /** QoS 2 messages that came and are not released, by packet identifier. The client's own state: it outlives the broker. */
  readonly held = new Map<number, Message | undefined>()
  readonly #ledger: Ledger
  readonly #retained: RetainedModel
  readonly #beganAt: number
  readonly #subscriptions: Array<Subscription> = []
  readonly #owed = new Set<Message>()
  readonly #came = new Set<Message>()
  /** Those that came otherwise than as retained messages: somebody who subscribes while one is published may get it both ways. */
  readonly #cameLive = new Set<Message>()
  readonly #newest = new Map<string, number>()
  /** Messages that came live on the connection that is open now, and how often. */
  #onConnection = new Map<Message, number>()

  constructor(ledger: Ledger, retained: RetainedModel, owner: SessionOwner, epoch: number) {
    this.#ledger = ledger
    this.#retained = retained
    this.owner = owner
    this.name = `${owner.clientId}/session-${epoch}`
    this.#beganAt = ledger.moment()
  }

  /** Topic filters that may be there. */
  get filters(): ReadonlyArray<string> {
    return [...new Set(this.#subscriptions.filter(({ goneAt }) => goneAt === 0).map(({ filter }) => filter))]
  }

  /** Whether a subscription is certainly there. */
  isGranted(filter: string): boolean {
    return this.#subscriptions.some((each) => each.filter === filter && each.grantedAt !== 0 && each.goneAt === 0)
  }

  /** Messages that must still come. */
  get owed(): ReadonlySet<Message> {
    return this.#owed
  }

  /** A connection begins. */
  connected(): void {
    this.#onConnection = new Map()
  }

  /** The session cannot come back. */
  end(): void {
    this.hasEnded = true
    this.#owed.clear()
  }

  /** A SUBSCRIBE is about to be sent. */
  asked(wish: Wish): Subscription {
    this.#supersede(wish.filter)
    const floors = this.#retained.floors(wish.filter)
    const made = { ...wish, floors, grantedAt: 0, isSuperseded: false, goneAt: 0 }
    this.#subscriptions.push(made)
    // Replacing a subscription loses nothing [MQTT-3.8.4-4], unless QoS 0 is what it replaces it by.
    if (wish.qos === 0) this.#forgive(wish.filter)
    return made
  }

  granted(subscription: Subscription): void {
    const now = this.#ledger.moment()
    for (const each of this.#subscriptions) {
      if (each === subscription) break
      if (each.filter === subscription.filter && each.goneAt === 0) each.goneAt = now
    }
    if (!subscription.isSuperseded) subscription.grantedAt = now
  }

  /** An UNSUBSCRIBE is about to be sent; the result is called at its UNSUBACK. What still waits may be dropped from then on. */
  leaving(filter: string): () => void {
    const left = this.#supersede(filter)
    this.#forgive(filter)
    return () => {
      const now = this.#ledger.moment()
      for (const each of left) each.goneAt = now
    }
  }

  #supersede(filter: string): ReadonlyArray<Subscription> {
    const found = this.#subscriptions.filter((each) => each.filter === filter && each.goneAt === 0)
    for (const each of found) {
      each.grantedAt = 0
      each.isSuperseded = true
    }
    return found
  }

  /** What only this filter promised need not come any more. */
  #forgive(filter: string): void {
    for (const message of this.#owed) {
      if (!covers(filter, message.topic)) continue
      const others = this.#standing(message).some((each) => each.filter !== filter && each.qos > 0)
      if (!others) this.#owed.delete(message)
    }
  }

  /** Subscriptions that stood from before a message was sent until now. */
  #standing(message: Message, since = message.sentAt): ReadonlyArray<Subscription> {
    return this.#subscriptions.filter(
      (each) =>
        each.grantedAt !== 0 &&
        each.grantedAt < since &&
        each.goneAt === 0 &&
        covers(each.filter, message.topic) &&
        !(each.noLocal && this.#isOwn(message))
    )
  }

  #isOwn(message: Message): boolean {
    return message.publisher === this.owner.clientId && message.source !== "kafka"
  }

  /** A message was acknowledged to its publisher; `since`: a subscription that stood by then is promised it. */
  taken(message: Message, since: number): void {
    if (this.hasEnded || message.topic === "" || message.qos === 0 || this.#came.has(message)) return
    if (this.#standing(message, since).some(({ qos }) => qos > 0)) {
      if (!this.#owed.has(message)) this.#ledger.counts.owed += 1
      this.#owed.add(message)
    }
  }

  /** A PUBLISH came; `isAgain` where it is a QoS 2 message that is already held. */
  received(packet: DecodedOf<"publish">, isAgain: boolean): Message | undefined {
    const ledger = this.#ledger
    const { topic, payload, qos, retain, dup } = packet
    const where = `${this.name} got "${topic}" (QoS ${qos}${retain ? ", retain" : ""}${dup ? ", dup" : ""})`
    ledger.counts.delivered += 1
    if (dup) ledger.counts.redelivered += 1
    ledger.check(qos > 0 || !dup, () => `${where}: DUP with QoS 0`)
    const asked = this.#subscriptions.filter(({ filter }) => covers(filter, topic))
    if (!ledger.check(asked.length > 0, () => `${where}, which it never subscribed to`)) return undefined
    if (payload.length === 0) {
      ledger.check(this.#retained.isRetainedName(topic), () => `${where} with an empty payload`)
      return undefined
    }
    const message = ledger.messageOf(payload, where)
    if (message === undefined) return undefined
    const what = (): string => `${where}: ${show(message)}`
    ledger.check(message.topic === topic, () => `${what()} was sent on another name`)
    ledger.check(message.forbidden === "", () => `${what()} ${message.forbidden}`)
    const isReplay = retain && message.retain
    ledger.check(!retain || message.retain, () => `${what()} was not published with RETAIN`)
    this.#checkOptions(packet, message, isReplay, what)
    if (isReplay) this.#replayed(topic, message, asked, what)
    else this.#live(packet, message, asked, what, isAgain)
    this.#owed.delete(message)
    this.#came.add(message)
    return message
  }

  /** At the end, with everything drained. */
  checkSettled(): void {
    if (this.hasEnded) return
    for (const message of this.#owed) {
      const by = this.#standing(message).map(({ filter, qos }) => `"${filter}" QoS ${qos}`)
      this.#ledger.fail(
        `lost: ${this.name} never got ${show(message)}, acknowledged, subscribed to by ${by.join(", ")}`
      )
    }
  }

  #live(
    { topic, qos }: DecodedOf<"publish">,
    message: Message,
    asked: ReadonlyArray<Subscription>,
    what: () => string,
    isAgain: boolean
  ): void {
    const ledger = this.#ledger
    ledger.check(
      asked.some(({ goneAt }) => goneAt === 0 || goneAt > message.sentAt),
      () => `${what()} was sent after its UNSUBACK`
    )
    const { acknowledgedAt, lastSentAt } = message
    const wasDone = acknowledgedAt !== 0 && Math.max(acknowledgedAt, lastSentAt) < this.#beganAt
    const isPast = wasDone && message.source !== "will"
    ledger.check(!isPast, () => `${what()} was acknowledged before this session began`)
    const isOwn = this.#isOwn(message)
    ledger.check(!isOwn || asked.some((each) => !each.noLocal), () => `${what()} is its own, and it said no local`)
    if (isAgain) return
    const isFirst = !this.#cameLive.has(message)
    this.#cameLive.add(message)
    ledger.check(qos !== 2 || isFirst || ledger.timesMax(message) > 1, () => `${what()} came again with QoS 2`)
    const timesMax = ledger.timesMax(message)
    const times = (this.#onConnection.get(message) ?? 0) + 1
    this.#onConnection.set(message, times)
    ledger.check(times <= timesMax, () => `${what()} came ${times} times on one connection, sent ${timesMax} times`)
    if (!isFirst) return
    if (message.source === "will") ledger.counts.wills += 1
    const key = `${message.publisher} ${topic} ${qos === 0 ? 0 : 1}`
    const newest = this.#newest.get(key) ?? 0
    ledger.check(
      message.id > newest || this.#came.has(message) || !this.#isOrdered(message, qos),
      () => `${what()} came after the later message #${newest} of the same publisher`
    )
    this.#newest.set(key, Math.max(newest, message.id))
  }

  /** Whether the first copy that comes must be the first that was stored: not where an earlier copy could not reach this session. */
  #isOrdered(message: Message, qos: number): boolean {
    if (message.transmissions <= 1) return true
    return qos > 0 && this.#standing(message).some((each) => each.qos > 0)
  }

  #replayed(topic: string, message: Message, asked: ReadonlyArray<Subscription>, what: () => string): void {
    const ledger = this.#ledger
    ledger.counts.retained += 1
    const floor = Math.min(...asked.map(({ floors }) => floors.get(topic) ?? 0))
    ledger.check(message.id >= floor, () => `${what()} is older than #${floor}, acknowledged before the SUBSCRIBE`)
  }

  /** QoS, subscription identifiers and RETAIN as published are those of the subscriptions, where it is certain which there are. */
  #checkOptions(
    { qos, retain, topic, properties }: DecodedOf<"publish">,
    message: Message,
    isReplay: boolean,
    what: () => string
  ): void {
    const ledger = this.#ledger
    ledger.check(qos <= message.qos, () => `${what()} has a higher QoS than it was published with`)
    const possible = this.#subscriptions.filter((each) => covers(each.filter, topic))
    const identifiers = propertiesOf(properties, "subscriptionIdentifier").map(Number)
    for (const identifier of identifiers) {
      const isAsked = possible.some((each) => each.identifier === identifier)
      ledger.check(isAsked, () => `${what()} has the subscription identifier ${identifier}`)
    }
    if (isReplay && !possible.every(({ retainAsPublished }) => retainAsPublished)) return
    const standing = this.#standing(message)
    const isOpen = possible.some(
      (each) =>
        !standing.includes(each) &&
        (each.goneAt === 0 || each.goneAt > message.sentAt) &&
        !(each.noLocal && this.#isOwn(message))
    )
    if (isOpen || standing.length === 0) return
    const granted = Math.min(message.qos, Math.max(...standing.map((each) => each.qos)))
    ledger.check(qos === granted, () => `${what()} was to come with QoS ${granted}`)
    if (standing.every(({ retainAsPublished }) => retainAsPublished)) {
      ledger.check(retain === message.retain, () => `${what()}: its subscription says retain as published`)
    }
    if (this.owner.version < 5 || isReplay) return
    const wanted = standing.flatMap(({ identifier }) => (identifier === 0 ? [] : [identifier]))
    // One that two of its subscriptions share may come twice or once.
    const sorted = (list: ReadonlyArray<number>): string =>
      [...new Set(list)].toSorted((left, right) => left - right).join(" ")
    ledger.check(
      sorted(identifiers) === sorted(wanted),
      () => `${what()} has the subscription identifiers [${sorted(identifiers)}], its subscriptions [${sorted(wanted)}]`
    )
  }
}
