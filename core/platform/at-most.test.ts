import assert from "node:assert/strict"
import { test } from "node:test"
import { Cause, Effect, Exit, Scope } from "effect"
import { atMost } from "./at-most.ts"
import { Simulation } from "./simulated.ts"

/** Runs it, lets `ms` of virtual time pass, and says what was told and whether it ended. */
async function run(effect: Effect.Effect<unknown, unknown>, ms: number): Promise<ReadonlyArray<string>> {
  const simulation = new Simulation(1)
  const told: Array<string> = []
  const waiting = Effect.runPromise(
    atMost(effect, 1_000, simulation.clock, {
      failed: (cause) => void told.push(`failed ${String(Cause.squash(cause))}`),
      late: () => void told.push("late")
    })
  ).then(() => void told.push("ended"))
  await Promise.resolve()
  simulation.run(ms)
  await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 20))])
  return told
}

test("what ends in time is not told of", async () => {
  assert.deepEqual(await run(Effect.void, 2_000), ["ended"])
  assert.deepEqual(
    await run(
      Effect.promise(() => Promise.resolve()),
      0
    ),
    ["ended"]
  )
})

test("failures and defects are told of and waited for no longer", async () => {
  assert.deepEqual(await run(Effect.fail("no"), 0), ["failed no", "ended"])
  assert.deepEqual(await run(Effect.die(new Error("bad")), 0), ["failed Error: bad", "ended"])
})

test("what never ends is left to itself, even where it cannot be interrupted", async () => {
  const never = Effect.promise(() => new Promise(() => {}))
  assert.deepEqual(await run(never, 999), [])
  assert.deepEqual(await run(never, 1_001), ["late", "ended"])
  const scope = Scope.makeUnsafe()
  Effect.runSync(Scope.addFinalizer(scope, Effect.uninterruptible(never)))
  assert.deepEqual(await run(Scope.close(scope, Exit.void), 1_001), ["late", "ended"])
})
