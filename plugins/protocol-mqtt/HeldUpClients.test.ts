import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../../core/platform/simulated.ts"
import { HeldUpClients, LOOK_INTERVAL_MS } from "./HeldUpClients.ts"

test("those that wait the longest go on first, one that is held up again comes last, and one that has gone is forgotten", () => {
  const simulation = new Simulation(1)
  const heldUp = new HeldUpClients(simulation.clock)
  const read: Array<string> = []
  /** How many times each is held up again. */
  const again = new Map([["b", 2]])
  const clientOf = (name: string) => ({
    isClosed: false,
    readOn() {
      read.push(name)
      const left = again.get(name) ?? 0
      again.set(name, left - 1)
      if (left > 0) heldUp.add(this)
    }
  })
  const clients = ["a", "b", "c", "d"].map(clientOf)
  for (const client of clients) heldUp.add(client)
  // Twice is once.
  if (clients[0] !== undefined) heldUp.add(clients[0])
  assert.deepEqual([heldUp.size, heldUp.count, read.length], [4, 4, 0])
  if (clients[3] !== undefined) clients[3].isClosed = true
  simulation.run(LOOK_INTERVAL_MS)
  assert.deepEqual(read, ["a", "b"])
  simulation.run(2 * LOOK_INTERVAL_MS)
  assert.deepEqual(read, ["a", "b", "c", "b"])
  simulation.run(10 * LOOK_INTERVAL_MS)
  assert.deepEqual(read, ["a", "b", "c", "b", "b"])
  assert.deepEqual([heldUp.size, heldUp.count], [0, 6])
})
