/**
 * What registries held at one moment, as plain data: it can come from another thread, and several are added up to one.
 *
 * Invariants
 *  - The name of a rendered series belongs to one family; where registries disagree, the first one holds.
 *  - Equal series are added up cell by cell: counters, gauges and each bucket of a histogram alike.
 */

export type MetricType = "counter" | "gauge" | "histogram"

export interface Family {
  readonly type: MetricType
  readonly help: string
  /** Upper bounds of a histogram's buckets; none for the other types. */
  readonly bounds: ReadonlyArray<number>
}

/** Numbers by rendered labels; one number, or of a histogram the observations by bucket and their sum. */
export type Series = ReadonlyMap<string, ReadonlyArray<number>>

export interface FamilySnapshot extends Family {
  readonly series: Series
}

/** By the name of the family. */
export type MetricsSnapshot = ReadonlyMap<string, FamilySnapshot>

/** The names of the series that a family is rendered as. */
export function seriesNames(name: string, type: MetricType): ReadonlyArray<string> {
  return type === "histogram" ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
}

export function isSameBounds(left: ReadonlyArray<number>, right: ReadonlyArray<number>): boolean {
  return left.length === right.length && left.every((bound, index) => bound === right[index])
}

/** Adds `cells` to what `sums` has under these labels. */
export function addCells(sums: Map<string, Array<number>>, labels: string, cells: ReadonlyArray<number>): void {
  const sum = sums.get(labels)
  if (sum === undefined) sums.set(labels, [...cells])
  else for (const [index, cell] of cells.entries()) sum[index] = (sum[index] ?? 0) + cell
}

/** All of them as one. A family that contradicts an earlier one is left out; `conflicts` counts these. */
export function mergeSnapshots(snapshots: ReadonlyArray<MetricsSnapshot>): {
  readonly merged: MetricsSnapshot
  readonly conflicts: number
} {
  const merged = new Map<string, Family & { readonly series: Map<string, Array<number>> }>()
  const owners = new Map<string, string>()
  let conflicts = 0
  for (const [name, family] of snapshots.flatMap((snapshot) => [...snapshot])) {
    const known = merged.get(name)
    const names = seriesNames(name, family.type)
    const isFree = names.every((each) => (owners.get(each) ?? name) === name)
    if (!isFree || (known !== undefined && !isSameFamily(known, family))) {
      conflicts += 1
      continue
    }
    for (const each of names) owners.set(each, name)
    const { type, help, bounds } = family
    const into = known ?? { type, help, bounds, series: new Map() }
    merged.set(name, into)
    for (const [labels, cells] of family.series) addCells(into.series, labels, cells)
  }
  return { merged, conflicts }
}

function isSameFamily(left: Family, right: Family): boolean {
  return left.type === right.type && left.help === right.help && isSameBounds(left.bounds, right.bounds)
}
