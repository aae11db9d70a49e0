/**
 * Values in the order of a text that each has, for pages of a long list and to be found by it: adding, removing and finding one cost little
 * at 100,000 and more, and memory is a word for each.
 *
 * Sorted leaves of bounded length; the place of a text is found by bisection of the leaves and then within one.
 *
 * Invariants
 *  - Texts order by UTF-16 code units, as `<` of the language does; each is there once, and that of a value does not change.
 *  - No leaf but the only one is empty, none has more than {@link LEAF_LENGTH_MAX} values.
 */

/** Values of a leaf. A full one is cut in half. */
export const LEAF_LENGTH_MAX = 512

export class OrderedValues<Value> {
  readonly #textOf: (value: Value) => string
  readonly #leaves: Array<Array<Value>> = [[]]
  #size = 0

  constructor(textOf: (value: Value) => string) {
    this.#textOf = textOf
  }

  get size(): number {
    return this.#size
  }

  /** The value of this text. */
  get(text: string): Value | undefined {
    const leaf = this.#leaves[this.#leafOf(text)] ?? []
    const value = leaf[this.#lowerBound(leaf, text)]
    return value !== undefined && this.#textOf(value) === text ? value : undefined
  }

  /** False where there is one of the same text already. */
  add(value: Value): boolean {
    const text = this.#textOf(value)
    const at = this.#leafOf(text)
    const leaf = this.#leaves[at] ?? []
    const position = this.#lowerBound(leaf, text)
    const there = leaf[position]
    if (there !== undefined && this.#textOf(there) === text) return false
    this.#size += 1
    if (leaf.length < LEAF_LENGTH_MAX) {
      leaf.splice(position, 0, value)
      return true
    }
    // What is added in order leaves full leaves behind. Arrays are made as long as they are: those that grow keep room.
    if (position === leaf.length) this.#leaves.splice(at, 1, leaf.slice(), [value])
    else {
      const half = leaf.length >>> 1
      const [left, right] = [leaf.slice(0, half), leaf.slice(half)]
      if (position <= half) left.splice(position, 0, value)
      else right.splice(position - half, 0, value)
      this.#leaves.splice(at, 1, left, right)
    }
    return true
  }

  /** Removes the value of this text; undefined where there was none. */
  delete(text: string): Value | undefined {
    const at = this.#leafOf(text)
    const leaf = this.#leaves[at] ?? []
    const position = this.#lowerBound(leaf, text)
    const value = leaf[position]
    if (value === undefined || this.#textOf(value) !== text) return undefined
    leaf.splice(position, 1)
    this.#size -= 1
    if (leaf.length === 0 && this.#leaves.length > 1) this.#leaves.splice(at, 1)
    return value
  }

  /** The values whose texts come from `start` on, in order. The set must not change while this is gone through. */
  *from(start: string): Generator<Value, void> {
    let at = this.#leafOf(start)
    let position = this.#lowerBound(this.#leaves[at] ?? [], start)
    for (; at < this.#leaves.length; at++) {
      const leaf = this.#leaves[at] ?? []
      for (; position < leaf.length; position++) yield leaf[position] as Value
      position = 0
    }
  }

  /** The values whose texts begin with `prefix` and come after `cursor`, in order; "" = no cursor. As long as nothing changes. */
  *page(prefix: string, cursor: string): Generator<Value, void> {
    for (const value of this.from(cursor > prefix ? cursor : prefix)) {
      const text = this.#textOf(value)
      if (!text.startsWith(prefix)) return
      if (cursor === "" || text > cursor) yield value
    }
  }

  /** The leaf that holds the text, or would. */
  #leafOf(text: string): number {
    let low = 0
    let high = this.#leaves.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      const first = this.#leaves[middle]?.[0]
      if (first !== undefined && this.#textOf(first) <= text) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The first position whose text is not below `text`. */
  #lowerBound(leaf: ReadonlyArray<Value>, text: string): number {
    let low = 0
    let high = leaf.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#textOf(leaf[middle] as Value) < text) low = middle + 1
      else high = middle
    }
    return low
  }
}
