/**
 * How often a value fell into which range: a fixed number of counters and one sum, whatever is observed.
 *
 * Source: Prometheus, "Metric types", histogram: a bucket's upper bound is inclusive, the last bucket has none.
 * Invariants
 *  - `observe` allocates nothing and never throws.
 *  - Bounds are finite and rise; there are 1 to {@link BUCKETS_MAX} of them.
 */
import { assert } from "../assert.ts"

export const BUCKETS_MAX = 64

/** For durations in seconds: from 10 µs to 10 s, three steps a decade. */
export const DURATION_SECONDS_BOUNDS: ReadonlyArray<number> = [
  0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
  1, 2.5, 5, 10
]

/** For sizes in bytes: from 64 B to 16 MiB, powers of four. */
export const SIZE_BYTES_BOUNDS: ReadonlyArray<number> = [
  64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216
]

export class Histogram {
  readonly #bounds: Float64Array
  /** Observations by bucket, the one without a bound behind the others, then the sum of what was observed. */
  readonly #cells: Float64Array

  constructor(bounds: ReadonlyArray<number>) {
    checkBounds(bounds)
    this.#bounds = Float64Array.from(bounds)
    this.#cells = new Float64Array(bounds.length + 2)
  }

  /** Counts `value`. One that is not finite is left out: it would spoil the sum for good. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return
    const bounds = this.#bounds
    const cells = this.#cells
    let low = 0
    let high = bounds.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (value <= (bounds[middle] ?? 0)) high = middle
      else low = middle + 1
    }
    cells[low] = (cells[low] ?? 0) + 1
    cells[cells.length - 1] = (cells[cells.length - 1] ?? 0) + value
  }

  /** A copy: observations by bucket (not cumulative), then the sum. */
  read(): Array<number> {
    return Array.from(this.#cells)
  }
}

function checkBounds(bounds: ReadonlyArray<number>): void {
  assert(bounds.length > 0 && bounds.length <= BUCKETS_MAX, "a histogram's buckets are bounded")
  bounds.forEach((bound, index) => {
    assert(Number.isFinite(bound), "a bucket's bound is finite")
    assert(bound > (bounds[index - 1] ?? Number.NEGATIVE_INFINITY), "the bounds of buckets rise")
  })
}
