/**
 * One MQTT client: it keeps its side of the protocol to the letter over the deaths of the broker, and holds the broker to its side.
 * What it knows (messages in its window, packet identifiers it holds, which subscriptions were granted) outlives the broker.
 */
import type { Address } from "../support/broker.ts"
import type { Decoded, DecodedOf } from "../support/mqtt-decode.ts"
import { encode, type Properties, propertyOf } from "../support/mqtt-packets.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { type Persona, willName } from "./cast.ts"
import type { Ledger, Message } from "./Ledger.ts"
import { Presence } from "./Presence.ts"
import { Publisher } from "./Publisher.ts"
import type { Action, ConnectPlan } from "./plan.ts"
import { Receiver } from "./Receiver.ts"
import type { RetainedModel } from "./RetainedModel.ts"
import { SessionModel } from "./SessionModel.ts"
import { Subscriber } from "./Subscriber.ts"
import { WillModel } from "./WillModel.ts"

const CLOSED = "the broker closed the connection where a packet was expected"
const WAIT_MS = 3_600_000

export interface Surroundings {
  readonly ledger: Ledger
  readonly retained: RetainedModel
  /** A message was acknowledged to its publisher, or is due: every session is told. */
  readonly taken: (message: Message, since: number) => void
  /** Whether a topic name may be published to already. */
  readonly mayPublish: (topic: string) => boolean
  /** For delays: a number from 0 to `bound` - 1; 0 where there are to be none. */
  readonly below: (bound: number) => number
}

export class MqttActor {
  readonly persona: Persona
  session: SessionModel
  readonly wills: WillModel
  readonly #ledger: Ledger
  readonly #around: Surroundings
  readonly #presence: Presence
  readonly #publisher: Publisher
  readonly #subscriber: Subscriber
  readonly #receiver: Receiver
  #epochs = 0
  #state: "idle" | "connecting" | "connected" | "leaving" = "idle"
  #raw: RawMqtt | undefined
  #address: Address | undefined
  #connectSentMs = 0
  #pump: Promise<void> = Promise.resolve()

  constructor(around: Surroundings, persona: Persona) {
    const { ledger, retained, taken } = around
    this.#ledger = ledger
    this.#around = around
    this.persona = persona
    const send = (bytes: Uint8Array): void => this.#raw?.send(bytes)
    this.wills = new WillModel(ledger, taken)
    this.#presence = new Presence(ledger, persona)
    this.#publisher = new Publisher(ledger, retained, persona, send, taken)
    this.#subscriber = new Subscriber(ledger, persona.version, this.#publisher.identifiers, send)
    const delayMs = (): number => around.below(persona.acknowledgeMsMax + 1)
    this.#receiver = new Receiver(ledger, delayMs, send)
    this.session = this.#newSession()
  }

  get isIdle(): boolean {
    return this.#state === "idle"
  }

  /** Whether everything that was begun on the open connection is done, and everything has come. */
  get isSettled(): boolean {
    return this.#state === "connected" && this.#begun === 0 && this.session.owed.size === 0
  }

  get pending(): string {
    const { size } = this.#publisher
    const counts = `${size} to publish, ${this.#subscriber.size} requests, ${this.#receiver.size} to acknowledge`
    return `${this.persona.clientId}: ${this.#state}, ${counts}, ${this.session.owed.size} owed`
  }

