/** Tickets that are done in any order and end in that in which they were issued. */
import { TicketStream } from "../../core/mod.ts"

export class OrderedTickets {
  readonly stream = new TicketStream()
  readonly #done = new Set<number>()

  /** With an outcome below 0 it has failed, for all who wait for it. */
  done(ticket: number, outcome = 0): void {
    if (outcome < 0) this.stream.fail(ticket, ticket, outcome)
    this.#done.add(ticket)
    let last = this.stream.committed
    while (this.#done.delete(last + 1)) last += 1
    this.stream.commit(last)
  }
}
