/**
 * What waits for tickets, in order: acknowledgements of a connection, answers to another shard. Nothing overtakes: an entry whose
 * ticket is committed waits for those before it.
 *
 * Entries are two numbers that mean something to the owner. Memory is taken only while something waits.
 */
import type { TicketStream, TicketWaiter } from "./Journal.ts"

/** Called for each entry that is done, in order; `outcome` is 0 or what its ticket ended with. */
export interface TicketRelease {
  released(outcome: number, kind: number, value: number): void
  /** All that could be released now has been. */
  releasedAll(): void
}

interface Entry {
  readonly stream: TicketStream | undefined
  readonly ticket: number
  readonly outcome: number
  readonly kind: number
  readonly value: number
}

export class TicketFifo implements TicketWaiter {
  readonly #owner: TicketRelease
  #entries: Array<Entry> = []
  #head = 0
  #waiting = false

  constructor(owner: TicketRelease) {
    this.#owner = owner
  }

  /** Entries that wait. */
  get length(): number {
    return this.#entries.length - this.#head
  }

  /** Adds what waits for `ticket` of `stream`. */
  push(stream: TicketStream, ticket: number, kind: number, value: number): void {
    this.#entries.push({ stream, ticket, outcome: 0, kind, value })
    this.#arm()
  }

  /** Adds what is done already but must not overtake. Only while something waits. */
  pushDone(outcome: number, kind: number, value: number): void {
    this.#entries.push({ stream: undefined, ticket: 0, outcome, kind, value })
  }

  ticketsCommitted(): void {
    // What is added meanwhile is looked at below: it must not make this line wait for a stream whose turn is not yet.
    this.#waiting = true
    let released = false
    for (;;) {
      const entry = this.#entries[this.#head]
      if (entry === undefined) break
      if (entry.stream !== undefined && entry.ticket > entry.stream.committed) break
      this.#head += 1
      released = true
      const outcome = entry.stream === undefined ? entry.outcome : entry.stream.takeOutcome(entry.ticket)
      this.#owner.released(outcome, entry.kind, entry.value)
    }
    if (this.#head === this.#entries.length) {
      if (this.#head > 0) this.#entries = []
      this.#head = 0
    } else if (this.#head > 1024) {
      this.#entries.splice(0, this.#head)
      this.#head = 0
    }
    this.#waiting = false
    this.#arm()
    if (released) this.#owner.releasedAll()
  }

  #arm(): void {
    if (this.#waiting) return
    const entry = this.#entries[this.#head]
    if (entry?.stream === undefined) return
    // A ticket can end within the call that issued it: nobody would be told of that again.
    if (entry.ticket <= entry.stream.committed) {
      this.ticketsCommitted()
      return
    }
    this.#waiting = true
    entry.stream.wait(this)
  }
}
