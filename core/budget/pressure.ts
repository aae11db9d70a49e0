/**
 * How near the data directory is to what it may take, and what follows: plain arithmetic.
 *
 * The bound is the smaller of what the operator allows and what the file system has room for: what lies there now and what may still be
 * written. All sizes are bytes.
 */

/** "high": an alarm, and retention takes more where a budget is set. "full": producers are refused. */
export type Pressure = "ok" | "high" | "full"

/** Shares of the bound above which it is high, and full. */
export const HIGH_ABOVE = 0.85
export const FULL_ABOVE = 0.95
/** Shares below which it is not so any more: lower, so that a node at the edge does not go back and forth. */
export const HIGH_BELOW = 0.8
export const FULL_BELOW = 0.9
/** The share of the bound down to which retention takes what is oldest, once it has begun. */
export const DELETE_DOWN_TO = 0.75
/** The share of the operator's own budget that is never deleted, whoever else fills the file system. */
export const KEPT_SHARE = 0.5
/** The share of a budget that goes in one round at most. */
export const ROUND_SHARE = 1 / 16
/** The share of the bound that may be written before the next look is taken at once. */
export const EARLY_SHARE = 1 / 64
/** The same of a tenant's bound, above which nobody is refused. */
export const TENANT_ROUND_SHARE = 1 / 4
/** The share of a budget that one segment may have. */
export const SEGMENT_SHARE = 1 / 64

export interface StorageSizes {
  /** What is needed of what lies in the data directory. */
  readonly usedBytes: number
  /** What may still be written: what the file system has free, and files that are written over first. Infinite where nobody knows. */
  readonly freeBytes: number
}

/** What the data directory may take; infinite where nothing bounds it. `dataBytesMax` is the operator's own bound, 0 = none. */
export function boundOf({ usedBytes, freeBytes }: StorageSizes, dataBytesMax: number): number {
  return Math.min(dataBytesMax === 0 ? Number.POSITIVE_INFINITY : dataBytesMax, usedBytes + freeBytes)
}

/** Where it stands now, after it stood at `before`. */
export function pressureOf(before: Pressure, usedBytes: number, boundBytes: number): Pressure {
  const share = boundBytes === Number.POSITIVE_INFINITY ? 0 : usedBytes / Math.max(1, boundBytes)
  if (share > FULL_ABOVE || (before === "full" && share >= FULL_BELOW)) return "full"
  return share > HIGH_ABOVE || (before !== "ok" && share >= HIGH_BELOW) ? "high" : "ok"
}

/** How much is to be deleted in the next round of a node that is to come down; 0 = it has. */
export function excessOf(sizes: StorageSizes, dataBytesMax: number): number {
  if (dataBytesMax === 0) return 0
  const goal = Math.max(DELETE_DOWN_TO * boundOf(sizes, dataBytesMax), KEPT_SHARE * dataBytesMax)
  return Math.max(0, Math.min(sizes.usedBytes - goal, ROUND_SHARE * dataBytesMax))
}
