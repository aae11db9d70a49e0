/**
 * What the clients of a sequence know of themselves, the same towards every broker: who is connected, with which session, subscriptions
 * and aliases; which of their packets are open. It decides what a step may do and what is sent, never what has to come back.
 */
import { encode, type Properties, type PropertyName, type PropertyValue, type Qos } from "../support/mqtt-packets.ts"
import {
  type Acknowledging,
  CLIENTS,
  type ClientVersion,
  type Extras,
  type PlannedFilter,
  type PlannedMessage,
  type Sequence,
  SMALL_PACKET,
  type Step
} from "./plan.ts"

/** A QoS 2 message whose PUBREL was not sent yet. */
export interface Begun {
  readonly id: number
  readonly topic: string
  readonly payload: string
  forgets: boolean
}

interface Will {
  readonly topic: string
  readonly payload: string
  readonly retain: boolean
  /** Seconds. */
  readonly delay: number
}

export class Role {
  readonly index: number
  readonly version: ClientVersion
  readonly identifier: string
  isConnected = false
  hasSession = false
  /** Sessions that ended. */
  ended = 0
  /** Whether the session outlives its connection. */
  isKept = false
  receiveMaximum: number | undefined
  maximumPacketSize: number | undefined
  /** What may have come to its session while it had a Receive Maximum: messages that it refused, or too large a one. */
  readonly spent = new Set<"refused" | "too large">()
  acknowledging: Acknowledging = "all"
  /** Filter to options, as the client asked for them. */
  readonly subscriptions = new Map<string, PlannedFilter & { readonly identifier?: number | undefined }>()
  readonly begun: Array<Begun> = []
  /** Filters that were subscribed to again with another No Local or Retain As Published. */
  readonly replaced = new Set<string>()
  /** Of the current connection, or the one before it where its delay is not over. */
  will: Will | undefined
  /** Alias to name, of the current connection. */
  readonly aliases = new Map<number, string>()
  lastId = 0

  constructor(index: number, version: ClientVersion, identifier: string) {
    this.index = index
    this.version = version
    this.identifier = identifier
  }

  /** Whether it holds back acknowledgements that the broker needs before it sends more: then brokers may choose what they send first. */
  get isLimited(): boolean {
    const holds = this.acknowledging === "nothing" || this.acknowledging === "received"
    return this.receiveMaximum !== undefined && (holds || !this.isConnected)
  }

  nextId(): number {
    this.lastId += 1
    return this.lastId
  }

  endSession(): void {
    if (this.hasSession) this.ended += 1
    this.hasSession = false
    this.subscriptions.clear()
    this.replaced.clear()
    this.spent.clear()
    this.begun.length = 0
  }
  endConnection(): void {
    this.isConnected = false
    if (!this.isKept) this.endSession()
  }
}

/** Where a message came from. */
export interface Origin {
  readonly client: number
  readonly qos: Qos
  readonly retain: boolean
  /** Of a will: whether its session outlives the connection. */
  readonly isWillOfKept?: boolean | undefined
}

/** Towards one broker: whether a step did what it should is judged by what came. */
export type Sending =
  | { readonly what: "connect"; readonly packet: Uint8Array }
  | { readonly what: "end"; readonly packet: Uint8Array | undefined }
  /** Sent at once; then each answer is waited for, and a PUBREC of `release` is answered. */
  | {
      readonly what: "packets"
      readonly packets: ReadonlyArray<Uint8Array>
      readonly answers: ReadonlyArray<Answer>
    }
  | { readonly what: "acknowledge"; readonly acknowledging: Acknowledging }
export interface Answer {
  readonly type: "puback" | "pubrec" | "pubcomp" | "suback" | "unsuback"
  readonly id: number
  /** PUBREL follows, and its PUBCOMP. */
  readonly release?: boolean
}

export class Scene {
  readonly roles: ReadonlyArray<Role>
  readonly #level: string
  #messages = 0
  #hasLarge = false
  /** Payloads of messages that were begun at one step and released at another. */
  readonly apart = new Set<string>()
  /** By payload. */
  readonly origins = new Map<string, Origin>()
  /** Payloads of wills that are due because their connection was taken over, or before their delay is over because the session ended. */
  readonly special = new Map<string, "taken over" | "before its delay">()
  /** Names, as in the plan, of those among them that are retained, until another message is. */
  readonly specialNames = new Set<string>()

  constructor(sequence: Sequence, level: string) {
    this.#level = level
    this.roles = Array.from({ length: CLIENTS }, (_, index) => {
      return new Role(index, sequence.versions[index] ?? 5, `${level}-${index}`)
    })
  }

  role(index: number): Role {
    const role = this.roles[index]
    if (role === undefined) throw new Error(`no client ${index}`)
    return role
  }

