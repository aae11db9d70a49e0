import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { dealDeletion } from "./deal-deletion.ts"
import { boundOf, excessOf, type Pressure, pressureOf } from "./pressure.ts"

test("the bound is the smaller of the budget and what the file system has room for", () => {
  const sizes = { usedBytes: 300, freeBytes: 500 }
  assert.equal(boundOf(sizes, 0), 800)
  assert.equal(boundOf(sizes, 1_000), 800)
  assert.equal(boundOf(sizes, 700), 700)
  assert.equal(boundOf({ usedBytes: 1, freeBytes: Number.POSITIVE_INFINITY }, 0), Number.POSITIVE_INFINITY)
})

test("the pressure rises above its thresholds and falls below lower ones", () => {
  const steps: ReadonlyArray<readonly [used: number, pressure: Pressure]> = [
    [850, "ok"],
    [851, "high"],
    [800, "high"],
    [799, "ok"],
    [951, "full"],
    [900, "full"],
    [899, "high"],
    [950, "high"],
    [951, "full"],
    [100, "ok"]
  ]
  let pressure: Pressure = "ok"
  for (const [used, expected] of steps) {
    pressure = pressureOf(pressure, used, 1_000)
    assert.equal(pressure, expected, `at ${used}`)
  }
  assert.equal(pressureOf("full", 1e12, Number.POSITIVE_INFINITY), "ok")
  assert.equal(pressureOf("ok", 0, 0), "ok")
})

test("so much goes that three quarters are left, a sixteenth at a time, and half a budget whoever fills the disk", () => {
  const unbounded = Number.POSITIVE_INFINITY
  assert.equal(excessOf({ usedBytes: 1_000, freeBytes: 0 }, 0), 0, "nobody has named a budget")
  assert.equal(excessOf({ usedBytes: 900, freeBytes: unbounded }, 1_000), 62.5)
  assert.equal(excessOf({ usedBytes: 760, freeBytes: unbounded }, 1_000), 10)
  assert.equal(excessOf({ usedBytes: 750, freeBytes: unbounded }, 1_000), 0)
  // The disk has room for 620 of a budget of 1,000.
  assert.equal(excessOf({ usedBytes: 600, freeBytes: 20 }, 1_000), 62.5)
  assert.equal(excessOf({ usedBytes: 505, freeBytes: 0 }, 1_000), 5)
  assert.equal(excessOf({ usedBytes: 500, freeBytes: 0 }, 1_000), 0)
})

test("what goes is the oldest of all stores together, whole pieces, and no more than is asked for but for the last", () => {
  assert.deepEqual(dealDeletion([[], []], 10), [0, 0])
  const offers = fc.array(
    fc
      .array(fc.record({ appendedMs: fc.nat(1_000), bytes: fc.integer({ min: 1, max: 50 }) }))
      .map((pieces) => pieces.toSorted((one, other) => one.appendedMs - other.appendedMs)),
    { minLength: 1, maxLength: 5 }
  )
  fc.assert(
    fc.property(offers, fc.nat(500), (given, bytes) => {
      const dealt = dealDeletion(given, bytes)
      const all = given.flat().toSorted((one, other) => one.appendedMs - other.appendedMs)
      const total = all.reduce((sum, piece) => sum + piece.bytes, 0)
      const sum = dealt.reduce((gone, each) => gone + each, 0)
      assert.ok(sum >= Math.min(bytes, total))
      let newestGone = -1
      let lastBytes = 0
      for (const [store, offer] of given.entries()) {
        let left = dealt[store] ?? 0
        for (const { appendedMs, bytes: size } of offer) {
          if (left === 0) break
          left -= size
          if (appendedMs >= newestGone) [newestGone, lastBytes] = [appendedMs, Math.max(lastBytes, size)]
        }
        assert.equal(left, 0, "whole pieces of the old end")
      }
      assert.ok(sum < bytes + 50 || sum === 0)
      // Nothing that is older than what went is left.
      for (const [store, offer] of given.entries()) {
        let skipped = 0
        for (const { appendedMs, bytes: size } of offer) {
          skipped += size
          if (skipped > (dealt[store] ?? 0)) assert.ok(appendedMs >= newestGone || sum === 0)
        }
      }
    })
  )
})
