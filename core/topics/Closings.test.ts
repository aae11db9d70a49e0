import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../platform/simulated.ts"
import { Closings } from "./Closings.ts"

test("a closing that fails or hangs is told of once, and none that ends in its time", async () => {
  const simulation = new Simulation(1)
  const closings = new Closings(simulation.clock, 5_000)
  const told: Array<string> = []
  let end = (): void => {}
  const add = (name: string, closing: Promise<void>): void =>
    closings.add(
      closing,
      (error) => told.push(`${name} ${(error as Error).message}`),
      () => told.push(`${name} late`)
    )
  add("at once", Promise.resolve())
  add("fails", Promise.reject(new Error("boom")))
  add("hangs", new Promise(() => {}))
  add("slow", new Promise((resolve) => (end = resolve)))
  assert.deepEqual(told, [], "nothing is told from within the call")
  await Promise.resolve()
  simulation.run(4_000)
  end()
  await Promise.resolve()
  simulation.run(6_000)
  assert.deepEqual(told, ["fails boom", "hangs late"])
})
