/**
 * Packet identifiers of QoS 2 messages that a session has taken and not yet released, and the tickets of those whose PUBREC waits: a
 * client that was cut off sends such a message again, and the copy is answered as the first one is, and no sooner.
 *
 * Invariants
 *  - An identifier is used again and again; what still waits on the line of an old connection is told apart by its number, and says
 *    nothing of a later message.
 *  - A refused message was never taken: its identifier is free from the moment that the refusal is known.
 *
 * Source: MQTT 5.0 section 4.3.3.
 */
import type { TicketStream } from "../../core/mod.ts"

const IDENTIFIERS = 65_536

/** A message whose PUBREC waits for a ticket, on one line of answers or several. */
export interface WaitingReceipt {
  readonly stream: TicketStream
  readonly ticket: number
  /** The packet identifier, and above its 16 bits the number of this wait. */
  readonly number: number
}

interface Receipt extends WaitingReceipt {
  /** Lines that have not been told yet. */
  lines: number
  /** How the ticket ended; undefined = it has not. */
  outcome: number | undefined
}

/** The packet identifier that a line's number stands for. */
export function identifierOf(number: number): number {
  return number % IDENTIFIERS
}

export class ReceivedIdentifiers {
  count = 0
  /** One bit each. */
  readonly #taken = new Uint32Array(IDENTIFIERS / 32)
  /** Of the identifiers whose ticket has not ended. */
  readonly #waiting = new Map<number, Receipt>()
  /** By number: tickets that have ended, while there are lines that have not been told. */
  readonly #ended = new Map<number, Receipt>()
  #waits = 0

  has(identifier: number): boolean {
    return ((this.#taken[identifier >>> 5] ?? 0) & (1 << (identifier & 31))) !== 0
  }

  /** Notes an identifier, which must not be noted already. */
  take(identifier: number): void {
    const word = identifier >>> 5
    this.#taken[word] = (this.#taken[word] ?? 0) | (1 << (identifier & 31))
    this.count += 1
  }

  /** PUBREL came, or the message was refused: the identifier is free again; false where it was not noted. */
  release(identifier: number): boolean {
    if (!this.has(identifier)) return false
    const word = identifier >>> 5
    this.#taken[word] = (this.#taken[word] ?? 0) & ~(1 << (identifier & 31))
    this.count -= 1
    return true
  }

  /** The identifier's PUBREC waits for `ticket`; returns its number for the line of answers. */
  wait(identifier: number, stream: TicketStream, ticket: number): number {
    this.#waits += 1
    const number = this.#waits * IDENTIFIERS + identifier
    this.#waiting.set(identifier, { stream, ticket, number, lines: 1, outcome: undefined })
    return number
  }

  /** A copy of the message came: what its PUBREC waits for on another line; undefined = the first one's ticket has ended well. */
  waitAgain(identifier: number): WaitingReceipt | undefined {
    const receipt = this.#waiting.get(identifier)
    if (receipt !== undefined) receipt.lines += 1
    return receipt
  }

  /** The line that waits under `number` is told `outcome`; returns what the message itself ended with. */
  answered(number: number, outcome: number): number {
    const identifier = identifierOf(number)
    const waiting = this.#waiting.get(identifier)
    const receipt = waiting?.number === number ? waiting : this.#ended.get(number)
    if (receipt === undefined) return outcome
    receipt.lines -= 1
    if (receipt.outcome === undefined) {
      // The stream tells an outcome once: the lines that come later get it from here.
      receipt.outcome = outcome
      this.#waiting.delete(identifier)
      if (outcome < 0) this.release(identifier)
    }
    if (receipt.lines > 0) this.#ended.set(number, receipt)
    else this.#ended.delete(number)
    return receipt.outcome
  }
}
