/**
 * Numbers in an order that their owner knows: a word for each, and adding, removing and finding one cost little at a million.
 *
 * Sorted leaves of bounded length; the place of what is looked for is found by bisection of the leaves and then within one. What comes in
 * order is put behind the last one.
 *
 * Invariants
 *  - The order of what is there does not change, and no two are alike.
 *  - No leaf but the only one is empty, none has more than {@link LEAF_LENGTH_MAX} numbers.
 */

/** Numbers of a leaf. A full one is cut in half. */
export const LEAF_LENGTH_MAX = 512
const LEAF_LENGTH_MIN = 8

class Leaf {
  numbers: Int32Array
  count = 0

  constructor(capacity: number) {
    this.numbers = new Int32Array(capacity)
  }

  insert(position: number, number: number): void {
    if (this.count === this.numbers.length) {
      const longer = new Int32Array(Math.min(LEAF_LENGTH_MAX, 2 * this.count))
      longer.set(this.numbers)
      this.numbers = longer
    }
    this.numbers.copyWithin(position + 1, position, this.count)
    this.numbers[position] = number
    this.count += 1
  }

  remove(position: number): void {
    this.numbers.copyWithin(position, position + 1, this.count)
    this.count -= 1
  }

  /** Takes the numbers from `position` on out, into a leaf of their own. */
  splitAt(position: number): Leaf {
    const right = new Leaf(LEAF_LENGTH_MAX)
    right.numbers.set(this.numbers.subarray(position, this.count))
    right.count = this.count - position
    this.count = position
    return right
  }
}

export class OrderedPlaces {
  /** Below 0 where the number comes before what is looked for, 0 where it is that. */
  readonly #compare: (number: number) => number
  readonly #leaves: Array<Leaf> = [new Leaf(LEAF_LENGTH_MIN)]
  #size = 0

  constructor(compare: (number: number) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#size
  }

  /** The number that is looked for; undefined = it is not there. */
  find(): number | undefined {
    const leaf = this.#leaf(this.#leafOf())
    return this.#at(leaf, this.#lowerBound(leaf))
  }

  /** Adds a number that is looked for; false where it, or another that is alike, is there. */
  add(number: number): boolean {
    const at = this.#leafOf()
    const leaf = this.#leaf(at)
    const position = this.#lowerBound(leaf)
    if (this.#at(leaf, position) !== undefined) return false
    this.#size += 1
    if (leaf.count < LEAF_LENGTH_MAX) leaf.insert(position, number)
    else if (position === leaf.count) {
      // What is added in order leaves full leaves behind.
      const added = new Leaf(at === this.#leaves.length - 1 ? LEAF_LENGTH_MAX : LEAF_LENGTH_MIN)
      added.insert(0, number)
      this.#leaves.splice(at + 1, 0, added)
    } else {
      const half = leaf.count >>> 1
      const right = leaf.splitAt(half)
      this.#leaves.splice(at + 1, 0, right)
      if (position <= half) leaf.insert(position, number)
      else right.insert(position - half, number)
    }
    return true
  }

  /** Takes the number that is looked for out; undefined where it was not there. */
  delete(): number | undefined {
    const at = this.#leafOf()
    const leaf = this.#leaf(at)
    const position = this.#lowerBound(leaf)
    const number = this.#at(leaf, position)
    if (number === undefined) return undefined
    leaf.remove(position)
    this.#size -= 1
    if (leaf.count === 0) {
      if (this.#leaves.length > 1) this.#leaves.splice(at, 1)
      else this.#leaves[0] = new Leaf(LEAF_LENGTH_MIN)
    }
    return number
  }

  /** The numbers from what is looked for now on, in order. Nothing must come or go while this is gone through. */
  from(): Generator<number, void> {
    const at = this.#leafOf()
    return this.#walk(at, this.#lowerBound(this.#leaf(at)))
  }

  *#walk(leafAt: number, positionAt: number): Generator<number, void> {
    let position = positionAt
    for (let at = leafAt; at < this.#leaves.length; at++) {
      const { numbers, count } = this.#leaf(at)
      for (; position < count; position++) yield numbers[position] ?? 0
      position = 0
    }
  }

  /** The number at a position that {@link OrderedPlaces.#lowerBound} gave, where it is what is looked for. */
  #at({ numbers, count }: Leaf, position: number): number | undefined {
    const number = numbers[position]
    return number !== undefined && position < count && this.#compare(number) === 0 ? number : undefined
  }

  /** The leaf that holds what is looked for, or would. */
  #leafOf(): number {
    let low = 0
    let high = this.#leaves.length - 1
    if (high > 0 && this.#compare(this.#leaf(high).numbers[0] ?? 0) <= 0) return high
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#compare(this.#leaf(middle).numbers[0] ?? 0) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The first position whose number does not come before what is looked for. */
  #lowerBound({ numbers, count }: Leaf): number {
    let low = 0
    let high = count
    if (high > 0 && this.#compare(numbers[high - 1] ?? 0) < 0) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(numbers[middle] ?? 0) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #leaf(at: number): Leaf {
    return this.#leaves[at] ?? NOTHING
  }
}

const NOTHING = new Leaf(0)
