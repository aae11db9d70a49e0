/**
 * A long array of 32-bit words that grows by a page at a time: no growth copies what is there, so none takes longer than another.
 *
 * Invariants
 *  - Words that were never set are 0.
 *  - Below one page the array doubles: a small one costs little.
 */

const PAGE_SHIFT = 14
/** Words of a page; a record whose size divides this lies within one page. */
export const PAGE_WORDS = 1 << PAGE_SHIFT
const MASK = PAGE_WORDS - 1
const WORDS_MIN = 16

export class PagedWords {
  readonly #pages: Array<Int32Array> = [new Int32Array(WORDS_MIN)]
  #length = WORDS_MIN

  /** Words that there is room for. */
  get length(): number {
    return this.#length
  }

  get sizeBytes(): number {
    return this.#length * 4
  }

  /** A word below {@link PagedWords.length}. */
  get(index: number): number {
    return this.#pages[index >>> PAGE_SHIFT]![index & MASK]!
  }

  set(index: number, word: number): void {
    this.#pages[index >>> PAGE_SHIFT]![index & MASK] = word
  }

  add(index: number, change: number): number {
    return (this.#pages[index >>> PAGE_SHIFT]![index & MASK]! += change)
  }

  /** Sets `count` words that lie within one page to 0. */
  clear(index: number, count: number): void {
    this.#pages[index >>> PAGE_SHIFT]!.fill(0, index & MASK, (index & MASK) + count)
  }

  /** Makes room for at least `length` words. */
  reserve(length: number): void {
    while (this.#length < length) this.#grow()
  }

  /** Gives up all pages but a first small one. */
  reset(): void {
    if (this.#length === WORDS_MIN) this.#pages[0]!.fill(0)
    else this.#pages[0] = new Int32Array(WORDS_MIN)
    this.#pages.length = 1
    this.#length = WORDS_MIN
  }

  #grow(): void {
    if (this.#length >= PAGE_WORDS) {
      this.#pages.push(new Int32Array(PAGE_WORDS))
      this.#length += PAGE_WORDS
      return
    }
    const longer = new Int32Array(this.#length * 2)
    longer.set(this.#pages[0]!)
    this.#pages[0] = longer
    this.#length = longer.length
  }
}
