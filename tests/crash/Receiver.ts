/**
 * The receiving side of a client: acknowledges in order, each a while after it is due, and watches packet identifiers and its Receive
 * Maximum. What may come at all is the {@link SessionModel}'s.
 *
 * Source: MQTT 5.0, sections 2.2.1, 3.3.1.1, 3.3.4, 4.3 and 4.4.
 */
import type { DecodedOf } from "../support/mqtt-decode.ts"
import { encode } from "../support/mqtt-packets.ts"
import type { Ledger } from "./Ledger.ts"
import type { SessionModel } from "./SessionModel.ts"

const PACKET_IDENTIFIER_NOT_FOUND = 0x92

interface Due {
  readonly frame: Uint8Array
  /** The packet identifier that is free when it is sent; 0 = none. */
  readonly frees: number
  readonly dueMs: number
}

export class Receiver {
  receiveMaximum = 65_535
  /** How long each acknowledgement is kept back, ms. */
  delayMs: () => number
  readonly #ledger: Ledger
  readonly #send: (bytes: Uint8Array) => void
  /** QoS 1 and 2 messages that came on this connection and are not acknowledged, by packet identifier. */
  readonly #unacknowledged = new Set<number>()
  #due: Array<Due> = []

  constructor(ledger: Ledger, delayMs: () => number, send: (bytes: Uint8Array) => void) {
    this.#ledger = ledger
    this.delayMs = delayMs
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
  }

  publish(session: SessionModel, packet: DecodedOf<"publish">): void {
    const { id, qos, dup } = packet
    const isHeld = qos === 2 && session.held.has(id)
    const before = session.held.get(id)
    const message = session.received(packet, isHeld)
    const words = `q${qos}${packet.retain ? " retain" : ""}${dup ? " dup" : ""}`
    this.#ledger.note(`${session.name} <- PUBLISH ${id} "${packet.topic}" ${words} #${message?.id ?? ""}`)
    if (qos === 0) return
    const where = (): string => `${session.name}: packet identifier ${id} of #${message?.id ?? ""}`
    this.#ledger.check(!this.#unacknowledged.has(id), () => `${where()} is used twice`)
    if (session.held.has(id)) {
      const isSame = isHeld && before === message
      this.#ledger.check(isSame, () => `${where()} is used again before PUBCOMP, it is that of #${before?.id ?? ""}`)
      this.#ledger.check(!isSame || dup, () => `${where()} is sent again without DUP`)
    }
    this.#unacknowledged.add(id)
    this.#ledger.check(
      this.#unacknowledged.size <= this.receiveMaximum,
      () =>
        `${session.name} has ${this.#unacknowledged.size} unacknowledged, its Receive Maximum is ${this.receiveMaximum}`
    )
    if (qos === 2) session.held.set(id, message)
    this.#acknowledge(encode.ack(qos === 1 ? "puback" : "pubrec", id), qos === 1 ? id : 0)
  }

  pubrel(session: SessionModel, id: number): void {
    const wasHeld = session.held.delete(id)
    this.#ledger.note(`${session.name} <- PUBREL ${id}`)
    const code = wasHeld || session.owner.version === 4 ? undefined : PACKET_IDENTIFIER_NOT_FOUND
    this.#acknowledge(encode.ack("pubcomp", id, code), id)
  }

  #acknowledge(frame: Uint8Array, frees: number): void {
    this.#due.push({ frame, frees, dueMs: this.#ledger.nowMs + this.delayMs() })
    if (this.#due.length === 1) this.#next()
  }

  #next(): void {
    const due = this.#due
    const [first] = due
    if (first === undefined) return
    const waitMs = first.dueMs - this.#ledger.nowMs
    if (waitMs <= 0) {
      this.#sendFirst()
      return
    }
    setTimeout(() => {
      // Another connection has another list.
      if (this.#due === due) this.#sendFirst()
    }, waitMs)
  }

  #sendFirst(): void {
    const first = this.#due.shift()
    if (first === undefined) return
    this.#unacknowledged.delete(first.frees)
    this.#send(first.frame)
    this.#next()
  }
}
