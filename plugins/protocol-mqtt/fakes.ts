/**
 * For tests: a client that follows MQTT to the letter and remembers what a client must, over every connection: what it has published and
 * how far that got, and which identifiers of QoS 2 it has taken and not released.
 *
 * Source: MQTT 5.0 sections 4.3, 4.4. Answers leave one by one, when the test says so.
 */
import assert from "node:assert/strict"
import type { Decoded, DecodedOf } from "../../tests/support/mqtt-decode.ts"
import { type Connect, encode, type Version } from "../../tests/support/mqtt-packets.ts"
import { type TestNode, Wire } from "./testing.ts"

const decoder = new TextDecoder()

/** A message on its way to the broker. */
interface Outgoing {
  readonly id: number
  readonly topic: string
  readonly payload: string
  readonly qos: 1 | 2
  /** PUBREC came: only PUBREL may follow. */
  isReleased: boolean
}

export interface Got {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly dup: boolean
  readonly retain: boolean
  /** The connection that it came on: the first is 1. */
  readonly connection: number
}

export class TestClient {
  readonly id: string
  wire: Wire | undefined
  /** Application messages that it was given, QoS 2 once each identifier. */
  readonly got: Array<Got> = []
  /** Payloads whose PUBACK or PUBCOMP has come. */
  readonly done: Array<string> = []
  /** Payloads that were refused. */
  readonly refused: Array<string> = []
  sessionPresent: boolean | undefined
  /** Connections that the broker has accepted. */
  accepted = 0
  /** The connection before, which this one has taken the place of. */
  former: Wire | undefined
  /** Told of each packet when it is read, before it is answered. */
  onPacket: (packet: Decoded) => void = () => {}
  /** The most messages that the broker may have in flight to it. */
  window = 65_535
  readonly #version: Version
  readonly #node: TestNode
  #outgoing: Array<Outgoing> = []
  /** Identifiers of QoS 2 that it has taken and not released. */
  readonly #taken = new Set<number>()
  /** Identifiers that the broker uses on this connection. */
  #inFlight = new Set<number>()
  #read = 0
  #nextId = 1
  readonly #idMax: number

  /** With `idMax` its packet identifiers come again soon. */
  constructor(node: TestNode, id: string, version: Version = 4, idMax = 8) {
    this.#node = node
    this.id = id
    this.#version = version
    this.#idMax = idMax
  }

  get isConnected(): boolean {
    return this.wire !== undefined && !this.wire.isClosed
  }

  /** Packets that have come and are not answered. */
  get unread(): number {
    return (this.wire?.received.length ?? 0) - this.#read
  }

  /** Messages that it has published and that are not done. */
  get unfinished(): number {
    return this.#outgoing.length
  }

  connect(facts: Connect = {}): void {
    this.cut()
    this.takeOver(facts)
  }

  /** Connects and leaves an earlier connection as it is, for the broker to end. */
  takeOver(facts: Connect = {}): void {
    if (this.isConnected) this.former = this.wire
    this.wire = new Wire(this.#node.of(this.id), this.#version)
    this.#read = 0
    this.sessionPresent = undefined
    this.#inFlight = new Set()
    if (facts.clean === true) this.#beginAnew()
    this.wire.send(encode.connect({ version: this.#version, clientId: this.id, clean: false, ...facts }))
  }

  cut(): void {
    this.wire?.cut()
    this.wire = undefined
  }

  send(packet: Uint8Array): void {
    this.wire?.send(packet)
  }

  /** False where it has no identifier left. It leaves at once where there is a session, else with the next one. */
  publish(topic: string, payload: string, qos: 1 | 2): boolean {
    if (this.#outgoing.length >= this.#idMax) return false
    while (this.#outgoing.some(({ id }) => id === this.#nextId)) this.#nextId = (this.#nextId % this.#idMax) + 1
    const message: Outgoing = { id: this.#nextId, topic, payload, qos, isReleased: false }
    this.#nextId = (this.#nextId % this.#idMax) + 1
    this.#outgoing.push(message)
    if (this.sessionPresent !== undefined) this.#send(message, false)
    return true
  }

  /** Reads and answers the next packets, at most `count`. */
  answer(count = Number.POSITIVE_INFINITY): void {
    for (let left = count; left > 0; left--) {
      const packet = this.wire?.received[this.#read]
      if (packet === undefined) return
      this.#read += 1
      this.#take(packet)
    }
  }

  /** It has no session, or discards the one that it had. */
  #beginAnew(): void {
    this.#taken.clear()
    for (const message of this.#outgoing) message.isReleased = false
  }

  #send({ id, topic, payload, qos, isReleased }: Outgoing, dup: boolean): void {
    if (isReleased) this.send(encode.ack("pubrel", id))
    else this.send(encode.publish(this.#version, { topic, payload, qos, id, dup }))
  }

  #take(packet: Decoded): void {
    this.onPacket(packet)
    switch (packet.type) {
      case "connack":
        if (packet.code !== 0) return
        this.accepted += 1
        this.sessionPresent = packet.sessionPresent
        if (!packet.sessionPresent) this.#beginAnew()
        for (const message of this.#outgoing) this.#send(message, packet.sessionPresent)
        return
      case "publish":
        this.#delivered(packet)
        return
      case "pubrel":
        this.#taken.delete(packet.id)
        this.#inFlight.delete(packet.id)
        this.send(encode.ack("pubcomp", packet.id))
        return
      case "puback":
      case "pubrec":
      case "pubcomp":
        this.#acknowledged(packet.type, packet.id, packet.code)
    }
  }

  #delivered({ id, topic, payload: bytes, qos, dup, retain }: DecodedOf<"publish">): void {
    const payload = decoder.decode(bytes)
    if (qos > 0) {
      assert.ok(!this.#inFlight.has(id), `${this.id}: identifier ${id} comes while it is in use`)
      this.#inFlight.add(id)
      assert.ok(this.#inFlight.size <= this.window, `${this.id}: ${this.#inFlight.size} messages in flight`)
    }
    const isCopy = qos === 2 && this.#taken.has(id)
    if (!isCopy) this.got.push({ topic, payload, qos, dup, retain, connection: this.accepted })
    if (qos === 1) {
      this.#inFlight.delete(id)
      this.send(encode.ack("puback", id))
    } else if (qos === 2) {
      this.#taken.add(id)
      this.send(encode.ack("pubrec", id))
    }
  }

  #acknowledged(type: "puback" | "pubrec" | "pubcomp", id: number, code: number): void {
    const at = this.#outgoing.findIndex((message) => message.id === id)
    const message = this.#outgoing[at]
    if (message === undefined) return
    if (code >= 0x80 && type !== "pubcomp") {
      this.#outgoing.splice(at, 1)
      this.refused.push(message.payload)
    } else if (type === "pubrec") {
      message.isReleased = true
      this.send(encode.ack("pubrel", id))
    } else {
      this.#outgoing.splice(at, 1)
      this.done.push(message.payload)
    }
  }
}