  /** The name or filter as it is sent. */
  name(short: string, client = 0): string {
    return short.replace("~", this.#level).replace("!", String(client))
  }
  /** The name as it stands in the plan. */
  short(name: string): string {
    return name.replace(this.#level, "~")
  }

  /** The step as it can be done now: who is not connected lets another one publish. */
  doable(step: Step): Step {
    if (step.kind !== "publish" || this.role(step.client).isConnected) return step
    const other = this.roles.find(({ isConnected }) => isConnected)
    return other === undefined ? step : { ...step, client: other.index }
  }

  /** What the step sends; undefined where it cannot be done now. Changes the roles as if it were done. */
  sendings(step: Step): ReadonlyArray<Sending> | undefined {
    const role = this.role(step.client)
    if (step.kind !== "connect" && step.kind !== "acknowledge" && !role.isConnected) return undefined
    switch (step.kind) {
      case "connect":
        return this.#connect(role, step)
      case "end":
        return this.#end(role, step.how)
      case "subscribe":
        return this.#subscribe(role, step)
      case "unsubscribe":
        return this.#unsubscribe(role, step.filters)
      case "publish":
        return this.#publish(role, step.messages)
      case "begin":
        return this.#begin(role, step)
      case "finish":
        return role.begun.length === 0 ? undefined : [this.#finish(role)]
      case "acknowledge":
        if (role.acknowledging === step.what) return undefined
        role.acknowledging = step.what
        this.#spend(role)
        return [{ what: "acknowledge", acknowledging: step.what }]
    }
  }

  #connect(role: Role, step: Step & { readonly kind: "connect" }): ReadonlyArray<Sending> {
    this.#due(role, step.clean)
    if (role.isConnected) role.endConnection()
    if (step.clean) role.endSession()
    const present = role.hasSession
    role.isConnected = true
    role.hasSession = true
    role.isKept = role.version === 5 ? step.expiry > 0 : !step.clean
    role.receiveMaximum = role.version === 5 ? step.receiveMaximum : undefined
    role.maximumPacketSize = role.version === 5 ? step.maximumPacketSize : undefined
    this.#spend(role)
    role.aliases.clear()
    const properties: Array<readonly [PropertyName, PropertyValue]> = []
    if (step.expiry > 0) properties.push(["sessionExpiry", step.expiry])
    if (step.receiveMaximum !== undefined) properties.push(["receiveMaximum", step.receiveMaximum])
    if (step.maximumPacketSize !== undefined) properties.push(["maximumPacketSize", step.maximumPacketSize])
    if (step.topicAliasMaximum !== undefined) properties.push(["topicAliasMaximum", step.topicAliasMaximum])
    const { will } = step
    const willDelay: Properties = will?.delay === undefined ? [] : [["willDelay", will.delay]]
    const payload = this.#payload("will", {
      client: role.index,
      qos: will?.qos ?? 0,
      retain: will?.retain === true,
      isWillOfKept: will === undefined ? undefined : role.isKept
    })
    const delay = role.version === 5 ? (will?.delay ?? 0) : 0
    role.will = will === undefined ? undefined : { topic: will.topic, payload, retain: will.retain, delay }
    const packet = encode.connect({
      version: role.version,
      clientId: role.identifier,
      clean: step.clean,
      keepAlive: 0,
      properties,
      ...(will === undefined
        ? {}
        : {
            will: {
              topic: this.name(will.topic),
              payload,
              qos: will.qos,
              retain: will.retain,
              properties: [...willDelay, ...propertiesOf(will.extras)]
            }
          })
    })
    const again = present && role.begun.length > 0 ? [this.#again(role)] : []
    return [{ what: "connect", packet }, ...again]
  }

  #spend(role: Role): void {
    if (role.receiveMaximum === undefined) return
    if (role.acknowledging === "refusing") role.spent.add("refused")
    if (role.maximumPacketSize !== undefined && this.#hasLarge) role.spent.add("too large")
  }

  /** Tells what a new connection does to the will of the one before it. */
  #due(role: Role, clean: boolean): void {
    const { will } = role
    if (will === undefined) return
    const ends = clean || (role.isConnected && !role.isKept)
    if (will.delay > 0 && ends) this.#special(will, "before its delay")
    if (will.delay === 0 && !ends) this.#special(will, "taken over")
  }

