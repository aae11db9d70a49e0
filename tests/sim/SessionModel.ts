/**
 * What the standard and the design promise to one MQTT session, kept outside the broker: its subscriptions as far as they are
 * certain, what it must get, what it got, and whether it may have got that.
 *
 * A session is one epoch of a client identifier: a clean start, or a CONNACK without session present, begins the next.
 */
import type { DecodedOf } from "../support/mqtt-decode.ts"
import { type PropertyValue, propertiesOf } from "../support/mqtt-packets.ts"
import { matches } from "./matches.ts"
import type { RetainedModel } from "./RetainedModel.ts"
import type { Persona, Qos } from "./Scenario.ts"
import { type SimMessage, show, type World } from "./World.ts"

/** One SUBSCRIBE of one topic filter. */
export interface SimSubscription {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0 = none. */
  readonly identifier: number
  /** For each retained name that matches: the newest value that was acknowledged when the SUBSCRIBE was sent. */
  readonly floors: ReadonlyMap<string, number>
  /** Moment of its SUBACK; 0 = it may or may not be there. */
  grantedAt: number
  /** A later SUBSCRIBE or UNSUBSCRIBE of the same filter was sent. */
  isSuperseded: boolean
  /** Moment of its UNSUBACK, or of the SUBACK of the one that replaced it. */
  goneAt: number
}

interface Receipt {
  /** Live deliveries without DUP. */
  readonly fresh: number
  /** Whether it came otherwise than as a retained message. */
  readonly isLive: boolean
}

export class SessionModel {
  /** The client identifier and the number of the epoch. */
  readonly name: string
  readonly persona: Persona
  /** It cannot be resumed any more: nothing is owed to it. */
  hasEnded = false
  /** QoS 2 messages that came and are not released, by packet identifier. */
  readonly held = new Map<number, SimMessage>()
  /** Messages without DUP that came in this order, by topic name and class (QoS 0, or QoS 1 and 2). */
  readonly order = new Map<string, Array<SimMessage>>()
  readonly #world: World
  readonly #retained: RetainedModel
  readonly #subscriptions: Array<SimSubscription> = []
  readonly #owed = new Set<SimMessage>()
  readonly #receipts = new Map<SimMessage, Receipt>()
  readonly #newest = new Map<string, number>()
  /** What came on the connection that is open now. */
  #onConnection = new Map<SimMessage, number>()

  constructor(world: World, retained: RetainedModel, persona: Persona, epoch: number) {
    this.#world = world
    this.#retained = retained
    this.persona = persona
    this.name = `${persona.clientId}#${epoch}`
  }

