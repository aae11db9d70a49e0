/**
 * How two topic filters relate: whether they share a name, whether one covers the other, which is the better home of a name.
 *
 * Source: MQTT 5.0, section 4.7; docs/interop.md, "Names" (one home per topic name).
 * All functions take valid filters and look at no name; limits on the length of names are left out of account.
 */
import { hasWildcard } from "../router/topic-filter.ts"

/** A filter in its levels, to be compared with many others. */
export type FilterLevels = ReadonlyArray<string>

/** Whether some topic name matches both filters. */
export function filtersOverlap(a: string, b: string): boolean {
  return levelsOverlap(filterLevels(a), filterLevels(b))
}

/** The same of filters in their levels. */
export function levelsOverlap(first: FilterLevels, second: FilterLevels): boolean {
  if (isBarred(first, second) || isBarred(second, first)) return false
  for (let index = 0; ; index++) {
    const one = first[index]
    const other = second[index]
    if (one === "#" || other === "#") return true
    if (one === undefined || other === undefined) return one === other
    if (one !== "+" && other !== "+" && one !== other) return false
  }
}

/** Whether `a` matches every topic name that `b` matches. */
export function filterCovers(a: string, b: string): boolean {
  return levelsCover(filterLevels(a), filterLevels(b))
}

/** The same of filters in their levels. */
export function levelsCover(covering: FilterLevels, covered: FilterLevels): boolean {
  if (isBarred(covering, covered)) return false
  for (let index = 0; ; index++) {
    const one = covering[index]
    const other = covered[index]
    if (one === "#") return true
    if (one === undefined || other === undefined) return one === other
    if (one !== "+" && one !== other) return false
    // "+" is one level, "#" any number of them.
    if (one === "+" && other === "#") return false
  }
}

/**
 * Negative where `a` is the better home of a name that both match, positive where `b` is, 0 for equal rank. An exact name comes
 * first, then the longest literal prefix (in levels, then in characters), then the fewest wildcards.
 */
export function compareRank(a: string, b: string): number {
  const isExact = Number(!hasWildcard(a))
  const otherIsExact = Number(!hasWildcard(b))
  if (isExact !== otherIsExact) return otherIsExact - isExact
  // Two exact names share a name only where they are the same.
  if (isExact === 1) return 0
  const first = literalLevels(a)
  const second = literalLevels(b)
  if (first.length !== second.length) return second.length - first.length
  const characters = first.join("/").length
  const otherCharacters = second.join("/").length
  if (characters !== otherCharacters) return otherCharacters - characters
  return wildcardCount(a) - wildcardCount(b)
}

/**
 * The levels of a filter, in a form in which a "#" stands for exactly what it says. A name has at least one level, and
 * one level alone is not empty: so `#` is the same as `+/#`, and `/#` (whose parent would be the empty name) as `/+/#`.
 */
export function filterLevels(filter: string): FilterLevels {
  if (filter === "#") return ["+", "#"]
  if (filter === "/#") return ["", "+", "#"]
  return filter.split("/")
}

/** Whether `first` begins with a wildcard and `second` with a "$", so that they share no name [MQTT-4.7.2-1]. */
function isBarred(first: ReadonlyArray<string>, second: ReadonlyArray<string>): boolean {
  return first[0] === "+" && second[0]?.startsWith("$") === true
}

function literalLevels(filter: string): ReadonlyArray<string> {
  const levels = filter.split("/")
  const end = levels.findIndex((level) => level === "+" || level === "#")
  return end < 0 ? levels : levels.slice(0, end)
}

function wildcardCount(filter: string): number {
  return filter.split("/").filter((level) => level === "+" || level === "#").length
}
