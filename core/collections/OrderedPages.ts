/**
 * A map from texts to bytes in the order of the texts, for very many small entries: a million cost what their bytes take and about half of
 * that again, and no object each. Ends that many values have alike are kept once.
 *
 * Sorted pages of bounded size; the page of a key is found by bisection, and the entry within it too. What comes in the order of keys is
 * put behind the last one.
 *
 * Invariants
 *  - Keys order by their UTF-8 bytes, each is there once; keys of all pages rise from page to page.
 *  - No page but the only one is empty.
 */
import { assert } from "../assert.ts"
import { copyBytes } from "../copy-bytes.ts"
import { CommonTails } from "./CommonTails.ts"
import { FIRST_BYTES, HEAD_BYTES, PAGE_BYTES, SlottedPage, VALUE_BYTES_MAX } from "./SlottedPage.ts"

export { PAGE_BYTES } from "./SlottedPage.ts"

/** An entry of more bytes has a page of its own where it does not fit. */
const LARGE_BYTES = PAGE_BYTES / 4
export const KEY_BYTES_MAX = 65_535

const encoder = new TextEncoder()

export interface PageEntry {
  readonly key: string
  /** A view that holds until the next change. */
  readonly value: Uint8Array
}

export class OrderedPages {
  readonly #pages: Array<SlottedPage> = [new SlottedPage(FIRST_BYTES)]
  readonly #tails = new CommonTails()
  #size = 0
  /** The key that is looked for. */
  #key = new Uint8Array(256)
  #keyLength = 0
  /** A value and its tail, for who visits. */
  #joined = new Uint8Array(256)

  get size(): number {
    return this.#size
  }

