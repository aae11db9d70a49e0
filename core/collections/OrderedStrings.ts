/**
 * A set of texts in order, for pages of a long list: adding, removing and finding a place cost little at 100,000 texts and more.
 *
 * Sorted leaves of bounded length; the place of a text is found by bisection of the leaves and then within one.
 *
 * Invariants
 *  - Texts order by UTF-16 code units, as `<` of the language does; each is there once.
 *  - No leaf but the only one is empty, none has more than {@link LEAF_LENGTH_MAX} texts.
 */

/** Texts of a leaf. A full one is cut in half. */
export const LEAF_LENGTH_MAX = 512

export class OrderedStrings {
  readonly #leaves: Array<Array<string>> = [[]]
  #size = 0

  get size(): number {
    return this.#size
  }

  /** False where the text was there already. */
  add(text: string): boolean {
    const at = this.#leafOf(text)
    const leaf = this.#leaves[at] ?? []
    const position = lowerBound(leaf, text)
    if (leaf[position] === text) return false
    leaf.splice(position, 0, text)
    this.#size += 1
    if (leaf.length > LEAF_LENGTH_MAX) {
      // What is added in order fills leaves well where a full one gives away only its end.
      const keep = position === leaf.length - 1 ? LEAF_LENGTH_MAX - 1 : leaf.length >>> 1
      this.#leaves.splice(at + 1, 0, leaf.splice(keep))
    }
    return true
  }

  /** False where the text was not there. */
  delete(text: string): boolean {
    const at = this.#leafOf(text)
    const leaf = this.#leaves[at] ?? []
    const position = lowerBound(leaf, text)
    if (leaf[position] !== text) return false
    leaf.splice(position, 1)
    this.#size -= 1
    if (leaf.length === 0 && this.#leaves.length > 1) this.#leaves.splice(at, 1)
    return true
  }

  /** The texts from `start` on, in order. The set must not change while this is gone through. */
  *from(start: string): Generator<string, void> {
    let at = this.#leafOf(start)
    let position = lowerBound(this.#leaves[at] ?? [], start)
    for (; at < this.#leaves.length; at++) {
      const leaf = this.#leaves[at] ?? []
      for (; position < leaf.length; position++) yield leaf[position] ?? ""
      position = 0
    }
  }

  /** The texts that begin with `prefix` and come after `cursor`, in order; "" = no cursor. As long as nothing changes. */
  *page(prefix: string, cursor: string): Generator<string, void> {
    for (const text of this.from(cursor > prefix ? cursor : prefix)) {
      if (!text.startsWith(prefix)) return
      if (cursor === "" || text > cursor) yield text
    }
  }

  /** The leaf that holds the text, or would. */
  #leafOf(text: string): number {
    let low = 0
    let high = this.#leaves.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#leaves[middle]?.[0] ?? "") <= text) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** The first position whose text is not below `text`. */
function lowerBound(leaf: ReadonlyArray<string>, text: string): number {
  let low = 0
  let high = leaf.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((leaf[middle] ?? "") < text) low = middle + 1
    else high = middle
  }
  return low
}
