/**
 * How long to wait before the next attempt: drawn, so that bridges which lost their remote together do not come back together, from a
 * range that doubles with each attempt that failed.
 */
import type { RandomShape } from "../../core/mod.ts"

/** Milliseconds, from `minMs` to the smaller of `maxMs` and 2 * minMs * 2^failures. */
export function backoffMs(minMs: number, maxMs: number, failures: number, random: RandomShape): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(failures + 1, 32))
  return minMs + ((ceiling - minMs) * random.uint32()) / 4_294_967_296
}
