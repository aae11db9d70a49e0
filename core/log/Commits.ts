/**
 * Receipts for what was appended to one partition whose mode promises more than memory: each ticket is done when the high watermark
 * has passed its record, or when the record was refused or lost.
 *
 * Invariants
 *  - Tickets end in the order in which they were issued; a refused one waits for those before it.
 *  - While nothing waits for a commit there is nothing here but the stream.
 */
import { TicketStream } from "../journal/Journal.ts"

/** Tickets up to `ticket` stand for records below `endOffset`, or ended with `outcome` (below 0). */
interface Appended {
  readonly ticket: number
  readonly endOffset: number
  readonly outcome: number
}

/** Lists that nobody uses: there may be receipts of very many partitions. */
const SPARES_MAX = 64
const spares: Array<Array<Appended>> = []
const NOTHING: ReadonlyArray<Appended> = []

export class Commits {
  readonly tickets = new TicketStream()
  /** Undefined while nothing waits. */
  #pending: Array<Appended> | undefined
  #head = 0
  /** Tickets above this one stand for records that lie gathered. */
  #appendedTicket = 0

  /** The records of all tickets issued since the last call were appended; they end at `endOffset`. */
  appended(endOffset: number): void {
    this.#push(endOffset, 0)
  }

  /** A ticket for records that were appended before and end at `endOffset`; 0 where they are committed. */
  again(endOffset: number, highWatermark: number): number {
    const ticket = endOffset > highWatermark ? this.tickets.issue() : 0
    this.appended(endOffset)
    return ticket
  }

  /** The records of all tickets issued since the last `appended` were refused. */
  refused(outcome: number, highWatermark: number): void {
    this.#push(0, outcome)
    this.settle(highWatermark)
  }

  /** Ends every ticket whose record lies below the high watermark, in order. */
  settle(highWatermark: number): void {
    const pending = this.#pending
    if (pending === undefined) return
    let done = 0
    for (;;) {
      const next = pending[this.#head]
      if (next === undefined || (next.outcome === 0 && next.endOffset > highWatermark)) break
      if (next.outcome !== 0) this.#note(Math.max(done, this.tickets.committed), next)
      done = next.ticket
      this.#head += 1
    }
    if (this.#head === pending.length) {
      this.#head = 0
      this.#pending = undefined
      pending.length = 0
      if (spares.length < SPARES_MAX) spares.push(pending)
    }
    if (done > 0) this.tickets.commit(done)
  }

  /** Nothing above the high watermark is there any more: all tickets that wait end with `outcome`. */
  lost(outcome: number, highWatermark: number): void {
    this.settle(highWatermark)
    let from = this.tickets.committed
    for (const entry of this.#pending?.slice(this.#head) ?? NOTHING) {
      this.#note(from, entry.outcome === 0 ? { ...entry, outcome } : entry)
      from = entry.ticket
    }
    this.#note(from, { ticket: this.tickets.issued, endOffset: 0, outcome })
    this.#pending = undefined
    this.#head = 0
    this.#appendedTicket = this.tickets.issued
    this.tickets.commit(this.tickets.issued)
  }

  #push(endOffset: number, outcome: number): void {
    const ticket = this.tickets.issued
    if (ticket === this.#appendedTicket) return
    this.#appendedTicket = ticket
    this.#pending ??= spares.pop() ?? []
    this.#pending.push({ ticket, endOffset, outcome })
  }

  /** How the tickets after `from` ended. */
  #note(from: number, { ticket, outcome }: Appended): void {
    for (let each = from + 1; each <= ticket; each++) this.tickets.setOutcome(each, outcome)
  }
}
