/**
 * Which values (routes, wishes, bindings) stand on a topic filter that matches a topic name: a {@link FilterTable} with objects on its filters.
 *
 * Invariants
 *  - A value stands once on a filter, however often it was added. One that stands on several matching filters comes once for each.
 *  - A filter without values takes no room; numbers are used again.
 */
import { FilterTable } from "./FilterTable.ts"
import { ValueLists } from "./ValueLists.ts"

export class FilterIndex<T extends object> {
  readonly #filters: FilterTable
  /** By half the number of a filter: of those without a wildcard, and of those with one. */
  readonly #values = [new ValueLists<T>(), new ValueLists<T>()] as const
  readonly #matched: Array<number> = []

  /** Clients choose the filters: give the seed from a source of chance. */
  constructor(seed: number) {
    this.#filters = new FilterTable(seed)
  }

  /** Filters that have a value. */
  get filterCount(): number {
    return this.#filters.count
  }

  /** Pairs of filter and value. */
  get valueCount(): number {
    return this.#values[0].valueCount + this.#values[1].valueCount
  }

  /** Bytes of the index's buffers and of its references to values. */
  get sizeBytes(): number {
    return this.#filters.sizeBytes + this.#values[0].sizeBytes + this.#values[1].sizeBytes
  }

  /** Attaches a value to a valid filter; true where the filter is new here. */
  add(filter: string, value: T): boolean {
    const number = this.#filters.hold(filter)
    const values = this.#of(number)
    const isNew = values.isEmpty(number >>> 1)
    values.add(number >>> 1, value)
    return isNew
  }

  /** Takes a value off a filter; true where it was the filter's last. What is not there is not removed. */
  remove(filter: string, value: T): boolean {
    const number = this.#filters.find(filter)
    if (number < 0) return false
    const values = this.#of(number)
    if (!values.remove(number >>> 1, value) || !values.isEmpty(number >>> 1)) return false
    this.#filters.release(number)
    return true
  }

  /** Puts `after` where `before` stood; false, and nothing is changed, where that was not there or `after` was already. */
  replace(filter: string, before: T, after: T): boolean {
    const number = this.#filters.find(filter)
    return number >= 0 && this.#of(number).replace(number >>> 1, before, after)
  }

  /** The values of a filter (not of those that match it), in an array of the caller's. */
  valuesOf(filter: string): ReadonlyArray<T> {
    const number = this.#filters.find(filter)
    return number < 0 ? [] : this.#of(number).valuesOf(number >>> 1)
  }

  /** Appends to `out` the values of every filter that matches a valid topic name; returns how many. */
  matchInto(name: string, out: Array<T>): number {
    const before = out.length
    const matched = this.#matched
    this.#filters.matchInto(name, matched)
    for (let index = 0; index < matched.length; index++) {
      const number = matched[index]!
      this.#of(number).appendTo(number >>> 1, out)
    }
    matched.length = 0
    return out.length - before
  }

  #of(number: number): ValueLists<T> {
    return this.#values[(number & 1) as 0 | 1]
  }
}
