/** Waiting, and what of many measurements is below which. */

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}

/** The value that `share` of all are at or below; 0 where there is none. */
export function shareBelow(values: ReadonlyArray<number>, share: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}
