/** The support for tests of Effect code does what it says: clock, chance, scope, failure. */
import assert from "node:assert"
import { test } from "node:test"
import { Clock, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { effectTest, runTest } from "./support/effect-test.ts"

effectTest("an hour passes without waiting, and not by itself", () =>
  Effect.gen(function* () {
    const before = yield* Clock.currentTimeMillis
    const sleeper = yield* Effect.forkChild(Effect.sleep("1 hour"))
    assert.equal(yield* Clock.currentTimeMillis, before)
    yield* TestClock.adjust("1 hour")
    yield* Fiber.join(sleeper)
    assert.equal(yield* Clock.currentTimeMillis, before + 3_600_000)
  })
)

test("the same seed draws the same numbers, another seed others", async () => {
  const draw = Effect.all([Random.next, Random.next, Random.next])
  assert.deepEqual(await runTest(draw), await runTest(draw))
  assert.notDeepEqual(await runTest(draw), await runTest(draw, "2"))
})

test("the scope is closed when the body fails, and the failure reaches the test", async () => {
  const closed: Array<string> = []
  const body = Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.sync(() => closed.push("closed")))
    return yield* Effect.fail(new Error("planted"))
  })
  await assert.rejects(runTest(body), /planted/)
  assert.deepEqual(closed, ["closed"])
})
