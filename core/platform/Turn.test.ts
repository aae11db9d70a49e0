import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "./simulated.ts"
import { TurnLoop, type TurnTask } from "./Turn.ts"

const task = (endTurn: () => void): TurnTask => ({ endTurn })

test("work runs before output, each in the order in which it was deferred", () => {
  const simulation = new Simulation(1)
  const turn = new TurnLoop(simulation.clock)
  const seen: Array<string> = []
  turn.deferOutput(task(() => seen.push("output 1")))
  turn.deferWork(task(() => seen.push("work 1")))
  turn.deferOutput(task(() => seen.push("output 2")))
  turn.deferWork(task(() => seen.push("work 2")))
  assert.deepEqual(seen, [])
  simulation.run()
  assert.deepEqual(seen, ["work 1", "work 2", "output 1", "output 2"])
})

test("what tasks defer is served in the same turn, and output waits until no work is left", () => {
  const simulation = new Simulation(1)
  const turn = new TurnLoop(simulation.clock)
  const seen: Array<string> = []
  simulation.clock.immediate(() => seen.push("next event"))
  turn.deferOutput(
    task(() => {
      seen.push("output")
      turn.deferWork(task(() => seen.push("work of the output")))
      turn.deferOutput(task(() => seen.push("output of the output")))
    })
  )
  turn.deferWork(
    task(() => {
      seen.push("work")
      turn.deferWork(task(() => seen.push("work of the work")))
    })
  )
  simulation.run()
  assert.deepEqual(seen, [
    "work",
    "work of the work",
    "output",
    "work of the output",
    "output of the output",
    "next event"
  ])
})

test("work that the first of several outputs causes does not cut in between them", () => {
  const simulation = new Simulation(1)
  const turn = new TurnLoop(simulation.clock)
  const seen: Array<string> = []
  turn.deferOutput(
    task(() => {
      seen.push("a")
      turn.deferWork(task(() => seen.push("work")))
    })
  )
  turn.deferOutput(task(() => seen.push("b")))
  simulation.run()
  assert.deepEqual(seen, ["a", "b", "work"])
})

test("a task that is deferred twice is called twice, and again in the next turn", () => {
  const simulation = new Simulation(1)
  const turn = new TurnLoop(simulation.clock)
  let calls = 0
  const counted = task(() => (calls += 1))
  turn.deferWork(counted)
  turn.deferWork(counted)
  simulation.run()
  assert.equal(calls, 2)
  turn.deferOutput(counted)
  simulation.run()
  assert.equal(calls, 3)
})

/** Causes `events` network events, `perEvent` outputs each, `gapMs` apart; returns how often a turn ended before the next event. */
function drive(simulation: Simulation, turn: TurnLoop, events: number, perEvent: number, gapMs: number): number {
  let early = 0
  let ended = 0
  for (let event = 0; event < events; event++) {
    simulation.clock.after(event * gapMs, () => {
      const before = ended
      for (let count = 0; count < perEvent; count++) turn.deferOutput(task(() => (ended += 1)))
      simulation.clock.microtask(() => (early += ended > before ? 1 : 0))
    })
  }
  simulation.run()
  assert.equal(ended, events * perEvent)
  return early
}

test("while traffic is sparse a turn ends right after its event", () => {
  const simulation = new Simulation(1)
  assert.equal(drive(simulation, new TurnLoop(simulation.clock), 1_000, 4, 1), 1_000)
})

test("under load a turn ends after the events that wait; when load falls it ends at once again", () => {
  const simulation = new Simulation(1)
  const turn = new TurnLoop(simulation.clock)
  // A thousand events in no time: the first window of turns shows the load, the rest is gathered.
  assert.ok(drive(simulation, turn, 1_000, 4, 0) < 200)
  drive(simulation, turn, 200, 1, 5)
  assert.equal(drive(simulation, turn, 500, 1, 5), 500)
})