  get #begun(): number {
    return this.#publisher.size + this.#subscriber.size + this.#receiver.size
  }

  act(action: Action): void {
    switch (action.kind) {
      case "connect":
        this.connect(action)
        return
      case "cut":
        this.cut()
        return
      case "leave":
        this.leave()
        return
      case "publish":
        if (this.#state === "connected" && this.#around.mayPublish(action.wanted.topic))
          this.#publisher.publish(action.wanted)
        return
      case "subscribe":
        if (this.#state === "connected") this.#subscriber.subscribe(this.session, action.wish)
        return
      case "unsubscribe":
        this.#unsubscribe(action.chosen)
        return
    }
  }

  /** A broker is ready; connections go there from now on. */
  restarted(address: Address): void {
    this.#address = address
    this.#presence.restarted()
    this.wills.restarted()
  }

  connect({ clean, will }: ConnectPlan): void {
    const address = this.#address
    if (this.#state !== "idle" || address === undefined) return
    this.#state = "connecting"
    this.#pump = this.#live(address, clean, will)
  }

  /** Ends the connection without a word. */
  cut(): void {
    const raw = this.#raw
    if (this.#state !== "connected" || raw === undefined) return
    this.#ledger.note(`${this.persona.clientId} cuts its connection`)
    this.wills.lost(true)
    raw.cut()
    this.#gone(true)
  }

  /** Leaves in order. */
  leave(): void {
    const raw = this.#raw
    if (this.#state !== "connected" || raw === undefined) return
    this.#ledger.note(`${this.persona.clientId} DISCONNECT`)
    this.#state = "leaving"
    raw.send(encode.disconnect(this.persona.version))
    raw.socket.end()
  }

  /** The broker's process is about to be killed; `dead` settles when all that it had written has been read. */
  async die(dead: Promise<unknown>): Promise<void> {
    this.#presence.killing()
    this.wills.killing()
    this.#address = undefined
    await dead
    await this.#pump
  }

  #unsubscribe(chosen: number): void {
    const fixed = new Set(this.persona.fixed.map(({ filter }) => filter))
    const filters = this.session.filters.filter((filter) => !fixed.has(filter))
    const filter = filters[chosen % Math.max(1, filters.length)]
    if (this.#state === "connected" && filter !== undefined) this.#subscriber.unsubscribe(this.session, filter)
  }

  /** One connection, from its socket to its end. */
  async #live(address: Address, clean: boolean, will: ConnectPlan["will"]): Promise<void> {
    const { clientId, version } = this.persona
    const raw = await RawMqtt.open(address, version).catch(() => undefined)
    if (raw === undefined || this.#address === undefined) {
      this.#state = "idle"
      raw?.cut()
      return
    }
    this.#raw = raw
    this.#sendConnect(raw, clean, will)
    for (;;) {
      let packet: Decoded
      try {
        packet = await raw.next(WAIT_MS)
      } catch (error) {
        if (this.#raw !== raw) return
        const reason = error instanceof Error ? error.message : String(error)
        if (reason !== CLOSED) this.#ledger.fail(`${clientId}: ${reason}`)
        this.#ended()
        return
      }
      if (this.#raw !== raw) return
      this.#handle(packet)
    }
  }

  #sendConnect(raw: RawMqtt, wishesClean: boolean, planned: ConnectPlan["will"]): void {
    const { clientId, version, receiveMaximum } = this.persona
    this.#presence.connecting(wishesClean)
    const { isClean, expiry } = this.#presence
    if (isClean) this.session.end()
    this.#subscriber.reset()
    this.#receiver.reset()
    this.#receiver.receiveMaximum = receiveMaximum
    const properties: Properties =
      version === 4
        ? []
        : [
            ["sessionExpiry", expiry],
            ["receiveMaximum", receiveMaximum]
          ]
    let will: ReturnType<WillModel["begin"]> | undefined
    let words = ""
    if (planned === undefined) this.wills.beginWithout()
    else {
      const { qos } = planned
      const fields = { publisher: clientId, source: "will", topic: willName(clientId), qos, retain: false } as const
      const message = this.#ledger.message(fields, 10)
      will = this.wills.begin(message, planned.delay)
      words = ` with the will #${message.id}, delay ${planned.delay}`
    }
    this.#connectSentMs = this.#ledger.nowMs
    this.#ledger.note(`${clientId} CONNECT${isClean ? " clean" : ""}${words}`)
    const connect = { version, clientId, clean: isClean, properties }
    raw.send(encode.connect(will === undefined ? connect : { ...connect, will }))
  }

  #handle(packet: Decoded): void {
    // What crosses the DISCONNECT on its way is read by nobody.
    if (this.#state === "leaving") return
    const { clientId } = this.persona
    const isFirst = packet.type === "connack"
    const inTurn = isFirst === (this.#state === "connecting")
    if (!this.#ledger.check(inTurn, () => `${clientId} got ${packet.type} out of turn`)) return
    switch (packet.type) {
      case "connack":
        this.#connack(packet)
        return
      case "publish":
        this.#receiver.publish(this.session, packet)
        return
      case "puback":
      case "pubrec":
      case "pubcomp":
        this.#publisher.acknowledged(packet.type, packet.id, packet.code)
        return
      case "pubrel":
        this.#receiver.pubrel(this.session, packet.id)
        return
      case "suback":
      case "unsuback":
        this.#subscriber.answered(packet)
        return
      default:
        this.#ledger.fail(`${clientId} got ${packet.type} ${"code" in packet ? packet.code : ""}`)
    }
  }

  #connack({ sessionPresent, code, properties }: DecodedOf<"connack">): void {
    const { clientId, windowMax, fixed, version } = this.persona
    this.#ledger.note(`${clientId} CONNACK ${code}${sessionPresent ? " session present" : ""}`)
    if (!this.#ledger.check(code === 0, () => `${clientId} was refused with ${code}`)) return
    this.#presence.accepted(sessionPresent)
    this.#state = "connected"
    this.#publisher.windowMax = Math.min(windowMax, Number(propertyOf(properties, "receiveMaximum") ?? 65_535))
    if (!sessionPresent) this.#replaceSession()
    this.wills.accepted(sessionPresent, this.#connectSentMs)
    this.session.connected()
    if (sessionPresent) this.#publisher.resume()
    for (const [index, { filter, qos }] of fixed.entries()) {
      if (this.session.isGranted(filter)) continue
      const identifier = version === 5 ? index + 1 : 0
      this.#subscriber.subscribe(this.session, { filter, qos, noLocal: false, retainAsPublished: false, identifier })
    }
  }

  /** The connection ended, not by this client's wish. */
  #ended(): void {
    const isAlive = this.#address !== undefined
    const { clientId } = this.persona
    if (this.#state !== "leaving") {
      this.#ledger.check(!isAlive, () => `the broker ended the connection of ${clientId} (${this.#state})`)
      this.wills.lost(isAlive)
    } else if (isAlive) this.wills.left()
    else this.wills.beginWithout()
    this.#gone(isAlive)
  }

  #gone(isBrokerAlive: boolean): void {
    this.#presence.left(isBrokerAlive)
    this.#raw?.socket.destroy()
    this.#raw = undefined
    this.#state = "idle"
    this.#subscriber.reset()
    this.#receiver.reset()
    // A session that ends with its connection is over for its client too.
    if (this.#presence.expiry === 0) this.#replaceSession()
  }

  #newSession(): SessionModel {
    this.#epochs += 1
    return new SessionModel(this.#ledger, this.#around.retained, this.persona, this.#epochs)
  }

  #replaceSession(): void {
    this.session.end()
    this.session = this.#newSession()
    this.#publisher.clear()
  }
}
