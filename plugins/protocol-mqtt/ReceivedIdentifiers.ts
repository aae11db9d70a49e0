/**
 * Packet identifiers of QoS 2 messages that a session has taken and not yet released, and who waits for the PUBREC of one that is
 * not stored yet: a client that was cut off sends it again, and the copy is answered as the first one is.
 *
 * Source: MQTT 5.0 section 4.3.3.
 */
import { TicketStream } from "../../core/mod.ts"

const IDENTIFIERS = 65_536

export class ReceivedIdentifiers {
  count = 0
  /** One bit each. */
  readonly #taken = new Uint32Array(IDENTIFIERS / 32)
  /** Of those whose PUBREC waits for a ticket: the streams of the copies that wait with it. */
  readonly #waiting = new Map<number, Array<TicketStream>>()

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

  /** The identifier's PUBREC waits for a ticket. */
  wait(identifier: number): void {
    this.#waiting.set(identifier, [])
  }

  /** A copy came: a stream whose ticket 1 ends as the first one's does; undefined where nothing has to be waited for. */
  waitAgain(identifier: number): TicketStream | undefined {
    const streams = this.#waiting.get(identifier)
    if (streams === undefined) return undefined
    const stream = new TicketStream()
    stream.issue()
    streams.push(stream)
    return stream
  }

  /** The first one's ticket has ended. */
  answered(identifier: number, outcome: number): void {
    const streams = this.#waiting.get(identifier)
    if (streams === undefined) return
    this.#waiting.delete(identifier)
    for (const stream of streams) {
      stream.setOutcome(1, outcome)
      stream.commit(1)
    }
  }
}