  #special({ payload, topic, retain }: Will, how: "taken over" | "before its delay"): void {
    this.special.set(payload, how)
    if (retain) this.specialNames.add(topic)
  }

  /** What a client does about its open QoS 2 messages when it is back. */
  #again(role: Role): Sending {
    const packets: Array<Uint8Array> = []
    const answers: Array<Answer> = []
    for (const begun of role.begun) {
      if (begun.forgets) {
        const { topic, payload, id } = begun
        packets.push(encode.publish(role.version, { topic, payload, qos: 2, id, dup: true }))
        answers.push({ type: "pubrec", id })
        begun.forgets = false
      } else {
        packets.push(encode.ack("pubrel", begun.id))
        answers.push({ type: "pubcomp", id: begun.id })
      }
    }
    const released = answers.filter(({ type }) => type === "pubcomp").map(({ id }) => id)
    const open = role.begun.filter(({ id }) => !released.includes(id))
    role.begun.splice(0, role.begun.length, ...open)
    return { what: "packets", packets, answers }
  }

  #end(role: Role, how: "normal" | "with will" | "forget" | "cut"): ReadonlyArray<Sending> {
    const { version } = role
    const canForget = how === "forget" && version === 5
    const packet =
      how === "cut"
        ? undefined
        : how === "with will" && version === 5
          ? encode.disconnect(5, 0x04)
          : canForget
            ? encode.disconnect(5, 0, [["sessionExpiry", 0]])
            : encode.disconnect(version)
    const { will } = role
    const isDue = how === "cut" || (how === "with will" && version === 5)
    if (isDue && will !== undefined && will.delay > 0 && !role.isKept) this.#special(will, "before its delay")
    if (!isDue || will?.delay === 0 || !role.isKept) role.will = undefined
    role.endConnection()
    if (canForget) role.endSession()
    return [{ what: "end", packet }]
  }

  #subscribe(role: Role, step: Step & { readonly kind: "subscribe" }): ReadonlyArray<Sending> {
    const id = role.nextId()
    const filters = step.filters.map((each) => ({ ...each, filter: this.name(each.filter, role.index) }))
    for (const each of filters) {
      const before = role.subscriptions.get(each.filter)
      role.subscriptions.set(each.filter, { ...each, identifier: step.identifier })
      if (before === undefined) continue
      const { noLocal, retainAsPublished } = before
      if (noLocal !== each.noLocal || retainAsPublished !== each.retainAsPublished) role.replaced.add(each.filter)
    }
    const properties: Properties = step.identifier === undefined ? [] : [["subscriptionIdentifier", step.identifier]]
    const sent = role.version === 5 ? filters : filters.map(({ filter, qos }) => ({ filter, qos }))
    const packet = encode.subscribe(role.version, id, sent, properties)
    return [{ what: "packets", packets: [packet], answers: [{ type: "suback", id }] }]
  }

  #unsubscribe(role: Role, short: ReadonlyArray<string>): ReadonlyArray<Sending> {
    const id = role.nextId()
    const filters = short.map((each) => this.name(each, role.index))
    for (const each of filters) role.subscriptions.delete(each)
    const packet = encode.unsubscribe(role.version, id, filters)
    return [{ what: "packets", packets: [packet], answers: [{ type: "unsuback", id }] }]
  }

  #publish(role: Role, messages: ReadonlyArray<PlannedMessage>): ReadonlyArray<Sending> {
    const sendings: Array<Sending> = []
    let packets: Array<Uint8Array> = []
    let answers: Array<Answer> = []
    const flush = (): void => {
      if (packets.length > 0) sendings.push({ what: "packets", packets, answers })
      packets = []
      answers = []
    }
    for (const { topic, qos, retain, isEmpty, isLarge, alias, extras } of messages) {
      if (retain) this.specialNames.delete(topic)
      if (isLarge) this.#hasLarge = true
      const id = qos === 0 ? 0 : role.nextId()
      const name = this.name(topic)
      const isKnown = alias !== undefined && role.aliases.get(alias) === name
      if (alias !== undefined) role.aliases.set(alias, name)
      const properties: Properties =
        role.version < 5
          ? []
          : [...(alias === undefined ? [] : [["topicAlias", alias] as const]), ...propertiesOf(extras)]
      const sent = isKnown && role.version === 5 ? "" : name
      const payload = isEmpty ? "" : this.#payload("message", { client: role.index, qos, retain })
      const body = isLarge && !isEmpty ? payload.padEnd(SMALL_PACKET + 1) : payload
      packets.push(encode.publish(role.version, { topic: sent, payload: body, qos, retain, id, properties }))
      if (qos > 0) answers.push({ type: qos === 1 ? "puback" : "pubrec", id, release: qos === 2 })
      // A broker may retain it at its PUBREL (4.3.3, figure 4.3): what comes behind it waits for that.
      if (qos === 2 && retain) flush()
    }
    flush()
    for (const each of this.roles) this.#spend(each)
    return sendings
  }

  #begin(role: Role, step: Step & { readonly kind: "begin" }): ReadonlyArray<Sending> {
    const id = role.nextId()
    const topic = this.name(step.topic)
    const payload = this.#payload("begun", { client: role.index, qos: 2, retain: false })
    this.apart.add(payload)
    role.begun.push({ id, topic, payload, forgets: step.forgets })
    const packet = encode.publish(role.version, { topic, payload, qos: 2, id })
    return [{ what: "packets", packets: [packet], answers: [{ type: "pubrec", id }] }]
  }

  #finish(role: Role): Sending {
    const ids = role.begun.splice(0).map(({ id }) => id)
    return {
      what: "packets",
      packets: ids.map((id) => encode.ack("pubrel", id)),
      answers: ids.map((id) => ({ type: "pubcomp", id }))
    }
  }

  #payload(word: string, origin: Origin): string {
    this.#messages += 1
    const payload = `${word} ${this.#messages}`
    this.origins.set(payload, origin)
    return payload
  }
}

function propertiesOf(extras: Extras): Properties {
  const { userProperties, ...rest } = extras
  return [
    ...Object.entries(rest).map(([name, value]) => [name as PropertyName, value] as const),
    ...userProperties.map((pair) => ["userProperty", pair] as const)
  ]
}
