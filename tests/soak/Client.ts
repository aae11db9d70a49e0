/**
 * One connection of an MQTT client of the soak. It answers what the protocol asks it to answer, waits for what it is owed, and holds it
 * against the broker where that does not come, where a packet is none, or where the connection ends and should not.
 */
import type { Address } from "../support/broker.ts"
import { type Decoded, type DecodedOf, type DecodedType, decode, packetLength } from "../support/mqtt-decode.ts"
import {
  type AckType,
  type Connect,
  concat,
  encode,
  type Filter,
  type Properties,
  type Publish,
  propertyOf,
  type Qos,
  type Version
} from "../support/mqtt-packets.ts"
import type { Faults } from "./Faults.ts"
import { Socket, type SocketUser } from "./Socket.ts"

/** The longest that anything which is owed to a client may take, ms. */
const OWED_MS = 120_000
/** Messages that it may have published and not been acknowledged. */
const UNACKNOWLEDGED_MAX = 64

/** Where a broker is, and who is told what it does wrong. */
export interface Place {
  readonly mqtt: Address
  readonly websocket: Address
  readonly faults: Faults
}

export interface ClientFacts extends Connect {
  readonly version: Version
  readonly clientId: string
  readonly isWeb: boolean
}

/** The connection has ended while something was waited for. */
class Ended extends Error {
  override readonly name = "Ended"
}

interface Wait {
  readonly done: (packet: Decoded) => void
  readonly failed: (error: Error) => void
  readonly timer: ReturnType<typeof setTimeout>
}

const NO_BYTES = new Uint8Array(0)

export class Client implements SocketUser {
  readonly clientId: string
  /** It means to go, or has sent what ends it: the end of the connection is no fault. */
  isLeaving = false
  /** It answers nothing that comes. */
  isMute = false
  /** A message has come, under its name, whether it came with that or with an alias. */
  onMessage: (topic: string, payload: Uint8Array) => void = () => {}
  /** A message of its own has been acknowledged. */
  onDone: () => void = () => {}
  readonly #version: Version
  readonly #faults: Faults
  #socket: Socket | undefined
  #rest: Uint8Array = NO_BYTES
  readonly #waits = new Map<string, Wait>()
  readonly #unacknowledged = new Set<number>()
  #lastId = 0
  readonly #aliases = new Map<number, string>()
  readonly #ownAliases = new Map<string, number>()
  #hasEnded = false
  /** What a DISCONNECT of the broker said. */
  #reason = ""
  readonly #end = Promise.withResolvers<void>()

  private constructor({ clientId, version }: ClientFacts, faults: Faults) {
    this.clientId = clientId
    this.#version = version
    this.#faults = faults
  }

