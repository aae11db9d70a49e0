/**
 * The receiving side of a simulated MQTT client: acknowledges in order, each a while after it is due, and watches packet
 * identifiers and its Receive Maximum. What may come at all is the {@link SessionModel}'s.
 */
import type { DecodedOf } from "../support/mqtt-decode.ts"
import { encode } from "../support/mqtt-packets.ts"
import type { Persona } from "./Scenario.ts"
import type { SessionModel } from "./SessionModel.ts"
import type { World } from "./World.ts"

interface Due {
  readonly frame: Uint8Array
  /** The packet identifier that is free when it is sent; 0 = none. */
  readonly frees: number
}

export class MqttReceiver {
  receiveMaximum = 65_535
  readonly #world: World
  readonly #persona: Persona
  readonly #send: (bytes: Uint8Array) => void
  /** QoS 1 and 2 messages that came on this connection and are not acknowledged, by packet identifier. */
  readonly #unacknowledged = new Set<number>()
  #due: Array<Due> = []
  #isSending = false

  constructor(world: World, persona: Persona, send: (bytes: Uint8Array) => void) {
    this.#world = world
    this.#persona = persona
    this.#send = send
  }

  /** Messages that are not acknowledged, and acknowledgements that are not sent. */
  get size(): number {
    return this.#unacknowledged.size + this.#due.length
  }

  /** The connection is gone: what it owed is not sent any more. */
  reset(): void {
    this.#unacknowledged.clear()
    this.#due = []
    this.#isSending = false
  }

  publish(session: SessionModel, packet: DecodedOf<"publish">): void {
    const world = this.#world
    const { clientId } = this.#persona
    const { id, qos, dup } = packet
    const held = qos === 2 ? session.held.get(id) : undefined
    const message = session.received(packet, held !== undefined)
    if (qos === 0) return
    const where = (): string => `${clientId}: packet identifier ${id}`
    world.check(!this.#unacknowledged.has(id), () => `${where()} is used twice`)
    if (session.held.has(id)) {
      world.check(qos === 2 && dup && held === message, () => `${where()} is used again before PUBCOMP`)
    }
    this.#unacknowledged.add(id)
    world.check(
      this.#unacknowledged.size <= this.receiveMaximum,
      () => `${clientId} has ${this.#unacknowledged.size} unacknowledged, its Receive Maximum is ${this.receiveMaximum}`
    )
    if (qos === 2 && message !== undefined) session.held.set(id, message)
    this.#acknowledge({ frame: encode.ack(qos === 1 ? "puback" : "pubrec", id), frees: qos === 1 ? id : 0 })
  }

  pubrel(session: SessionModel, identifier: number): void {
    session.held.delete(identifier)
    this.#acknowledge({ frame: encode.ack("pubcomp", identifier), frees: identifier })
  }

  #acknowledge(due: Due): void {
    this.#due.push(due)
    if (!this.#isSending) this.#sendNext()
  }

  #sendNext(): void {
    const { chance, isSettling } = this.#world
    const { acknowledgeMsMax } = this.#persona
    const due = this.#due
    this.#isSending = due.length > 0
    if (!this.#isSending) return
    const delayMs = acknowledgeMsMax === 0 ? 0 : chance.below(acknowledgeMsMax + 1)
    this.#world.after(isSettling ? Math.min(delayMs, 5) : delayMs, () => {
      // Another connection has another list.
      if (this.#due !== due) return
      const next = due.shift()
      if (next === undefined) return
      this.#unacknowledged.delete(next.frees)
      this.#send(next.frame)
      this.#sendNext()
    })
  }
}