  get filters(): ReadonlyArray<string> {
    return [...new Set(this.#subscriptions.filter(({ goneAt }) => goneAt === 0).map(({ filter }) => filter))]
  }

  /** A connection begins. */
  connected(): void {
    this.#onConnection = new Map()
  }

  /** A SUBSCRIBE is about to be sent. */
  asked(
    wish: Pick<SimSubscription, "filter" | "qos" | "noLocal" | "retainAsPublished" | "identifier">
  ): SimSubscription {
    this.#supersede(wish.filter)
    const floors = this.#retained.floors(wish.filter)
    const made = { ...wish, floors, grantedAt: 0, isSuperseded: false, goneAt: 0 }
    this.#subscriptions.push(made)
    return made
  }

  granted(subscription: SimSubscription): void {
    const now = this.#world.moment()
    for (const known of this.#subscriptions) {
      if (known === subscription) break
      if (known.filter === subscription.filter && known.goneAt === 0) known.goneAt = now
    }
    if (!subscription.isSuperseded) subscription.grantedAt = now
  }

  /** An UNSUBSCRIBE is about to be sent; the result is called at its UNSUBACK. */
  leaving(filter: string): () => void {
    const known = this.#supersede(filter)
    return () => {
      const now = this.#world.moment()
      for (const each of known) each.goneAt = now
    }
  }

  #supersede(filter: string): ReadonlyArray<SimSubscription> {
    const known = this.#subscriptions.filter((each) => each.filter === filter && each.goneAt === 0)
    for (const each of known) {
      each.grantedAt = 0
      each.isSuperseded = true
    }
    return known
  }

  /**
   * A message was taken by the broker, first sent after the moment `since`: it is owed to this session where a subscription stood
   * all the time.
   */
  taken(message: SimMessage, since: number): void {
    if (this.hasEnded || message.topic === "") return
    let qos = 0
    for (const { filter, grantedAt, goneAt, noLocal, qos: granted } of this.#subscriptions) {
      if (grantedAt === 0 || grantedAt > since || goneAt !== 0 || !matches(filter, message.topic)) continue
      if (noLocal && message.publisher === this.persona.clientId) continue
      qos = Math.max(qos, Math.min(granted, message.qos))
    }
    if (qos > 0) this.#owed.add(message)
  }

  /** A PUBLISH came; `isAgain` where it is a QoS 2 message that is already held. */
  received(packet: DecodedOf<"publish">, isAgain: boolean): SimMessage | undefined {
    const world = this.#world
    const { topic, payload, qos, retain, dup } = packet
    const where = `${this.name} got "${topic}" (QoS ${qos}${retain ? ", retain" : ""}${dup ? ", dup" : ""})`
    world.counts.delivered += 1
    world.check(qos > 0 || !dup, () => `${where}: DUP with QoS 0`)
    const asked = this.#subscriptions.filter(({ filter }) => matches(filter, topic))
    world.check(asked.length > 0, () => `${where}, which it never subscribed to`)
    if (payload.length === 0) {
      world.check(this.#retained.isRetainedName(topic), () => `${where} with an empty payload`)
      return undefined
    }
    const message = world.messageOf(payload, where)
    const what = (): string => `${where}: ${show(message)}`
    world.check(message.topic === topic, () => `${what()} was sent on another name`)
    world.check(message.forbidden === "", () => `${what()} ${message.forbidden}`)
    world.check(qos <= message.qos, () => `${what()} has a higher QoS than it was published with`)
    world.check(qos <= Math.max(...asked.map((each) => each.qos)), () => `${what()} has a higher QoS than was granted`)
    world.check(!retain || message.retain, () => `${what()} was not published with RETAIN`)
    this.#checkProperties(packet, message, asked, what)
    if (retain) this.#replayed(packet, message, asked, what)
    else this.#live(packet, message, asked, what, isAgain)
    return message
  }

  /** At the end, with everything drained: nothing is owed any more. */
  checkSettled(): void {
    if (this.hasEnded) return
    for (const message of this.#owed) {
      this.#world.counts.owed += 1
      this.#world.check(
        this.#receipts.has(message),
        () =>
          `${this.name} never got ${show(message)}, acknowledged and subscribed to (${this.#subscriptions
            .filter((each) => each.grantedAt > 0 && matches(each.filter, message.topic))
            .map((each) => `${each.filter} QoS ${each.qos}`)
            .join(", ")})`
      )
    }
  }

  #live(
    { topic, qos, dup }: DecodedOf<"publish">,
    message: SimMessage,
    asked: ReadonlyArray<SimSubscription>,
    what: () => string,
    isAgain: boolean
  ): void {
    const world = this.#world
    const isOwn = message.publisher === this.persona.clientId && message.source !== "kafka"
    world.check(!isOwn || asked.some((each) => !each.noLocal), () => `${what()} is its own, and it said no local`)
    if (qos === 0)
      world.check(
        asked.some(({ goneAt }) => goneAt === 0),
        () => `${what()} after its UNSUBACK`
      )
    if (isAgain) return
    const timesMax = message.qos === 1 ? message.transmissions : 1
    const times = (this.#onConnection.get(message) ?? 0) + 1
    this.#onConnection.set(message, times)
    world.check(times <= timesMax, () => `${what()} came ${times} times on one connection, sent ${timesMax} times`)
    const receipt = this.#receipts.get(message)
    const isFirst = receipt?.isLive !== true
    const fresh = receipt?.fresh ?? 0
    world.check(qos !== 2 || isFirst, () => `${what()} came again with QoS 2`)
    world.check(dup || fresh < timesMax, () => `${what()} came without DUP ${fresh + 1} times`)
    this.#receipts.set(message, { fresh: dup ? fresh : fresh + 1, isLive: true })
    if (!isFirst) return
    if (message.source === "will") world.counts.wills += 1
    const kind = qos === 0 ? "QoS 0" : "QoS 1 and 2"
    const key = `${message.publisher} ${topic} ${kind}`
    const newest = this.#newest.get(key) ?? 0
    world.check(
      message.id > newest || receipt !== undefined || !this.#isOrdered(message, qos, asked),
      () => `${what()} came after the later message ${newest} of the same publisher`
    )
    this.#newest.set(key, Math.max(newest, message.id))
    const order = this.order.get(`${topic} ${kind}`)
    if (order === undefined) this.order.set(`${topic} ${kind}`, [message])
    else order.push(message)
  }

  /**
   * Whether the first copy that came must be the first that was stored: not where an earlier copy of what a publisher sent again
   * could not reach this session, because it was not subscribed yet, or with QoS 0 and away, or wanted nothing of its own.
   */
  #isOrdered(message: SimMessage, qos: number, asked: ReadonlyArray<SimSubscription>): boolean {
    if (message.transmissions === 1) return true
    // The first copy may have been dropped.
    if (this.#world.scenario.isQueueTight) return false
    const isOwn = message.publisher === this.persona.clientId
    const stood = asked.filter((each) => each.grantedAt > 0 && each.grantedAt < message.sentAt)
    return qos > 0 && stood.some((each) => each.qos > 0 && !(isOwn && each.noLocal))
  }

  #replayed(
    { topic, qos, dup }: DecodedOf<"publish">,
    message: SimMessage,
    asked: ReadonlyArray<SimSubscription>,
    what: () => string
  ): void {
    const world = this.#world
    world.counts.replays += 1
    if (!this.#receipts.has(message)) this.#receipts.set(message, { fresh: 0, isLive: false })
    const floor = Math.min(...asked.map(({ floors }) => floors.get(topic) ?? 0))
    world.check(message.id >= floor, () => `${what()} is older than ${floor}, acknowledged before the SUBSCRIBE`)
    // With "retain as published" this may be a live copy of what was sent again.
    if (dup || message.transmissions > 1) return
    const key = `${message.publisher} ${topic} ${qos === 0 ? "QoS 0" : "QoS 1 and 2"}`
    const newest = this.#newest.get(key) ?? 0
    world.check(message.id >= newest, () => `${what()}, retained, came after the later message ${newest}`)
  }

  #checkProperties(
    packet: DecodedOf<"publish">,
    message: SimMessage,
    asked: ReadonlyArray<SimSubscription>,
    what: () => string
  ): void {
    if (this.persona.version < 5) return
    const world = this.#world
    const numbers = propertiesOf(packet.properties, "userProperty").filter(isNumberProperty)
    world.check(
      numbers.length === (message.hasProperty ? 1 : 0) && numbers.every(([, value]) => value === String(message.id)),
      () => `${what()} has the user properties ${JSON.stringify(numbers)}`
    )
    for (const identifier of propertiesOf(packet.properties, "subscriptionIdentifier")) {
      world.check(
        asked.some((each) => each.identifier === identifier),
        () => `${what()} has the subscription identifier ${String(identifier)}`
      )
    }
  }
}

/** The user property that carries a message's number. */
export const NUMBER_PROPERTY = "n"

function isNumberProperty(value: PropertyValue): value is readonly [string, string] {
  return Array.isArray(value) && value[0] === NUMBER_PROPERTY
}
