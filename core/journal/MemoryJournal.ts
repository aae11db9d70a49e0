/**
 * The journal of a shard that keeps nothing over a restart: the same interface and the same order of acknowledgements as one on
 * disk. What a turn submitted is applied together and committed at its end.
 */
import type { KeyValueStoreShape, KeyValueWrite } from "../kv/KeyValueStore.ts"
import type { TurnShape, TurnTask } from "../platform/Turn.ts"
import type { Durability, JournalConsumer, JournalEntry, JournalShape } from "./Journal.ts"
import { TicketStream } from "./TicketStream.ts"

export class MemoryJournal implements JournalShape, TurnTask {
  readonly tickets = new TicketStream()
  readonly refusal = 0
  nextIndex = 1
  readonly #turn: TurnShape
  #store: KeyValueStoreShape | undefined
  readonly #handedOver = new TicketStream()
  readonly #consumers: Array<JournalConsumer> = []
  #writes: Array<ReadonlyArray<KeyValueWrite>> = []
  #isDeferred = false

  constructor(turn: TurnShape, store?: KeyValueStoreShape) {
    this.#turn = turn
    this.#store = store
  }

  /** Sets the store that key-value writes are applied to; once, before the first of them. */
  bind(store: KeyValueStoreShape): void {
    this.#store = store
  }

  get syncedIndex(): number {
    return this.nextIndex - 1
  }

  ticketsOf(durability: Durability): TicketStream {
    return durability === "persistent" ? this.tickets : this.#handedOver
  }

  submit(entry: JournalEntry): number {
    this.#writes.push(entry.writes)
    this.#defer()
    return this.tickets.issue()
  }

  submitOperation(_kind: number, durability: Durability): number {
    this.#defer()
    return this.ticketsOf(durability).issue()
  }

  register(consumer: JournalConsumer): void {
    this.#consumers.push(consumer)
  }

  released(): void {}

  whenSynced(): Promise<void> {
    return Promise.resolve()
  }

  endTurn(): void {
    this.#isDeferred = false
    const index = this.nextIndex
    this.nextIndex += 1
    const writes = this.#writes
    this.#writes = []
    for (const each of writes) this.#store?.apply(each)
    for (const consumer of this.#consumers) {
      consumer.committed(index, "hybrid")
      consumer.committed(index, "persistent")
    }
    this.#handedOver.commit(this.#handedOver.issued)
    this.tickets.commit(this.tickets.issued)
  }

  #defer(): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    this.#turn.deferFlush(this)
  }
}
