/**
 * Sends changed MQTT sessions to a broker over TCP and WebSocket, several at a time, and watches what comes back: every packet of the
 * broker must be one that it may send, other clients are served meanwhile, and in the end nothing of the sessions is left.
 */
import { createConnection, type Socket } from "node:net"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { type Address, type Broker, settled } from "../support/broker.ts"
import { decode, packetLength } from "../support/mqtt-decode.ts"
import { concat, encode, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { frame, OPCODE } from "../support/raw-websocket.ts"
import { Mutator } from "./mutations.ts"

/** Sessions at a time. */
const SESSIONS = 24
/** How long a well-behaved client may wait for its message. */
const SERVED_MS = 5_000
const UPGRADE =
  "GET /mqtt HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

/** How the broker that is tried is started: so that what the sessions leave is soon gone. */
export const FUZZED_SETTINGS: Record<string, string> = {
  "protocol-mqtt.session_expiry_max": "1",
  "protocol-mqtt.connect_timeout": "2",
  "protocol-mqtt.stalled_timeout": "5"
}

/** What must be 0 when all have gone and expired. */
const GAUGES =
  /^manifold_mqtt_(?:connections|sessions|subscriptions|queued_messages|held_bytes|output_bytes|wills_pending|shared_groups) (\d+)$/gm

export interface Fuzzed {
  readonly packets: number
  readonly sessions: number
  /** The longest that the well-behaved client waited, ms. */
  readonly servedMs: number
}

/** Runs until so much time has passed, or so many packets were sent; throws where the broker breaks a promise. */
export async function fuzz(
  broker: Broker,
  {
    seed,
    ms = Number.POSITIVE_INFINITY,
    packets = Number.POSITIVE_INFINITY
  }: { seed: number; ms?: number; packets?: number }
): Promise<Fuzzed> {
  const end = performance.now() + ms
  const total = { packets: 0, sessions: 0, servedMs: 0 }
  const isOver = (): boolean => performance.now() >= end || total.packets >= packets
  const worker = async (number: number): Promise<void> => {
    const random = Xoshiro128.seeded(seed, number)
    while (!isOver()) {
      const mutator = new Mutator(random, 0.25)
      const sent = await session(mutator, broker, `fuzz-${number}-${random.below(4)}`)
      total.packets += sent
      total.sessions += 1
    }
  }
  const workers = Array.from({ length: SESSIONS }, (_, number) => worker(number))
  const watching = watch(broker, isOver, (tookMs) => {
    total.servedMs = Math.max(total.servedMs, tookMs)
  })
  await Promise.all([...workers, watching])
  await settled(broker, GAUGES)
  return total
}

/** A client like any other: what it publishes comes back to it in time. */
async function watch(broker: Broker, isOver: () => boolean, served: (tookMs: number) => void): Promise<void> {
  const client = await RawMqtt.connect(broker.mqtt, { version: 5, clientId: "watch" })
  await client.subscribe("watched", 1)
  for (let number = 0; !isOver(); number++) {
    const started = performance.now()
    client.publish({ topic: "watched", payload: `${number}`, qos: 1, id: 1 })
    const message = await client.find("publish", SERVED_MS)
    client.ack("puback", message.id)
    await client.find("puback", SERVED_MS)
    served(performance.now() - started)
    await Bun.sleep(50)
  }
  await client.disconnect(0)
}

/** One session; returns how many packets were sent. */
async function session(mutator: Mutator, broker: Broker, clientId: string): Promise<number> {
  const isWeb = mutator.chance(0.3)
  const version = mutator.version()
  const connect = mutator.connect(version, clientId)
  // What came of a CONNECT that was changed may be of another version.
  const known = mutator.wasChanged ? undefined : version
  const peer = await Peer.open(isWeb ? broker.websocket : broker.mqtt, isWeb, known)
  let packets = 1
  peer.send(mutator, connect)
  for (let left = mutator.below(25); left > 0 && !peer.isClosed; left--) {
    peer.send(mutator, mutator.packet(version))
    packets += 1
    if (mutator.chance(0.3)) await Bun.sleep(mutator.below(4))
  }
  await Bun.sleep(mutator.below(10))
  peer.end(mutator.pick(["cut", "end", "reset"]))
  if (peer.fault !== undefined) throw peer.fault
  return packets
}

class Peer {
  isClosed = false
  fault: unknown
  readonly #socket: Socket
  readonly #isWeb: boolean
  /** Undefined where what the broker sends has no known version. */
  readonly #version: Version | undefined
  #bytes: Uint8Array = new Uint8Array(0)

  private constructor(socket: Socket, isWeb: boolean, version: Version | undefined) {
    this.#socket = socket
    this.#isWeb = isWeb
    this.#version = version
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk))
    for (const event of ["close", "end", "error"]) {
      socket.on(event, () => {
        this.isClosed = true
      })
    }
    if (isWeb) socket.write(UPGRADE)
  }

  static open(address: Address, isWeb: boolean, version: Version | undefined): Promise<Peer> {
    return new Promise((resolve, fail) => {
      const socket = createConnection({ host: address.host, port: address.port, noDelay: true }, () => {
        socket.off("error", fail)
        resolve(new Peer(socket, isWeb, version))
      })
      socket.once("error", fail)
    })
  }

  send(mutator: Mutator, bytes: Uint8Array): void {
    if (this.isClosed) return
    for (const piece of mutator.pieces(bytes)) {
      if (!this.#isWeb) this.#socket.write(piece)
      else if (mutator.chance(0.01)) this.#socket.write(frame(mutator.below(16), piece, mutator.chance(0.5)))
      else this.#socket.write(frame(OPCODE.binary, piece))
    }
  }

  end(how: string): void {
    if (how === "cut") this.#socket.destroy()
    else if (how === "reset") this.#socket.resetAndDestroy()
    else {
      this.#socket.end()
      setTimeout(() => this.#socket.destroy(), 20)
    }
  }

  #take(chunk: Uint8Array): void {
    this.#bytes = concat(this.#bytes, chunk)
    // What a WebSocket carries is tried by its own tests; here its bytes are only taken.
    if (this.#isWeb) {
      this.#bytes = new Uint8Array(0)
      return
    }
    if (this.#version === undefined) return
    try {
      for (let length = packetLength(this.#bytes); length !== undefined; length = packetLength(this.#bytes)) {
        const packet = this.#bytes.subarray(0, length)
        this.#bytes = this.#bytes.subarray(length)
        const { type, ...rest } = decode(packet, this.#version)
        if (type === "publish" && "qos" in rest && rest.qos > 0 && !this.isClosed) {
          this.#socket.write(encode.ack(rest.qos === 1 ? "puback" : "pubrec", rest.id))
        } else if (type === "pubrel" && "id" in rest) this.#socket.write(encode.ack("pubcomp", rest.id))
      }
    } catch (error) {
      this.fault = error
    }
  }
}
