/**
 * Topic filters as numbers, found by the topic names that they match. What stands on a filter is its owner's affair.
 *
 * Filters without a wildcard lie in a hash table of whole filters, the others in a {@link WildcardTree}; both in typed arrays. A match looks
 * the name up once and walks the tree along the name.
 *
 * Source: MQTT 5.0, section 4.7.
 * Invariants
 *  - A number means one filter until it is released. Those of filters without a wildcard are even, the others odd; half of a number is small.
 *  - Nothing that is done for one filter takes longer because there are many, but for what matches it.
 * Clients choose the filters: give the seed of {@link FilterTable.constructor} from a source of chance.
 */
import { TextTable } from "./TextTable.ts"
import { hasWildcard } from "./topic-filter.ts"
import { WildcardTree } from "./WildcardTree.ts"

export class FilterTable {
  readonly #exact: TextTable
  readonly #tree: WildcardTree

  constructor(seed: number) {
    this.#exact = new TextTable(seed)
    this.#tree = new WildcardTree(seed)
  }

  /** Filters that have a number. */
  get count(): number {
    return this.#exact.count + this.#tree.count
  }

  /** Bytes of the table's buffers. */
  get sizeBytes(): number {
    return this.#exact.sizeBytes + this.#tree.sizeBytes
  }

  /** The number of a filter; -1 where it has none, as what is no valid filter. */
  find(filter: string): number {
    if (!hasWildcard(filter)) {
      const exact = this.#exact.find(filter, 0, filter.length)
      return exact < 0 ? -1 : 2 * exact
    }
    const wild = this.#tree.find(filter)
    return wild < 0 ? -1 : 2 * wild + 1
  }

  /** The number of a valid filter, given to it where it has none. */
  hold(filter: string): number {
    if (hasWildcard(filter)) return 2 * this.#tree.hold(filter) + 1
    return 2 * this.#exact.holdOnce(filter, 0, filter.length)
  }

  /** Takes its number from a filter. */
  release(number: number): void {
    if ((number & 1) === 1) this.#tree.release(number >>> 1)
    else this.#exact.release(number >>> 1)
  }

  /** The filter with a number. */
  text(number: number): string {
    return (number & 1) === 1 ? this.#tree.text(number >>> 1) : this.#exact.text(number >>> 1)
  }

  /** Appends to `out` the numbers of all filters that match a valid topic name. */
  matchInto(name: string, out: Array<number>): void {
    if (this.#exact.count > 0) {
      const exact = this.#exact.find(name, 0, name.length)
      if (exact >= 0) out.push(2 * exact)
    }
    if (this.#tree.count > 0) this.#tree.matchInto(name, out)
  }
}
