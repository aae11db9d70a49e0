/** For tests: a key-value store in order, a journal that commits and fails when it is told to, and a log over both. */

import { Effect } from "effect"
import { StorageRoom } from "../budget/StorageBudget.ts"
import { messageOf, payloadOf } from "../ingress/fakes.ts"
import type { Message } from "../ingress/Message.ts"
import { type Durability, type JournalEntry, type JournalShape, TicketStream } from "../journal/Journal.ts"
import { compareKeys, type KeyValue, type KeyValueStoreShape, type KeyValueWrite } from "../kv/KeyValueStore.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { QueueLog, type QueueLogOptions } from "./QueueLog.ts"

/** Keys in order, in an array. */
export class OrderedStore implements KeyValueStoreShape {
  rows: Array<KeyValue> = []
  /** Reads off the loop so far. */
  reads = 0
  /** Bytes of the values that they brought. */
  bytesRead = 0
  /** What the next reads off the loop fail with. */
  failure: Error | undefined

  get size(): number {
    return this.rows.length
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const row = this.rows[this.#find(key)]
    return row !== undefined && compareKeys(row.key, key) === 0 ? row.value : undefined
  }

  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue> {
    const from = this.#find(start)
    return this.rows.slice(from, Math.max(from, Math.min(this.#find(end), from + limit)))
  }

  async rangeLater(
    start: Uint8Array,
    end: Uint8Array,
    limit: number,
    bytesMax: number
  ): Promise<ReadonlyArray<KeyValue>> {
    this.reads += 1
    const found: Array<KeyValue> = []
    let bytes = 0
    for (const row of this.range(start, end, limit)) {
      bytes += row.value.length
      if (found.length > 0 && bytes > bytesMax) break
      this.bytesRead += row.value.length
      found.push(row)
    }
    await Promise.resolve()
    if (this.failure !== undefined) throw this.failure
    return found
  }

  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    for (const { key, value, end } of writes) {
      const at = this.#find(key)
      if (end !== undefined) this.rows.splice(at, Math.max(0, this.#find(end) - at))
      else {
        const found = this.rows[at]
        const isThere = found !== undefined && compareKeys(found.key, key) === 0
        const row = value === undefined ? [] : [{ key: key.slice(), value: value.slice() }]
        this.rows.splice(at, isThere ? 1 : 0, ...row)
      }
    }
  }

  /** Index of the first row at or behind `key`. */
  #find(key: Uint8Array): number {
    let low = 0
    let high = this.rows.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const row = this.rows[middle]
      if (row !== undefined && compareKeys(row.key, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Commits what was submitted when it is told to, or fails it all. */
export class ManualJournal implements JournalShape {
  readonly tickets = new TicketStream()
  refusal = 0
  nextIndex = 1
  /** What {@link ManualJournal.whenSynced} answers. */
  synced: Promise<void> = Promise.resolve()
  readonly syncedIndex = 0
  readonly #store: OrderedStore
  #pending: Array<ReadonlyArray<KeyValueWrite>> = []

  constructor(store: OrderedStore) {
    this.#store = store
  }

  get pending(): number {
    return this.#pending.length
  }

  ticketsOf(_durability: Durability): TicketStream {
    return this.tickets
  }

  submit(entry: JournalEntry): number {
    this.#pending.push(entry.writes)
    return this.tickets.issue()
  }

  submitOperation(): number {
    return this.tickets.issue()
  }

  /** Commits the first `count` that wait. */
  commit(count = this.#pending.length): void {
    const writes = this.#pending.splice(0, count)
    for (const each of writes) this.#store.apply(each)
    this.nextIndex += 1
    this.tickets.commit(this.tickets.committed + writes.length)
  }

  /** Commits the first `count` that wait and fails the rest. */
  fail(outcome: number, count = 0): void {
    const writes = this.#pending.splice(0, count)
    for (const each of writes) this.#store.apply(each)
    this.#pending = []
    this.tickets.fail(this.tickets.committed + writes.length + 1, this.tickets.issued, outcome)
    this.tickets.commit(this.tickets.issued)
  }

  register(): void {}
  released(): void {}
  whenSynced(): Promise<void> {
    return this.synced
  }
}

/** A log whose journal and time stand still until the test moves them. */
export interface LogBench {
  readonly simulation: Simulation
  readonly store: OrderedStore
  readonly journal: ManualJournal
  readonly log: QueueLog
  readonly room: StorageRoom
}

/** Bounds so small that a few messages leave memory. */
export const SMALL_OPTIONS: QueueLogOptions = {
  bytesMax: 1_000_000,
  ageMsMax: 1_000_000,
  indexAfterMs: 1_000,
  residentBytesMax: 1_000
}

/** Opens a log over `store`, as after a start. */
export async function openLog(
  store = new OrderedStore(),
  options = SMALL_OPTIONS,
  simulation = new Simulation(1),
  room = new StorageRoom()
): Promise<LogBench> {
  const journal = new ManualJournal(store)
  const turn = new TurnLoop(simulation.clock)
  const log = new QueueLog({ number: 3, journal, store, clock: simulation.clock, turn, seed: 5, options, room })
  const opened = Effect.runPromise(log.open())
  for (let round = 0; round < 1_000 && journal.pending === 0; round++) await pause()
  journal.commit()
  await opened
  return { simulation, store, journal, log, room }
}

/** Lets promises go on that wait for nothing but each other. */
export async function pause(): Promise<void> {
  for (let round = 0; round < 20; round++) await Promise.resolve()
}

/** Commits until the log has nothing left to do. */
export async function settle({ journal }: LogBench): Promise<void> {
  for (let idle = 0; idle < 3; ) {
    await pause()
    idle = journal.pending === 0 ? idle + 1 : 0
    journal.commit()
  }
}

/** "offset name=payload" of each. */
export function linesOf(messages: ReadonlyArray<Message>): ReadonlyArray<string> {
  return messages.map((message) => `${message.queueOffset} ${message.name}=${payloadOf(message)}`)
}

export { messageOf }
