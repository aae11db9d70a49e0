/**
 * One client against one broker, over as many connections as the sequence has: sends what it is told, acknowledges what it is told to
 * acknowledge, and writes down what comes.
 */
import { createConnection, type Socket } from "node:net"
import type { Address } from "../support/broker.ts"
import { type Decoded, decode, packetLength } from "../support/mqtt-decode.ts"
import { concat, encode, type Properties, propertyOf } from "../support/mqtt-packets.ts"
import { within } from "../support/until.ts"
import type { Acknowledging, ClientVersion } from "./plan.ts"

/** Something that came, or the end of a connection. */
export type Seen = { readonly connection: number } & (
  | { readonly type: "closed" }
  | { readonly type: "broken"; readonly reason: string }
  | Exclude<Decoded, { readonly type: "pingresp" }>
)

/** How long an answer may take, ms: only a broker that does not answer comes near it. */
const ANSWER_MS = 10_000

const IMPLEMENTATION_SPECIFIC_ERROR = 0x83

class Connection {
  readonly number: number
  readonly socket: Socket
  isClosed = false
  /** PINGREQs without a PINGRESP. */
  pings = 0
  rest: Uint8Array = new Uint8Array(0)
  /** Names that the broker gave its topic aliases. */
  readonly aliases = new Map<number, string>()
  constructor(number: number, socket: Socket) {
    this.number = number
    this.socket = socket
  }
}

export class Client {
  readonly version: ClientVersion
  readonly #address: Address
  /** Of the run: messages on other names are acknowledged and not written down. */
  readonly #isOurs: (topic: string) => boolean
  #connections = 0
  #current: Connection | undefined
  /** Older connections that the broker has not closed yet. */
  readonly #taken = new Set<Connection>()
  #acknowledging: Acknowledging = "all"
  /** What was not acknowledged on this connection, in order. */
  #held: Array<Decoded> = []
  #wake: Array<() => void> = []
  /** All that came and was not taken. */
  seen: Array<Seen> = []
  /** Packets that came, ever: for seeing quiet. */
  count = 0

  constructor(address: Address, version: ClientVersion, isOurs: (topic: string) => boolean) {
    this.#address = address
    this.version = version
    this.#isOurs = isOurs
  }

  get isOpen(): boolean {
    return this.#current?.isClosed === false
  }

