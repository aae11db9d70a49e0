import assert from "node:assert/strict"
import { test } from "node:test"
import type { KeyValueStoreShape, KeyValueWrite } from "../kv/KeyValueStore.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { MemoryJournal } from "./MemoryJournal.ts"

/** A store that notes the batches it was given. */
class NotingStore implements KeyValueStoreShape {
  readonly applied: Array<ReadonlyArray<KeyValueWrite>> = []
  get = (): undefined => undefined
  range = (): [] => []
  rangeLater = (): Promise<[]> => Promise.resolve([])
  size = 0
  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    this.applied.push(writes)
  }
}

function write(name: string): { writes: ReadonlyArray<KeyValueWrite> } {
  return { writes: [{ key: new TextEncoder().encode(name), value: undefined }] }
}

function make(): { simulation: Simulation; turn: TurnLoop; store: NotingStore; journal: MemoryJournal } {
  const simulation = new Simulation(1)
  const turn = new TurnLoop(simulation.clock)
  const store = new NotingStore()
  return { simulation, turn, store, journal: new MemoryJournal(turn, store) }
}

test("entries of a turn are applied whole, in order, and committed together at its end", () => {
  const { simulation, store, journal } = make()
  const entries = [write("a"), write("b"), write("c")]
  const tickets = entries.map((entry) => journal.submit(entry))
  assert.deepEqual(tickets, [1, 2, 3])
  assert.equal(journal.tickets.committed, 0)
  assert.deepEqual(store.applied, [])
  let rounds = 0
  journal.tickets.wait({ ticketsCommitted: () => (rounds += 1) })
  simulation.run()
  assert.deepEqual(
    store.applied,
    entries.map(({ writes }) => writes)
  )
  assert.equal(journal.tickets.committed, 3)
  assert.equal(rounds, 1)
})

test("a waiter reads the state that its ticket stands for, before the turn's output", () => {
  const { simulation, turn, store, journal } = make()
  const seen: Array<string> = []
  turn.deferOutput({ endTurn: () => seen.push("output") })
  journal.submit(write("a"))
  journal.tickets.wait({ ticketsCommitted: () => seen.push(`committed, ${store.applied.length} applied`) })
  simulation.run()
  assert.deepEqual(seen, ["committed, 1 applied", "output"])
})

test("what is submitted while a commit is told is committed too, in the same turn, under a ticket of its own", () => {
  const { simulation, store, journal } = make()
  const seen: Array<number> = []
  journal.submit(write("a"))
  journal.tickets.wait({
    ticketsCommitted: () => {
      const ticket = journal.submit(write("b"))
      seen.push(journal.tickets.committed, ticket)
      journal.tickets.wait({ ticketsCommitted: () => seen.push(journal.tickets.committed) })
    }
  })
  simulation.run()
  assert.deepEqual(seen, [1, 2, 2])
  assert.equal(store.applied.length, 2)
})
