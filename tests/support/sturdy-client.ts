/**
 * A client that keeps its side of a session over every end of a connection: what it publishes is sent again until it is acknowledged, what
 * it receives is counted once for each time that its session gave it. It connects again by itself.
 *
 * Source: MQTT 5.0 and 3.1.1, sections 4.1, 4.3, 4.4.
 */
import type { Address } from "./broker.ts"
import type { Decoded } from "./mqtt-decode.ts"
import { encode, type Properties, type Qos, textOf, type Version } from "./mqtt-packets.ts"
import { RawMqtt, uniqueId } from "./raw-mqtt.ts"
import { sleep } from "./until.ts"

interface Outgoing {
  readonly topic: string
  readonly payload: string
  readonly qos: Qos
  isReleased: boolean
}

const WINDOW = 20
const CONNACK_MS = 3_000
const FOR_EVER_MS = 3_600_000

export class SturdyClient {
  /** How often each payload came. */
  readonly received = new Map<string, number>()
  acknowledged = 0
  /** Times that the broker did not know its session any more. */
  sessionsLost = 0
  readonly #address: () => Address | undefined
  readonly #filter: string
  readonly #version: Version
  readonly #clientId = uniqueId("sturdy")
  readonly #waiting: Array<Outgoing> = []
  readonly #inflight = new Map<number, Outgoing>()
  readonly #held = new Set<number>()
  #next = 0
  #raw: RawMqtt | undefined
  #isReady = false
  #wasPresent = false
  #isOver = false

  /** Subscribes to `filter` with QoS 2; "" = to nothing. `address` is undefined while there is none. */
  constructor(address: () => Address | undefined, filter: string, version: Version = 5) {
    this.#address = address
    this.#filter = filter
    this.#version = version
    void this.#live()
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** Messages that are not acknowledged. */
  get pending(): number {
    return this.#waiting.length + this.#inflight.size
  }

  publish(topic: string, payload: string, qos: Qos): void {
    this.#waiting.push({ topic, payload, qos, isReleased: false })
    this.#fill()
  }

  stop(): void {
    this.#isOver = true
    this.#raw?.cut()
  }

  async #live(): Promise<void> {
    while (!this.#isOver) {
      const address = this.#address()
      if (address !== undefined) await this.#connection(address).catch(() => {})
      this.#isReady = false
      this.#raw?.cut()
      this.#raw = undefined
      await sleep(20)
    }
  }

  async #connection(address: Address): Promise<void> {
    const raw = await RawMqtt.open(address, this.#version)
    this.#raw = raw
    const properties: Properties =
      this.#version === 5
        ? [
            ["sessionExpiry", 3_600],
            ["receiveMaximum", WINDOW]
          ]
        : []
    raw.send(encode.connect({ version: this.#version, clientId: this.#clientId, clean: false, properties }))
    const { code, sessionPresent } = await raw.expect("connack", CONNACK_MS)
    if (code !== 0) throw new Error(`CONNECT was refused with ${code}`)
    if (this.#wasPresent && !sessionPresent) this.sessionsLost += 1
    if (!sessionPresent) this.#held.clear()
    if (!sessionPresent && this.#filter !== "") await raw.subscribe(this.#filter, 2)
    this.#wasPresent = true
    for (const [id, { isReleased, ...message }] of this.#inflight) {
      if (isReleased) raw.ack("pubrel", id)
      else raw.publish({ ...message, id, dup: true })
    }
    this.#isReady = true
    this.#fill()
    for (;;) this.#handle(raw, await raw.next(FOR_EVER_MS))
  }

  #handle(raw: RawMqtt, packet: Decoded): void {
    switch (packet.type) {
      case "publish": {
        const isNew = packet.qos < 2 || !this.#held.has(packet.id)
        const payload = textOf(packet.payload)
        if (isNew) this.received.set(payload, (this.received.get(payload) ?? 0) + 1)
        if (packet.qos === 1) raw.ack("puback", packet.id)
        if (packet.qos !== 2) return
        this.#held.add(packet.id)
        raw.ack("pubrec", packet.id)
        return
      }
      case "pubrel":
        this.#held.delete(packet.id)
        raw.ack("pubcomp", packet.id)
        return
      case "pubrec": {
        const outgoing = this.#inflight.get(packet.id)
        if (outgoing !== undefined) outgoing.isReleased = true
        raw.ack("pubrel", packet.id)
        return
      }
      case "puback":
      case "pubcomp":
        if (this.#inflight.delete(packet.id)) this.acknowledged += 1
        this.#fill()
    }
  }

  #fill(): void {
    while (this.#isReady && this.#inflight.size < WINDOW) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      do this.#next = (this.#next % 60_000) + 1
      while (this.#inflight.has(this.#next))
      this.#inflight.set(this.#next, next)
      const { isReleased: _, ...message } = next
      this.#raw?.publish({ ...message, id: this.#next })
    }
  }
}
