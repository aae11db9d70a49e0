/**
 * One ticket that stands for two: done when both are, and with the worse of their outcomes.
 *
 * Invariant: joint tickets of one line end in the order in which they were made; one that hangs holds up those behind it.
 */
import { TicketFifo, type TicketRelease } from "./TicketFifo.ts"
import { TicketStream } from "./TicketStream.ts"

const FIRST = 0
const SECOND = 1

export class JointTickets implements TicketRelease {
  readonly stream = new TicketStream()
  readonly #fifo = new TicketFifo(this)
  #first = 0

  /** The ticket, of {@link JointTickets.stream}, that is done when both of these are. */
  join(one: TicketStream, oneTicket: number, other: TicketStream, otherTicket: number): number {
    const ticket = this.stream.issue()
    this.#fifo.push(one, oneTicket, FIRST, ticket)
    this.#fifo.push(other, otherTicket, SECOND, ticket)
    return ticket
  }

  released(outcome: number, kind: number, ticket: number): void {
    if (kind === FIRST) {
      this.#first = outcome
      return
    }
    this.stream.setOutcome(ticket, Math.min(this.#first, outcome))
    this.stream.commit(ticket)
  }

  releasedAll(): void {}
}
