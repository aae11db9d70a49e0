/** Medians and what stands in cells: numbers as people read them. */

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

/** (largest - smallest) / median; 0 where the median is. */
export function spreadOf(values: readonly number[]): number {
  const middle = medianOf(values)
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Three significant digits: more than that is noise. */
export function significant(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString("en-US")
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US")
}
