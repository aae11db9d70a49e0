/**
 * An ordered line of receipts.
 *
 * Invariants
 *  - Tickets of one stream rise by one and are committed in order; a ticket is committed at most once.
 *  - A waiter is told after the state that its ticket stands for can be read, and before the turn's output is written.
 *  - A failed ticket counts as committed for the order and carries its refusal.
 */
import { assert } from "../assert.ts"

/** Lists that nobody uses: a stream has one only while somebody waits, for there may be a stream for each of very many partitions. */
const SPARES_MAX = 64
const spares: Array<Array<TicketWaiter>> = []

/** Failures of many tickets that are remembered: each is an episode of a disk that failed or was full. */
const FAILURES_MAX = 1_000

/** Told once after a stream's `committed` has risen. */
export interface TicketWaiter {
  ticketsCommitted(): void
}

/** An ordered line of tickets: the local journal's, or that of messages handed to another shard. */
export class TicketStream {
  #committed = 0
  #issued = 0
  #waiters: Array<TicketWaiter> | undefined
  #isTelling = false
  /** There while there are some. */
  #outcomes: Map<number, number> | undefined
  /** Failures of many tickets at once, by first ticket: they may be asked for by several, or by nobody. */
  #failures: Array<{ readonly from: number; to: number; readonly outcome: number }> | undefined

  /** Tickets up to this one are done. */
  get committed(): number {
    return this.#committed
  }

  get issued(): number {
    return this.#issued
  }

  /** The next ticket of this stream. */
  issue(): number {
    this.#issued += 1
    return this.#issued
  }

  /** Asks to be told once when `committed` next rises. */
  wait(waiter: TicketWaiter): void {
    this.#waiters ??= spares.pop() ?? []
    this.#waiters.push(waiter)
  }

  /** Calls `done` once when `ticket` is committed: in place where it is already. For what is done once in a while. */
  whenCommitted(ticket: number, done: () => void): void {
    const waiter: TicketWaiter = {
      ticketsCommitted: () => {
        if (ticket > this.#committed) this.wait(waiter)
        else done()
      }
    }
    waiter.ticketsCommitted()
  }

  /** Notes how `ticket` ended, where it is not plain success (0). Taken back by {@link TicketStream.takeOutcome}. */
  setOutcome(ticket: number, outcome: number): void {
    if (outcome === 0) return
    this.#outcomes ??= new Map()
    this.#outcomes.set(ticket, outcome)
  }

  /** Notes that all tickets from `from` to `to` ended with `outcome`. The note stays: it is one, however many they are. */
  fail(from: number, to: number, outcome: number): void {
    if (to < from) return
    this.#failures ??= []
    const last = this.#failures.at(-1)
    if (last !== undefined && last.outcome === outcome && last.to === from - 1) last.to = to
    else this.#failures.push({ from, to, outcome })
    if (this.#failures.length > FAILURES_MAX) this.#failures.shift()
  }

  /** Ends all tickets that are not committed with `outcome`. */
  failAll(outcome: number): void {
    this.fail(this.#committed + 1, this.#issued, outcome)
    this.commit(this.#issued)
  }

  /** What a ticket was told to have failed with by {@link TicketStream.fail}; 0 = it was not. For any who want to know. */
  failureOf(ticket: number): number {
    const failures = this.#failures
    if (failures === undefined) return 0
    for (let index = failures.length - 1; index >= 0; index--) {
      const failure = failures[index]
      if (failure !== undefined && ticket >= failure.from && ticket <= failure.to) return failure.outcome
    }
    return 0
  }

  /** How a committed ticket ended: 0 or what was set. A note of one ticket is removed. */
  takeOutcome(ticket: number): number {
    const failure = this.failureOf(ticket)
    if (failure !== 0) return failure
    const outcome = this.#outcomes?.get(ticket)
    if (outcome === undefined) return 0
    this.#outcomes?.delete(ticket)
    return outcome
  }

  /** Raises `committed` and tells who waits. A commit that a waiter causes is told after those who still wait for this one. */
  commit(ticket: number): void {
    if (ticket <= this.#committed) return
    assert(ticket <= this.#issued, "a ticket is issued before it is committed")
    this.#committed = ticket
    if (this.#isTelling || this.#waiters === undefined) return
    this.#isTelling = true
    let told = 0
    while (told < this.#committed && this.#waiters !== undefined) {
      told = this.#committed
      const waiters: Array<TicketWaiter> = this.#waiters
      this.#waiters = undefined
      for (let index = 0; index < waiters.length; index++) waiters[index]?.ticketsCommitted()
      waiters.length = 0
      if (spares.length < SPARES_MAX) spares.push(waiters)
    }
    this.#isTelling = false
  }
}
