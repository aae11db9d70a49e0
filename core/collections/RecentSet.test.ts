import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { RecentSet } from "./RecentSet.ts"

test("it has the last distinct values that were added, and no other", () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(6)), (max, added) => {
      const recent = new RecentSet<number>(max)
      for (const value of added) recent.add(value)
      const last = new Set([...new Set(added.toReversed())].slice(0, max))
      for (let value = 0; value <= 6; value++) assert.equal(recent.has(value), last.has(value), `${value}`)
    })
  ))
