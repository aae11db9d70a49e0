import assert from "node:assert/strict"
import { test } from "node:test"
import { makePace } from "./pace.ts"
import { Simulation } from "./simulated.ts"

async function timeFor(bytesPerSecond: number, pieces: ReadonlyArray<number>): Promise<number> {
  const simulation = new Simulation(1)
  const pace = makePace(bytesPerSecond, simulation.clock)
  const move = async (): Promise<void> => {
    for (const bytes of pieces) await pace(bytes)
  }
  void move()
  const from = simulation.clock.monotonicMs()
  await simulation.runAsync()
  return simulation.clock.monotonicMs() - from
}

test("a rate is kept to, whatever the pieces", async () => {
  assert.equal(await timeFor(1_000, [1_000, 1_000, 1_000]), 3_000)
  const small = await timeFor(
    1_000,
    Array.from({ length: 3_000 }, () => 1)
  )
  assert.ok(small <= 3_000 && small >= 2_990, String(small))
})

test("without a rate nothing waits", async () => {
  assert.equal(await timeFor(Number.POSITIVE_INFINITY, [1e9, 1e9]), 0)
})
