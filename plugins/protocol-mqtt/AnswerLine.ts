/**
 * The line of answers of one connection: acknowledgements and frames in the order of what they answer. One that waits for a
 * commit, here or on another shard, holds back those behind it; where nothing waits an answer goes straight to the output.
 *
 * Source: MQTT 5.0 section 4.6.
 */
import {
  ACCEPTED_UNMATCHED,
  BACKLOG,
  DISK_FULL,
  REFUSED_NOT_AUTHORIZED,
  REFUSED_QUOTA,
  REFUSED_TOPIC_NAME,
  TicketFifo,
  type TicketRelease,
  type TicketStream
} from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import { identifierOf } from "./ReceivedIdentifiers.ts"
import { reasonStringOf } from "./reason-strings.ts"
import * as Reason from "./reasons.ts"
import {
  ACKNOWLEDGEMENT_SIZE,
  ACKNOWLEDGEMENT_WITH_REASON_SIZE,
  acknowledgementWithStringSize,
  writeAcknowledgement,
  writeAcknowledgementWithReason,
  writeAcknowledgementWithString
} from "./wire/acknowledgements.ts"
import * as Packet from "./wire/packet-types.ts"
import { NO_MATCHING_SUBSCRIBERS, TOPIC_NAME_INVALID, UNSPECIFIED_ERROR } from "./wire/reason-codes.ts"

/** A frame that is ready, by its number. */
const FRAME = 0
/** No answer, but something more that the next one waits for. */
const GATE = 1
/** The outcome of a PUBREL whose identifier is not known. */
export const NOT_FOUND = 2
/** Below this many waiting answers a paused connection reads on. */
const RESUME_BELOW = 500

/** An answer that has its place in the line, and what to do after it. */
interface Answer {
  readonly frame: Uint8Array
  readonly after: (() => void) | undefined
}

export class AnswerLine implements TicketRelease {
  /** QoS 1 messages taken whose PUBACK waits in the line. */
  pubacksOwed = 0
  readonly #connection: Connection
  #fifo: TicketFifo | undefined
  #answers: Map<number, Answer> | undefined
  #answerCount = 0
  /** The worst outcome of the gates before the next answer. */
  #gateOutcome = 0

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Answers that wait. */
  get length(): number {
    return this.#fifo?.length ?? 0
  }

  /**
   * Adds the acknowledgement (packet type `kind`) of a message that is done when `ticket` is committed. Of a PUBREC `number` is that of
   * its receipt, else it is the packet identifier.
   */
  wait(stream: TicketStream, ticket: number, kind: number, number: number): void {
    if (kind === Packet.PUBACK) this.pubacksOwed += 1
    this.#fifo ??= new TicketFifo(this)
    this.#fifo.push(stream, ticket, kind, number)
  }

  /** What is added next waits for this, too, and ends no better. */
  waitFirst(stream: TicketStream, ticket: number): void {
    this.#fifo ??= new TicketFifo(this)
    this.#fifo.push(stream, ticket, GATE, 0)
  }

