/**
 * The publishing side of a client: a window of QoS 1 and 2 messages that are sent again, in order, where their session goes on. It
 * is the client's own state: it outlives the broker. Packet identifiers are few, so that they come again soon after PUBCOMP.
 *
 * Source: MQTT 5.0, sections 2.2.1, 4.3, 4.4 and 4.6.
 */

import { type AckType, encode, type Qos } from "../support/mqtt-packets.ts"
import { type Ledger, type Message, show } from "./Ledger.ts"
import { PacketIdentifiers } from "./PacketIdentifiers.ts"
import type { RetainedModel, RetainedWrite } from "./RetainedModel.ts"

/** Nobody wants it. */
const NO_MATCHING_SUBSCRIBERS = 0x10
const PACKET_IDENTIFIER_NOT_FOUND = 0x92

/** What is to be published. */
export interface Wanted {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  /** An empty payload with RETAIN. */
  readonly isClearing: boolean
  readonly padding: number
}

interface Outgoing {
  readonly wanted: Wanted
  readonly message: Message | undefined
  readonly write: RetainedWrite | undefined
  /** QoS 2: PUBREC came. */
  isReleased: boolean
  /** Its place among all that was sent. */
  place: number
}

export class Publisher {
  windowMax = 1
  readonly identifiers = new PacketIdentifiers()
  readonly #ledger: Ledger
  readonly #retained: RetainedModel
  readonly #owner: { readonly clientId: string; readonly version: 4 | 5 }
  readonly #send: (bytes: Uint8Array) => void
  /** Told of every message that the broker acknowledged, the first time. */
  readonly #taken: (message: Message, since: number) => void
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #acknowledgedUpTo = new Map<AckType, number>()
  #place = 0

  constructor(
    ledger: Ledger,
    retained: RetainedModel,
    owner: { readonly clientId: string; readonly version: 4 | 5 },
    send: (bytes: Uint8Array) => void,
    taken: (message: Message, since: number) => void
  ) {
    this.#ledger = ledger
    this.#retained = retained
    this.#owner = owner
    this.#send = send
    this.#taken = taken
  }

  /** QoS 1 and 2 messages under way. */
  get size(): number {
    return this.#outgoing.size
  }

  /** The session is over: nothing of it is sent again. */
  clear(): void {
    for (const identifier of this.#outgoing.keys()) this.identifiers.free(identifier)
    this.#outgoing.clear()
  }

  /** The session goes on with a new connection: what is not acknowledged goes again, in order. */
  resume(): void {
    for (const [identifier, outgoing] of this.#outgoing) {
      outgoing.place = ++this.#place
      this.#ledger.counts.resent += 1
      if (outgoing.isReleased) {
        this.#ledger.note(`${this.#owner.clientId} -> PUBREL ${identifier} again #${outgoing.message?.id ?? ""}`)
        this.#send(encode.ack("pubrel", identifier))
      } else this.#transmit(identifier, outgoing, true)
    }
  }

  /** Publishes, unless its window is full. */
  publish(wanted: Wanted): void {
    const { topic, qos, retain, isClearing, padding } = wanted
    if (qos > 0 && this.#outgoing.size >= this.windowMax) return
    const fields = { publisher: this.#owner.clientId, source: "mqtt", topic, qos, retain } as const
    const message = isClearing ? undefined : this.#ledger.message(fields, padding)
    const write = retain ? this.#retained.writing(topic, message) : undefined
    const outgoing = { wanted, message, write, isReleased: false, place: ++this.#place }
    const identifier = qos === 0 ? 0 : this.identifiers.take()
    if (qos > 0) this.#outgoing.set(identifier, outgoing)
    this.#transmit(identifier, outgoing, false)
  }

  acknowledged(type: AckType, id: number, code: number): void {
    const ledger = this.#ledger
    const outgoing = this.#outgoing.get(id)
    const where = (): string => `${this.#owner.clientId}: ${type} ${id} (0x${code.toString(16)})`
    if (outgoing === undefined) {
      ledger.fail(`${where()} answers nothing`)
      return
    }
    const { wanted, message } = outgoing
    const what = (): string => (message === undefined ? `the clearing of "${wanted.topic}"` : show(message))
    const expected = wanted.qos === 1 ? "puback" : outgoing.isReleased ? "pubcomp" : "pubrec"
    if (!ledger.check(type === expected, () => `${where()} where ${expected} was due for ${what()}`)) return
    const isFine = code === 0 || code === (type === "pubcomp" ? PACKET_IDENTIFIER_NOT_FOUND : NO_MATCHING_SUBSCRIBERS)
    ledger.check(isFine, () => `${where()} refuses ${what()}`)
    ledger.note(`${this.#owner.clientId} <- ${type} ${id} for #${message?.id ?? ""}`)
    if (type !== "pubcomp") this.#accepted(type, outgoing, where)
    if (type === "pubrec") {
      outgoing.isReleased = true
      this.#send(encode.ack("pubrel", id))
      return
    }
    this.#outgoing.delete(id)
    this.identifiers.free(id)
  }

  #accepted(type: AckType, { message, write, place }: Outgoing, where: () => string): void {
    const ledger = this.#ledger
    const before = this.#acknowledgedUpTo.get(type) ?? 0
    ledger.check(place > before, () => `${where()} came after that of a later message`)
    this.#acknowledgedUpTo.set(type, place)
    ledger.counts.acknowledged += 1
    if (write !== undefined) write.isAcknowledged = true
    if (message === undefined || message.acknowledgedAt !== 0) return
    message.acknowledgedAt = ledger.moment()
    this.#taken(message, message.sentAt)
  }

  #transmit(id: number, { wanted, message }: Outgoing, dup: boolean): void {
    const { clientId, version } = this.#owner
    if (message !== undefined) this.#ledger.sending(message)
    const { topic, qos, retain } = wanted
    const words = `q${qos}${retain ? " retain" : ""}${dup ? " dup" : ""}`
    this.#ledger.note(`${clientId} -> PUBLISH ${id} "${topic}" ${words} #${message?.id ?? ""}`)
    this.#send(encode.publish(version, { topic, payload: message?.payload ?? "", qos, retain, dup, id }))
  }
}
