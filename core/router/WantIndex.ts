/**
 * Which topic filters durable sessions want kept: how many of this shard want each, and which other shards do.
 *
 * Invariants
 *  - A filter that any number of sessions want costs one place in the index, and no object of its own: a hundred thousand sessions on one
 *    filter are a number.
 */
import { FilterIndex } from "./FilterIndex.ts"

/** So many sessions of this shard, or another shard, want a filter. */
class Want {
  readonly count: number
  constructor(count: number) {
    this.count = count
  }
}

export class WantIndex {
  readonly #index: FilterIndex<Want>
  readonly #shards: ReadonlyArray<Want>
  /** One for each count that occurs, shared by all filters of that count. */
  readonly #counts: Array<Want> = []
  readonly #matched: Array<Want> = []

  constructor(seed: number, shards: number) {
    this.#index = new FilterIndex(seed)
    this.#shards = Array.from({ length: shards }, () => new Want(0))
  }

  get isEmpty(): boolean {
    return this.#index.valueCount === 0
  }

  get filterCount(): number {
    return this.#index.filterCount
  }

  /** One more session of this shard wants the filter; true where it is the first. */
  add(filter: string): boolean {
    const before = this.#own(filter)
    if (before === undefined) this.#index.add(filter, this.#of(1))
    else this.#index.replace(filter, before, this.#of(before.count + 1))
    return before === undefined
  }

  /** One less does; true where it was the last. A filter that none wants is left alone. */
  remove(filter: string): boolean {
    const before = this.#own(filter)
    if (before === undefined) return false
    if (before.count === 1) this.#index.remove(filter, before)
    else this.#index.replace(filter, before, this.#of(before.count - 1))
    return before.count === 1
  }

  /** Another shard's sessions want the filter, or do not any more. */
  set(shard: number, filter: string, isWanted: boolean): void {
    const want = this.#shards[shard]
    if (want === undefined) return
    if (isWanted) this.#index.add(filter, want)
    else this.#index.remove(filter, want)
  }

  /** Whether anybody, here or elsewhere, wants a valid topic name. */
  matches(name: string): boolean {
    if (this.isEmpty) return false
    const matched = this.#matched
    matched.length = 0
    return this.#index.matchInto(name, matched) > 0
  }

  #own(filter: string): Want | undefined {
    return this.#index.valuesOf(filter).find((want) => want.count > 0)
  }

  #of(count: number): Want {
    const known = this.#counts[count]
    if (known !== undefined) return known
    const made = new Want(count)
    this.#counts[count] = made
    return made
  }
}
