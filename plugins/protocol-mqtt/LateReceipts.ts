/**
 * QoS 2 messages of a durable session that are committed elsewhere: by another shard, or by an engine that commits by itself. The row
 * of their identifier is written when that is done, so that it never speaks of a message that is not there; PUBREC waits for both.
 *
 * Invariant: a row waits for its own message only, however long those before it take; PUBRECs keep their order. Who changes the binding of
 * a name has all of that name answered before, and counts on their rows.
 */
import { TicketFifo, type TicketStream } from "../../core/mod.ts"
import type { DurableSession } from "./DurableSession.ts"
import { OrderedTickets } from "./OrderedTickets.ts"

interface Late {
  readonly packetIdentifier: number
  readonly owner: number
}

export class LateReceipts {
  readonly #session: DurableSession
  readonly #receipts = new OrderedTickets()
  readonly #waiting = new Map<number, Late>()
  /** One line for each stream while something waits for it. */
  readonly #stored = new Map<TicketStream, TicketFifo>()

  constructor(session: DurableSession) {
    this.#session = session
  }

  get stream(): TicketStream {
    return this.#receipts.stream
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** Returns the ticket, of {@link LateReceipts.stream}, of a message that is stored when `ticket` of `stream` is committed. */
  wait(packetIdentifier: number, stream: TicketStream, ticket: number, owner: number): number {
    const late = this.#receipts.stream.issue()
    this.#waiting.set(late, { packetIdentifier, owner })
    this.#lineOf(stream).push(stream, ticket, 0, late)
    return late
  }

  #lineOf(stream: TicketStream): TicketFifo {
    const known = this.#stored.get(stream)
    if (known !== undefined) return known
    const line = new TicketFifo({
      released: (outcome, _kind, ticket) => this.#released(outcome, ticket),
      releasedAll: () => {
        if (line.length === 0) this.#stored.delete(stream)
      }
    })
    this.#stored.set(stream, line)
    return line
  }

  #released(outcome: number, ticket: number): void {
    const session = this.#session
    const late = this.#waiting.get(ticket)
    if (outcome >= 0 && late !== undefined && session.isEnded) {
      // It was on its way when the session ended: nobody else knows of its token.
      session.broker.services.ingress.giveBackToken(session.tokenOf(late.packetIdentifier), () => {})
    }
    if (outcome < 0 || late === undefined || !session.hasReceived(late.packetIdentifier)) {
      this.#end(ticket, outcome)
      return
    }
    session.keepReceived(late.packetIdentifier, late.owner)
    session.broker.whenCommitted((kept) => this.#end(ticket, kept))
  }

  #end(ticket: number, outcome: number): void {
    this.#waiting.delete(ticket)
    if (outcome < 0) this.#receipts.stream.setOutcome(ticket, outcome)
    this.#receipts.done(ticket)
    // A session without a connection may leave memory now.
    if (this.#session.connection === undefined) this.#session.broker.writeAtEndOfTurn(this.#session)
  }
}
