/**
 * The journal of a shard that keeps nothing over a restart: the same interface and the same order of acknowledgements as one on
 * disk. Entries of a turn are applied together and committed at its end.
 */
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import type { TurnShape, TurnTask } from "../platform/Turn.ts"
import { type JournalEntry, type JournalShape, TicketStream } from "./Journal.ts"

export class MemoryJournal implements JournalShape, TurnTask {
  readonly tickets = new TicketStream()
  readonly #turn: TurnShape
  readonly #store: KeyValueStoreShape
  #entries: Array<JournalEntry> = []

  constructor(turn: TurnShape, store: KeyValueStoreShape) {
    this.#turn = turn
    this.#store = store
  }

  submit(entry: JournalEntry): number {
    if (this.#entries.length === 0) this.#turn.deferWork(this)
    this.#entries.push(entry)
    return this.tickets.issue()
  }

  endTurn(): void {
    const entries = this.#entries
    this.#entries = []
    for (const entry of entries) this.#store.apply(entry.writes)
    this.tickets.commit(this.tickets.issued)
  }
}
