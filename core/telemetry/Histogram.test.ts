import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { BUCKETS_MAX, DURATION_SECONDS_BOUNDS, Histogram, SIZE_BYTES_BOUNDS } from "./Histogram.ts"

const observed = (bounds: ReadonlyArray<number>, values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const histogram = new Histogram(bounds)
  for (const value of values) histogram.observe(value)
  return histogram.read()
}

const cases: ReadonlyArray<readonly [values: ReadonlyArray<number>, cells: ReadonlyArray<number>]> = [
  [[], [0, 0, 0, 0, 0]],
  [[0], [1, 0, 0, 0, 0]],
  [[-5], [1, 0, 0, 0, -5]],
  [[1], [1, 0, 0, 0, 1]],
  [[1.000_1], [0, 1, 0, 0, 1.000_1]],
  [
    [2, 2],
    [0, 2, 0, 0, 4]
  ],
  [[4], [0, 0, 1, 0, 4]],
  [[4.5], [0, 0, 0, 1, 4.5]],
  [
    [Number.MAX_SAFE_INTEGER, 1],
    [1, 0, 0, 1, Number.MAX_SAFE_INTEGER + 1]
  ],
  [
    [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3],
    [0, 0, 1, 0, 3]
  ]
]
for (const [values, cells] of cases) {
  test(`[${values}] falls into ${cells.slice(0, -1)}: bounds are inclusive`, () =>
    assert.deepEqual(observed([1, 2, 4], values), cells))
}

test("any values and bounds: each value is in the first bucket whose bound it does not exceed", () =>
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: BUCKETS_MAX }),
      fc.array(fc.integer({ min: -60, max: 60 })),
      (unsorted, values) => {
        const bounds = [...unsorted].sort((left, right) => left - right)
        const cells = new Array<number>(bounds.length + 2).fill(0)
        for (const value of values) {
          const found = bounds.findIndex((bound) => value <= bound)
          const index = found === -1 ? bounds.length : found
          cells[index] = (cells[index] ?? 0) + 1
        }
        cells[bounds.length + 1] = values.reduce((sum, value) => sum + value, 0)
        assert.deepEqual(observed(bounds, values), cells)
      }
    )
  ))

test("what was read is a copy", () => {
  const histogram = new Histogram([1])
  histogram.read().fill(9)
  assert.deepEqual(histogram.read(), [0, 0, 0])
})

test("bounds that are none are defects; ours are some", () => {
  const faults: ReadonlyArray<readonly [bounds: ReadonlyArray<number>, reason: RegExp]> = [
    [[], /bounded/],
    [Array.from({ length: BUCKETS_MAX + 1 }, (_, index) => index), /bounded/],
    [[1, 1], /rise/],
    [[2, 1], /rise/],
    [[Number.NaN], /finite/],
    [[1, Number.POSITIVE_INFINITY], /finite/]
  ]
  for (const [bounds, reason] of faults) assert.throws(() => new Histogram(bounds), reason)
  assert.equal(observed(DURATION_SECONDS_BOUNDS, [0.000_01, 10]).at(-2), 0)
  assert.equal(observed(SIZE_BYTES_BOUNDS, [64, 16_777_216]).at(-2), 0)
  assert.equal(new Histogram(Array.from({ length: BUCKETS_MAX }, (_, index) => index)).read().length, BUCKETS_MAX + 2)
})
