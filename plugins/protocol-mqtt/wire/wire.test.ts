/**
 * The fuzz target, small, inside the test suite; the long run is a command (see wire.fuzz.ts).
 */
import { test } from "node:test"
import { fuzzWire } from "./wire.fuzz.ts"

for (const seed of [1, 2, 3]) {
  test(`mutated packets, seed ${seed}: no throw, no loop, nothing read beyond a packet's end`, () =>
    fuzzWire(seed, 5_000))
}
