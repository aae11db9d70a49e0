/** The publishing side of a simulated MQTT client: a window of QoS 1 and 2 messages that are sent again where a session goes on. */
import { type AckType, encode, type Properties } from "../support/mqtt-packets.ts"
import type { PacketIdentifiers } from "./PacketIdentifiers.ts"
import type { RetainedModel, RetainedWrite } from "./RetainedModel.ts"
import { LIVE_NAMES, type Persona, type Qos, RETAINED_QOS } from "./Scenario.ts"
import { NUMBER_PROPERTY } from "./SessionModel.ts"
import { type SimMessage, show, type World } from "./World.ts"

/** Padding of what is published while everybody settles: it takes no longer than any keep alive. */
const SETTLING_BYTES_MAX = 200

/** A message on its way to the broker; without a number where it clears a retained one. */
interface Outgoing {
  readonly name: string
  readonly qos: Qos
  readonly message: SimMessage | undefined
  readonly write: RetainedWrite | undefined
  readonly sentAt: number
  /** QoS 2: PUBREC came. */
  isReleased: boolean
  /** Its place among all that was sent. */
  place: number
}

export class MqttPublisher {
  windowMax = 1
  readonly #world: World
  readonly #retained: RetainedModel
  readonly #persona: Persona
  /** The retained names that this client writes. */
  readonly #names: ReadonlyArray<string>
  readonly #identifiers: PacketIdentifiers
  readonly #send: (bytes: Uint8Array) => void
  /** Told of every message that the broker acknowledged. */
  readonly #taken: (message: SimMessage, sentAt: number) => void
  readonly #outgoing = new Map<number, Outgoing>()
  #place = 0
  /** The place of what was last acknowledged, by kind. */
  readonly #acknowledgedUpTo = new Map<AckType, number>()

  constructor(
    world: World,
    retained: RetainedModel,
    persona: Persona,
    names: ReadonlyArray<string>,
    identifiers: PacketIdentifiers,
    send: (bytes: Uint8Array) => void,
    taken: (message: SimMessage, sentAt: number) => void
  ) {
    this.#world = world
    this.#retained = retained
    this.#persona = persona
    this.#names = names
    this.#identifiers = identifiers
    this.#send = send
    this.#taken = taken
  }

  /** QoS 1 and 2 messages under way. */
  get size(): number {
    return this.#outgoing.size
  }

  /** The session is over: nothing of it is sent again. */
  clear(): void {
    for (const identifier of this.#outgoing.keys()) this.#identifiers.free(identifier)
    this.#outgoing.clear()
  }

  /** The session goes on with a new connection: what is not acknowledged goes again, in order. */
  resume(): void {
    for (const [identifier, outgoing] of this.#outgoing) {
      outgoing.place = ++this.#place
      if (outgoing.isReleased) this.#send(encode.ack("pubrel", identifier))
      else this.#transmit(identifier, outgoing, true)
    }
  }

  /** Publishes something, to one of all names. */
  publish(): void {
    const { chance } = this.#world
    const retained = this.#names.length > 0 && chance.chance(1, 4)
    const name = retained ? this.#world.pick(this.#names) : this.#world.pick(LIVE_NAMES)
    this.publishTo(name, RETAINED_QOS.get(name) ?? this.#world.pick<Qos>([0, 1, 1, 2]), retained)
  }

  publishTo(name: string, qos: Qos, retained: boolean): void {
    const world = this.#world
    const { chance } = world
    const { clientId, version, payloadBytesMax } = this.#persona
    if (qos > 0 && this.#outgoing.size >= this.windowMax) return
    const isClearing = retained && chance.chance(1, 5)
    const message = isClearing
      ? undefined
      : world.message({
          publisher: clientId,
          source: "mqtt",
          topic: name,
          qos,
          retain: retained,
          hasProperty: version === 5,
          // A connection from before has the keep alive that it had.
          paddingMax: world.isSettling ? Math.min(payloadBytesMax, SETTLING_BYTES_MAX) : payloadBytesMax
        })
    const write = retained ? this.#retained.writing(name, message) : undefined
    const sentAt = message?.sentAt ?? world.moment()
    const outgoing: Outgoing = { name, qos, message, write, sentAt, isReleased: false, place: ++this.#place }
    const identifier = qos === 0 ? 0 : this.#identifiers.take()
    if (qos > 0) this.#outgoing.set(identifier, outgoing)
    this.#transmit(identifier, outgoing, false)
  }

  acknowledged(type: AckType, id: number, code: number): void {
    const world = this.#world
    const outgoing = this.#outgoing.get(id)
    const where = (): string => `${this.#persona.clientId}: ${type} ${id} (${code})`
    if (outgoing === undefined) throw world.violation(`${where()} answers nothing`)
    const expected = outgoing.qos === 1 ? "puback" : outgoing.isReleased ? "pubcomp" : "pubrec"
    world.check(type === expected, () => `${where()} where ${expected} was due`)
    // 0x10: nobody wants it; 0x92: it was released before, and the answer was lost.
    world.check(
      code === 0 || code === (type === "pubcomp" ? 0x92 : 0x10),
      () => `${where()} refuses ${outgoing.message === undefined ? "" : show(outgoing.message)}`
    )
    if (type !== "pubcomp") this.#accepted(type, outgoing, where)
    if (type === "pubrec") {
      outgoing.isReleased = true
      this.#send(encode.ack("pubrel", id))
    } else {
      this.#outgoing.delete(id)
      this.#identifiers.free(id)
    }
  }

  #accepted(type: AckType, { message, write, sentAt, place }: Outgoing, where: () => string): void {
    const world = this.#world
    const before = this.#acknowledgedUpTo.get(type) ?? 0
    world.check(place > before, () => `${where()} came after that of a later message`)
    this.#acknowledgedUpTo.set(type, place)
    world.counts.acknowledged += 1
    if (write !== undefined) write.isAcknowledged = true
    if (message === undefined) return
    message.acknowledgedAt = world.moment()
    this.#taken(message, sentAt)
  }

  #transmit(id: number, { name, qos, message, write }: Outgoing, dup: boolean): void {
    const { clientId, version } = this.#persona
    if (message !== undefined) message.transmissions += 1
    const properties: Properties =
      message?.hasProperty === true ? [["userProperty", [NUMBER_PROPERTY, String(message.id)]]] : []
    this.#world.note(`${clientId} -> PUBLISH ${id} ${name} q${qos}${dup ? " dup" : ""} ${message?.id ?? ""}`)
    const payload = message?.payload ?? ""
    const retain = write !== undefined
    this.#send(encode.publish(version, { topic: name, payload, qos, retain, dup, id, properties }))
  }
}