  /** Settled with the CONNACK; undefined where there is none, which is a fault. */
  static async connect(
    place: Place,
    facts: ClientFacts,
    prepare: (client: Client) => void = () => {}
  ): Promise<Client | undefined> {
    const client = new Client(facts, place.faults)
    prepare(client)
    try {
      client.#socket = await Socket.open(facts.isWeb ? place.websocket : place.mqtt, facts.isWeb, client)
      client.#socket.send(encode.connect(facts))
      const { code } = await client.#owed("connack", 0)
      if (code === 0) return client
      place.faults.add("a CONNECT was refused", `${facts.clientId}, code ${code}`)
    } catch (error) {
      if (!client.isLeaving) place.faults.add("no CONNACK", `${facts.clientId}: ${String(error)}`)
    }
    client.isLeaving = true
    client.#socket?.end("reset")
    return undefined
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Messages of its own that are not acknowledged. */
  get unacknowledged(): number {
    return this.#unacknowledged.size
  }

  /** Whether it may publish one more message of QoS 1 or 2. */
  get hasRoom(): boolean {
    return this.#unacknowledged.size < UNACKNOWLEDGED_MAX
  }

  /** False where the connection ends first. */
  async subscribe(filters: ReadonlyArray<Filter>, list: Properties = []): Promise<boolean> {
    const id = this.#takeId()
    this.#send(encode.subscribe(this.#version, id, filters, list))
    const answer = await this.#attempt("suback", id)
    if (answer?.codes.some((code) => code > 2) === true) {
      this.#faults.add("a SUBSCRIBE was refused", `${this.clientId}, codes ${answer.codes.join()}`)
    }
    return answer !== undefined
  }

  async unsubscribe(filters: ReadonlyArray<string>): Promise<boolean> {
    const id = this.#takeId()
    this.#send(encode.unsubscribe(this.#version, id, filters))
    return (await this.#attempt("unsuback", id)) !== undefined
  }

  async ping(): Promise<boolean> {
    this.#send(encode.pingreq())
    return (await this.#attempt("pingresp", 0)) !== undefined
  }

  /** Publishes, with an alias from 1 on where one is given; what was published is acknowledged some time. */
  publish({ alias = 0, properties = [], ...publish }: Publish & { readonly alias?: number }): void {
    const qos: Qos = publish.qos ?? 0
    const id = qos === 0 ? 0 : this.#takeId()
    if (qos > 0) this.#unacknowledged.add(id)
    const isKnown = alias > 0 && this.#ownAliases.get(publish.topic) === alias
    if (alias > 0 && !isKnown) {
      for (const [topic, other] of this.#ownAliases) if (other === alias) this.#ownAliases.delete(topic)
      this.#ownAliases.set(publish.topic, alias)
    }
    const topic = isKnown ? "" : publish.topic
    const list: Properties = alias > 0 ? [...properties, ["topicAlias", alias]] : properties
    this.#send(encode.publish(this.#version, { ...publish, topic, id, properties: list }))
  }

  /** Says that it goes, and waits until the broker has ended the connection. */
  async disconnect(reason?: number, list: Properties = []): Promise<void> {
    this.isLeaving = true
    this.#send(encode.disconnect(this.#version, reason, list))
    await this.over("a DISCONNECT")
    this.cut("end")
  }

  /** Goes without a word. */
  cut(how: "end" | "reset"): void {
    this.isLeaving = true
    this.#socket?.end(how)
  }

  /** Settled when the connection has ended, which is a fault where it does not end in time. */
  async over(after: string): Promise<void> {
    const timer = setTimeout(() => {
      this.#faults.add("a connection did not end", `${this.clientId}, after ${after}`)
      this.#end.resolve()
    }, OWED_MS)
    await this.#end.promise
    clearTimeout(timer)
  }

  received(bytes: Uint8Array): void {
    let left = this.#rest.length === 0 ? bytes : concat(this.#rest, bytes)
    try {
      for (let length = packetLength(left); length !== undefined; length = packetLength(left)) {
        const packet = decode(left.subarray(0, length), this.#version)
        left = left.subarray(length)
        this.#take(packet)
      }
    } catch (error) {
      this.#faults.add("a packet is none", `${this.clientId}: ${String(error)}`)
      left = NO_BYTES
      this.cut("reset")
    }
    this.#rest = left.slice()
  }

  ended(): void {
    this.#hasEnded = true
    if (!this.isLeaving) this.#faults.add("a connection ended", `${this.clientId}${this.#reason}`)
    for (const { failed, timer } of this.#waits.values()) {
      clearTimeout(timer)
      failed(new Ended(`the connection ended${this.#reason}`))
    }
    this.#waits.clear()
    this.#end.resolve()
  }

  #send(bytes: Uint8Array): void {
    if (!this.#hasEnded) this.#socket?.send(bytes)
  }

  #takeId(): number {
    do this.#lastId = (this.#lastId % 65_535) + 1
    while (this.#unacknowledged.has(this.#lastId))
    return this.#lastId
  }

  /** What it waits for; undefined where the connection ends first, or it does not come: then that is held against the broker. */
  async #attempt<Type extends DecodedType>(type: Type, id: number): Promise<DecodedOf<Type> | undefined> {
    try {
      return await this.#owed(type, id)
    } catch (error) {
      if (!(error instanceof Ended)) this.#faults.add("an answer did not come", `${this.clientId}: ${String(error)}`)
      return undefined
    }
  }

  #owed<Type extends DecodedType>(type: Type, id: number): Promise<DecodedOf<Type>> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) {
        reject(new Ended("the connection has ended"))
        return
      }
      const name = `${type} ${id}`
      const timer = setTimeout(() => {
        this.#waits.delete(name)
        reject(new Error(`no ${name} within ${OWED_MS / 1_000} s`))
      }, OWED_MS)
      this.#waits.set(name, { done: (packet) => resolve(packet as DecodedOf<Type>), failed: reject, timer })
    })
  }

  #take(packet: Decoded): void {
    switch (packet.type) {
      case "publish":
        this.#message(packet)
        return
      case "pubrel":
        if (!this.isMute) this.#send(encode.ack("pubcomp", packet.id))
        return
      case "pubrec":
        if (packet.code < 0x80) {
          this.#send(encode.ack("pubrel", packet.id))
          return
        }
        this.#acknowledged(packet)
        return
      case "puback":
      case "pubcomp":
        this.#acknowledged(packet)
        return
      case "disconnect":
        this.#reason = `, DISCONNECT 0x${packet.code.toString(16)}`
        return
      default:
        this.#answer(packet, "id" in packet ? packet.id : 0)
    }
  }

  #answer(packet: Decoded, id: number): void {
    const name = `${packet.type} ${id}`
    const wait = this.#waits.get(name)
    if (wait === undefined) {
      this.#faults.add("an answer to nothing", `${this.clientId}: ${name}`)
      return
    }
    this.#waits.delete(name)
    clearTimeout(wait.timer)
    wait.done(packet)
  }

  #message({ topic, payload, qos, id, properties }: DecodedOf<"publish">): void {
    const alias = propertyOf(properties, "topicAlias")
    if (typeof alias === "number" && topic !== "") this.#aliases.set(alias, topic)
    const name = topic !== "" ? topic : typeof alias === "number" ? this.#aliases.get(alias) : undefined
    if (name === undefined) throw new Error("a message without a topic name")
    this.onMessage(name, payload)
    if (qos > 0 && !this.isMute) this.#send(encode.ack(qos === 1 ? "puback" : "pubrec", id))
  }

  #acknowledged({ type, id, code }: DecodedOf<AckType>): void {
    // A PUBREL for what the broker does not know is answered with 0x92; 0x10 says that nobody has subscribed.
    if (code >= 0x80 && type !== "pubcomp") {
      this.#faults.add("a PUBLISH was refused", `${this.clientId}, 0x${code.toString(16)}`)
    }
    if (!this.#unacknowledged.delete(id)) {
      this.#faults.add("an acknowledgement of nothing", `${this.clientId}: ${type} ${id}`)
    }
    this.onDone()
  }
}