  /** Bytes of all pages. */
  get sizeBytes(): number {
    let total = 0
    for (const { bytes, slots } of this.#pages) total += bytes.length + slots.byteLength
    return total
  }

  /** A view that holds until the next change. */
  get(key: string): Uint8Array | undefined {
    this.#look(key)
    const page = this.#page(this.#pageOf())
    const slot = page.lowerBound(this.#key, this.#keyLength)
    return this.#isAt(page, slot) ? this.#valueOf(page, slot) : undefined
  }

  /** Copies the value in. Keys have at most 65,535 bytes. */
  set(key: string, value: Uint8Array): void {
    this.#look(key)
    this.#set(value, 0, value.length)
  }

  /** The same of a key that is `bytes[start, end)`, in UTF-8, and the value `from[valueStart, valueEnd)`. */
  setBytes(
    bytes: Uint8Array,
    start: number,
    end: number,
    from: Uint8Array,
    valueStart: number,
    valueEnd: number
  ): void {
    const length = end - start
    assert(length <= KEY_BYTES_MAX, "a key has a bounded length")
    if (this.#key.length < length) this.#key = new Uint8Array(length)
    copyBytes(bytes, start, end, this.#key, 0)
    this.#keyLength = length
    this.#set(from, valueStart, valueEnd)
  }

  /** False where the key was not there. */
  delete(key: string): boolean {
    this.#look(key)
    const at = this.#pageOf()
    const page = this.#page(at)
    const slot = page.lowerBound(this.#key, this.#keyLength)
    if (!this.#isAt(page, slot)) return false
    this.#remove(page, slot)
    this.#size -= 1
    if (page.count === 0) {
      if (this.#pages.length > 1) this.#pages.splice(at, 1)
      else this.#pages[0] = new SlottedPage(FIRST_BYTES)
    } else this.#merge(at)
    return true
  }

  /** Entries from the key `start` on, in order. The map must not change while this is gone through. */
  *from(start: string): Generator<PageEntry, void> {
    this.#look(start)
    let at = this.#pageOf()
    let slot = this.#page(at).lowerBound(this.#key, this.#keyLength)
    for (; at < this.#pages.length; at++) {
      const page = this.#page(at)
      for (; slot < page.count; slot++) yield { key: page.key(slot), value: this.#valueOf(page, slot) }
      slot = 0
    }
  }

  /**
   * Calls `found` with each entry from the key `start` on, in order, until it returns false; the value is `bytes[start, end)`, borrowed until
   * then. The map must not change meanwhile.
   */
  visit(start: string, found: (key: string, bytes: Uint8Array, start: number, end: number) => boolean): void {
    this.#look(start)
    let at = this.#pageOf()
    let slot = this.#page(at).lowerBound(this.#key, this.#keyLength)
    for (; at < this.#pages.length; at++) {
      const page = this.#page(at)
      for (; slot < page.count; slot++) {
        const tail = page.tail(slot)
        const from = page.valueStart(slot)
        const end = from + page.valueBytes(slot)
        const goesOn =
          tail === 0
            ? found(page.key(slot), page.bytes, from, end)
            : found(page.key(slot), this.#joined, 0, this.#join(page.bytes, from, end, this.#tails.bytesOf(tail)))
        if (!goesOn) return
      }
      slot = 0
    }
  }

  #valueOf(page: SlottedPage, slot: number): Uint8Array {
    const start = page.valueStart(slot)
    const own = page.bytes.subarray(start, start + page.valueBytes(slot))
    const tail = page.tail(slot)
    if (tail === 0) return own
    const end = this.#tails.bytesOf(tail)
    const value = new Uint8Array(own.length + end.length)
    value.set(own)
    value.set(end, own.length)
    return value
  }

  /** Puts `bytes[start, end)` and a tail together; returns how long that is. */
  #join(bytes: Uint8Array, start: number, end: number, tail: Uint8Array): number {
    const length = end - start + tail.length
    if (this.#joined.length < length) this.#joined = new Uint8Array(2 * length)
    copyBytes(bytes, start, end, this.#joined, 0)
    return copyBytes(tail, 0, tail.length, this.#joined, end - start)
  }

  /** Of the key that is looked for. */
  #set(bytes: Uint8Array, start: number, end: number): void {
    const at = this.#pageOf()
    const page = this.#page(at)
    const slot = page.lowerBound(this.#key, this.#keyLength)
    const tail = this.#tails.take(bytes, start, end)
    if (this.#isAt(page, slot)) this.#remove(page, slot)
    else this.#size += 1
    const ownEnd = end - this.#tails.bytesOf(tail).length
    assert(ownEnd - start <= VALUE_BYTES_MAX, "a value has a bounded length")
    this.#insert(at, slot, tail, bytes, start, ownEnd)
  }

  #remove(page: SlottedPage, slot: number): void {
    this.#tails.release(page.tail(slot))
    page.remove(slot)
  }

  #insert(at: number, slot: number, tail: number, bytes: Uint8Array, start: number, end: number): void {
    const page = this.#page(at)
    const size = HEAD_BYTES + this.#keyLength + end - start
    if (page.makeRoom(size, slot === page.count)) {
      page.insert(slot, this.#key, this.#keyLength, tail, bytes, start, end)
      return
    }
    if (slot === page.count || slot === 0 || size > LARGE_BYTES) {
      // In order, or large: a page begins with it. What stands behind it goes into another one.
      // Behind a full last page more will come.
      const isLast = slot === page.count && at === this.#pages.length - 1
      const added = new SlottedPage(isLast ? PAGE_BYTES : FIRST_BYTES)
      added.makeRoom(size, false)
      added.insert(0, this.#key, this.#keyLength, tail, bytes, start, end)
      if (slot === 0) this.#pages.splice(at, 0, added)
      else if (slot === page.count) this.#pages.splice(at + 1, 0, added)
      else this.#pages.splice(at + 1, 0, added, page.splitAt(slot))
      return
    }
    // Near the end of all, what comes is nearly in order: what is before it stays together.
    const isNearEnd = at === this.#pages.length - 1 && slot > (page.count >>> 2) * 3
    const half = isNearEnd ? slot : page.count >>> 1
    this.#pages.splice(at + 1, 0, page.splitAt(half))
    if (slot <= half) this.#insert(at, slot, tail, bytes, start, end)
    else this.#insert(at + 1, slot - half, tail, bytes, start, end)
  }

  /** One that became small is joined with a neighbour that leaves room. */
  #merge(at: number): void {
    const page = this.#page(at)
    if (page.live > PAGE_BYTES / 4) return
    for (const left of [at, at - 1]) {
      const first = this.#pages[left]
      const second = this.#pages[left + 1]
      if (first === undefined || second === undefined || first.live + second.live > PAGE_BYTES / 2) continue
      first.squeeze(first.live + second.live)
      first.take(second, 0, second.count)
      this.#pages.splice(left + 1, 1)
      return
    }
  }

  #look(key: string): void {
    // A UTF-16 code unit is 3 bytes at most.
    if (this.#key.length < 3 * key.length) this.#key = new Uint8Array(3 * key.length)
    this.#keyLength = encoder.encodeInto(key, this.#key).written
    assert(this.#keyLength <= KEY_BYTES_MAX, "a key has a bounded length")
  }

  #isAt(page: SlottedPage, slot: number): boolean {
    return slot < page.count && page.compare(slot, this.#key, this.#keyLength) === 0
  }

  /** The last page whose first key is not behind the key, or the first one. */
  #pageOf(): number {
    let low = 0
    let high = this.#pages.length - 1
    // What comes in order goes to the end.
    if (this.#page(high).compare(0, this.#key, this.#keyLength) <= 0) return high
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#page(middle).compare(0, this.#key, this.#keyLength) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  #page(at: number): SlottedPage {
    const page = this.#pages[at]
    assert(page !== undefined, "there is a page for every key")
    return page
  }
}
