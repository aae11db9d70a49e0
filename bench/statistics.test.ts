import assert from "node:assert/strict"
import { test } from "node:test"
import { medianOf, significant, spreadOf } from "./statistics.ts"

test("the median of an even number lies between the two in the middle", () => {
  assert.equal(medianOf([9, 1, 5]), 5)
  assert.equal(medianOf([4, 1, 2, 9]), 3)
  assert.equal(medianOf([]), 0)
})

test("the spread is that of the extremes, by the median", () => {
  assert.equal(spreadOf([900, 100, 300]), 800 / 300)
  assert.equal(spreadOf([0, 0]), 0)
})

test("three digits are shown", () => {
  assert.equal(significant(1_234_567), "1,230,000")
  assert.equal(significant(0.123456), "0.123")
})