  /** A new connection, beside one that may be there; gives whether its CONNECT was accepted, and with which session. */
  async connect(packet: Uint8Array): Promise<{ readonly accepted: boolean; readonly present: boolean }> {
    const socket = createConnection({ host: this.#address.host, port: this.#address.port, noDelay: true })
    const connection = new Connection(++this.#connections, socket)
    if (this.#current?.isClosed === false) this.#taken.add(this.#current)
    this.#current = connection
    this.#held = []
    socket.on("data", (chunk: Buffer) => this.#take(connection, chunk))
    for (const event of ["end", "error", "close"]) socket.on(event, () => this.#close(connection))
    socket.write(packet)
    const connack = await this.answer("connack")
    return { accepted: connack?.type === "connack" && connack.code === 0, present: connack?.sessionPresent === true }
  }

  send(...packets: ReadonlyArray<Uint8Array>): void {
    if (this.isOpen) this.#current?.socket.write(concat(...packets))
  }

  /** Ends the connection, after a DISCONNECT or without a word. */
  async end(disconnect: Uint8Array | undefined): Promise<void> {
    const connection = this.#current
    if (connection === undefined || connection.isClosed) return
    if (disconnect === undefined) {
      connection.isClosed = true
      connection.socket.resetAndDestroy()
    } else {
      connection.socket.end(disconnect)
      await this.#wait(() => connection.isClosed)
      connection.socket.destroy()
    }
    this.#held = []
  }

  acknowledge(what: Acknowledging): void {
    this.#acknowledging = what
    for (const packet of this.#held.splice(0)) this.#answer(packet)
  }

  /** The next packet of this type, and this identifier, on the current connection; undefined where the connection ends before, or nothing comes. */
  async answer<T extends Decoded["type"]>(type: T, id?: number): Promise<(Seen & { readonly type: T }) | undefined> {
    const number = this.#current?.number ?? 0
    const find = (): Seen | undefined =>
      this.seen.find(
        (each) =>
          each.connection === number && each.type === type && (id === undefined || ("id" in each && each.id === id))
      )
    await this.#wait(() => find() !== undefined || !this.isOpen)
    if (find() === undefined && this.isOpen) {
      this.#note({ connection: number, type: "broken", reason: `no ${type} within ${ANSWER_MS} ms` })
    }
    return find() as (Seen & { readonly type: T }) | undefined
  }

  /** A PINGREQ and its PINGRESP; older connections that are to be closed are. */
  async ping(): Promise<void> {
    await this.#wait(() => this.#taken.size === 0)
    const connection = this.#current
    if (connection === undefined || connection.isClosed) return
    connection.pings += 1
    this.send(encode.pingreq())
    await this.#wait(() => connection.pings === 0 || connection.isClosed)
  }

  /** Ends everything. */
  destroy(): void {
    for (const each of [...this.#taken, this.#current]) each?.socket.destroy()
  }

  async #wait(condition: () => boolean): Promise<void> {
    const end = performance.now() + ANSWER_MS
    while (!condition()) {
      const left = end - performance.now()
      if (left <= 0) return
      const change = new Promise<void>((done) => this.#wake.push(done))
      await within("an answer", change, left).catch(() => {})
    }
  }

  #note(entry: Seen): void {
    this.seen.push(entry)
    this.count += 1
  }

  #awake(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  #close(connection: Connection): void {
    this.#taken.delete(connection)
    if (connection.isClosed) return
    connection.isClosed = true
    connection.socket.destroy()
    this.#note({ connection: connection.number, type: "closed" })
    this.#awake()
  }

  #take(connection: Connection, chunk: Uint8Array): void {
    let bytes = connection.rest.length === 0 ? chunk : concat(connection.rest, chunk)
    try {
      for (let length = packetLength(bytes); length !== undefined; length = packetLength(bytes)) {
        this.#packet(connection, decode(Uint8Array.from(bytes.subarray(0, length)), this.version))
        bytes = bytes.subarray(length)
      }
    } catch (error) {
      this.#note({ connection: connection.number, type: "broken", reason: String(error) })
    }
    connection.rest = Uint8Array.from(bytes)
    this.#awake()
  }

  #packet(connection: Connection, packet: Decoded): void {
    if (packet.type === "pingresp") {
      connection.pings -= 1
      return
    }
    const named = packet.type === "publish" ? { ...packet, topic: named_(connection, packet) } : packet
    if (named.type !== "publish" || this.#isOurs(named.topic)) {
      this.#note({ connection: connection.number, ...named })
      if (connection === this.#current && !connection.isClosed) this.#answer(named)
    } else this.#acknowledge(named)
  }

  /** Acknowledges the packet, or holds it. */
  #answer(packet: Decoded): void {
    const isHeld =
      this.#acknowledging === "nothing" ||
      (this.#acknowledging === "received" && !(packet.type === "publish" && packet.qos === 2))
    if (!isHeld) this.#acknowledge(packet)
    else if (packet.type === "pubrel" || (packet.type === "publish" && packet.qos > 0)) this.#held.push(packet)
  }

  #acknowledge(packet: Decoded): void {
    if (packet.type === "pubrel") this.send(encode.ack("pubcomp", packet.id))
    if (packet.type !== "publish" || packet.qos === 0) return
    const code = this.#acknowledging === "refusing" && this.version === 5 ? IMPLEMENTATION_SPECIFIC_ERROR : undefined
    this.send(encode.ack(packet.qos === 1 ? "puback" : "pubrec", packet.id, code))
  }
}

/** The name of a PUBLISH that may have an alias for it. */
function named_(connection: Connection, { topic, properties }: { topic: string; properties: Properties }): string {
  const alias = propertyOf(properties, "topicAlias")
  if (typeof alias !== "number") return topic
  if (topic !== "") connection.aliases.set(alias, topic)
  const name = connection.aliases.get(alias)
  if (name === undefined) throw new Error(`the broker used topic alias ${alias}, which has no name`)
  return name
}
