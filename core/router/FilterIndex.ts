/**
 * Which values (subscriptions, routes, bindings) stand on a topic filter that matches a topic name.
 *
 * Filters without a wildcard lie in a hash table of whole filters, the others in a {@link WildcardTree}; both in typed arrays. A
 * match looks the name up once and walks the tree along the name.
 *
 * Source: MQTT 5.0, section 4.7.
 * Invariants
 *  - A value stands once on a filter, however often it was added. One that stands on several matching filters comes once for each.
 *  - A filter without values takes no room; numbers are used again.
 * Clients choose the filters: give the seed of {@link FilterIndex.constructor} from a source of chance.
 */
import { TextTable } from "./TextTable.ts"
import { hasWildcard } from "./topic-filter.ts"
import { ValueLists } from "./ValueLists.ts"
import { WildcardTree } from "./WildcardTree.ts"

export class FilterIndex<T extends object> {
  readonly #exact: TextTable
  /** By the id of the filter in {@link FilterIndex.#exact}. */
  readonly #exactValues = new ValueLists<T>()
  readonly #tree: WildcardTree<T>

  constructor(seed = 0) {
    this.#exact = new TextTable(seed)
    this.#tree = new WildcardTree(seed)
  }

  /** Filters that have a value. */
  get filterCount(): number {
    return this.#exact.count + this.#tree.filterCount
  }

  /** Pairs of filter and value. */
  get valueCount(): number {
    return this.#exactValues.valueCount + this.#tree.valueCount
  }

  /** Bytes of the index's buffers and of its references to values. */
  get sizeBytes(): number {
    return this.#exact.sizeBytes + this.#tree.sizeBytes + 8 * this.#exact.idEnd
  }

  /** Attaches a value to a valid filter; true where the filter is new here. */
  add(filter: string, value: T): boolean {
    if (hasWildcard(filter)) return this.#tree.add(filter, value)
    const found = this.#exact.find(filter, 0, filter.length)
    this.#exactValues.add(found < 0 ? this.#exact.hold(filter, 0, filter.length) : found, value)
    return found < 0
  }

  /** Takes a value off a filter; true where it was the filter's last. What is not there is not removed. */
  remove(filter: string, value: T): boolean {
    if (hasWildcard(filter)) return this.#tree.remove(filter, value)
    const id = this.#exact.find(filter, 0, filter.length)
    if (id < 0 || !this.#exactValues.remove(id, value) || !this.#exactValues.isEmpty(id)) return false
    return this.#exact.release(id)
  }

  /** Puts `after` where `before` stood; false, and nothing is changed, where that was not there or `after` was already. */
  replace(filter: string, before: T, after: T): boolean {
    if (hasWildcard(filter)) return this.#tree.replace(filter, before, after)
    const id = this.#exact.find(filter, 0, filter.length)
    return id >= 0 && this.#exactValues.replace(id, before, after)
  }

  /** The values of a filter (not of those that match it), in an array of the caller's. */
  valuesOf(filter: string): ReadonlyArray<T> {
    if (hasWildcard(filter)) return this.#tree.valuesOf(filter)
    const id = this.#exact.find(filter, 0, filter.length)
    return id < 0 ? [] : this.#exactValues.valuesOf(id)
  }

  /** Appends to `out` the values of every filter that matches a valid topic name; returns how many. */
  matchInto(name: string, out: Array<T>): number {
    const before = out.length
    if (this.#exact.count > 0) {
      const id = this.#exact.find(name, 0, name.length)
      if (id >= 0) this.#exactValues.appendTo(id, out)
    }
    if (this.#tree.filterCount > 0) this.#tree.matchInto(name, out)
    return out.length - before
  }

  /** Visits every filter with its values (the visitor's own array). The index must not be changed meanwhile. */
  forEachFilter(visit: (filter: string, values: ReadonlyArray<T>) => void): void {
    for (let id = 0; id < this.#exact.idEnd; id++) {
      if (this.#exact.isHeld(id)) visit(this.#exact.text(id), this.#exactValues.valuesOf(id))
    }
    this.#tree.forEachFilter(visit)
  }
}