  /** Acknowledges at once, or behind what waits. */
  acknowledge(outcome: number, kind: number, packetIdentifier: number): void {
    if (kind === Packet.PUBACK) this.pubacksOwed += 1
    if (this.#fifo !== undefined && this.#fifo.length > 0) this.#fifo.pushDone(outcome, kind, packetIdentifier)
    else this.released(outcome, kind, packetIdentifier)
  }

  /** Sends a frame when `ticket` is committed (0 = no need to wait) and nothing before it waits; then calls `after`. */
  answer(frame: Uint8Array, stream: TicketStream, ticket: number, after: (() => void) | undefined): void {
    // Nothing overtakes: `length` counts gates, too.
    if (ticket === 0 && this.length === 0) {
      this.#send({ frame, after })
      return
    }
    this.#answers ??= new Map()
    const number = ++this.#answerCount
    this.#answers.set(number, { frame, after })
    this.#fifo ??= new TicketFifo(this)
    if (ticket === 0) this.#fifo.pushDone(0, FRAME, number)
    else this.#fifo.push(stream, ticket, FRAME, number)
  }

  released(toldOf: number, kind: number, value: number): void {
    const connection = this.#connection
    if (kind === GATE) {
      this.#gateOutcome = Math.min(this.#gateOutcome, toldOf)
      return
    }
    const told = this.#gateOutcome < 0 ? this.#gateOutcome : toldOf
    this.#gateOutcome = 0
    if (kind === Packet.PUBACK) this.pubacksOwed -= 1
    const outcome = kind === Packet.PUBREC ? (connection.answersFor?.received?.answered(value, told) ?? told) : told
    if (outcome < 0 && kind === Packet.PUBREC) connection.answersFor?.receivedRefused(identifierOf(value))
    if (connection.isClosed) return
    const identifier = identifierOf(value)
    if (kind === FRAME) {
      const answer = this.#answers?.get(value)
      this.#answers?.delete(value)
      // What could not be kept is not confirmed: the client comes again and asks again.
      if (outcome < 0) connection.close(reasonOf(outcome))
      else if (answer !== undefined) this.#send(answer)
    } else if (kind === Packet.PUBCOMP) {
      if (outcome < 0) connection.close(reasonOf(outcome))
      else this.send(kind, identifier, outcome === NOT_FOUND ? Reason.PACKET_IDENTIFIER_NOT_FOUND : 0)
    } else if (outcome >= 0) {
      this.send(kind, identifier, outcome === ACCEPTED_UNMATCHED ? NO_MATCHING_SUBSCRIBERS : 0)
    } else this.#refuse(outcome, kind, identifier)
  }

  releasedAll(): void {
    if (this.length < RESUME_BELOW) this.#connection.readOn()
  }

  /** Writes an acknowledgement now, whatever waits: for those that the line does not order. */
  send(type: number, packetIdentifier: number, reasonCode: number): void {
    const { output, version } = this.#connection
    this.#count(type)
    if (reasonCode === 0 || version !== 5) {
      const position = this.#connection.reserve(ACKNOWLEDGEMENT_SIZE)
      writeAcknowledgement(output.bytes, position, type, packetIdentifier)
    } else {
      const position = this.#connection.reserve(ACKNOWLEDGEMENT_WITH_REASON_SIZE)
      writeAcknowledgementWithReason(output.bytes, position, type, packetIdentifier, reasonCode)
    }
  }

  #refuse(outcome: number, kind: number, packetIdentifier: number): void {
    const connection = this.#connection
    connection.broker.counts.publishRefused += 1
    if (connection.version === 5) this.#sendRefusal(kind, packetIdentifier, reasonOf(outcome))
    // Before version 5 there is no way to refuse: what may not be published is acknowledged and dropped, as 3.1.1 allows
    // (section 3.3.5); what cannot be stored must not look stored, so the connection ends.
    else if (outcome === REFUSED_NOT_AUTHORIZED) this.send(kind, packetIdentifier, 0)
    else connection.close(reasonOf(outcome))
  }

  /** PUBACK or PUBREC that says no, and why where the client wants to know and takes a packet of that size [MQTT-3.4.2-2]. */
  #sendRefusal(kind: number, packetIdentifier: number, reasonCode: number): void {
    const connection = this.#connection
    const reason = connection.client.requestProblemInformation ? reasonStringOf(reasonCode) : undefined
    const text = reason === undefined ? undefined : new TextEncoder().encode(reason)
    const size = text === undefined ? 0 : acknowledgementWithStringSize(text.length)
    if (text === undefined || size > connection.packetSizeMax) {
      this.send(kind, packetIdentifier, reasonCode)
      return
    }
    this.#count(kind)
    const position = connection.reserve(size)
    writeAcknowledgementWithString(connection.output.bytes, position, kind, packetIdentifier, reasonCode, text)
  }

  #count(type: number): void {
    this.#connection.broker.counts.sent(type)
  }

  #send(answer: Answer): void {
    if (answer.frame.length > 0) this.#count((answer.frame[0] ?? 0) >>> 4)
    const position = this.#connection.reserve(answer.frame.length)
    this.#connection.output.bytes.set(answer.frame, position)
    answer.after?.()
  }
}

function reasonOf(outcome: number): number {
  if (outcome === REFUSED_NOT_AUTHORIZED) return Reason.NOT_AUTHORIZED
  if (outcome === REFUSED_TOPIC_NAME) return TOPIC_NAME_INVALID
  const isFull = outcome === REFUSED_QUOTA || outcome === BACKLOG || outcome === DISK_FULL
  return isFull ? Reason.QUOTA_EXCEEDED : UNSPECIFIED_ERROR
}
