/**
 * Key-value writes on their way into the journal, and what happens in memory when they are there.
 *
 * Invariants
 *  - What waits is done in the order in which it was submitted, so memory passes through the states that the store passes through.
 *  - Nothing is done within the call that submits it, even where the journal refuses at once.
 */
import {
  type JournalShape,
  type KeyValueWrite,
  TicketFifo,
  type TicketRelease,
  type TurnShape,
  type TurnTask
} from "../../../core/mod.ts"

/** Told how writes ended: 0, or the journal's refusal. */
export type Committed = (outcome: number) => void

export class CommitLine implements TicketRelease, TurnTask {
  readonly #journal: Pick<JournalShape, "submit" | "tickets">
  readonly #turn: Pick<TurnShape, "deferWork">
  readonly #fifo = new TicketFifo(this)
  readonly #waiting: Array<Committed> = []
  readonly #ended: Array<readonly [Committed, number]> = []
  #isSubmitting = false
  #isDeferred = false

  constructor(journal: Pick<JournalShape, "submit" | "tickets">, turn: Pick<TurnShape, "deferWork">) {
    this.#journal = journal
    this.#turn = turn
  }

  /** The writes are the journal's from now on. */
  submit(writes: ReadonlyArray<KeyValueWrite>, done: Committed): void {
    const ticket = this.#journal.submit({ writes })
    this.#waiting.push(done)
    this.#isSubmitting = true
    this.#fifo.push(this.#journal.tickets, ticket, 0, 0)
    this.#isSubmitting = false
  }

  released(outcome: number): void {
    const done = this.#waiting.shift()
    if (done !== undefined) this.#ended.push([done, outcome])
  }

  releasedAll(): void {
    if (!this.#isSubmitting) {
      this.#run()
    } else if (!this.#isDeferred) {
      this.#isDeferred = true
      this.#turn.deferWork(this)
    }
  }

  endTurn(): void {
    this.#isDeferred = false
    this.#run()
  }

  #run(): void {
    for (let next = this.#ended.shift(); next !== undefined; next = this.#ended.shift()) next[0](next[1])
  }
}
