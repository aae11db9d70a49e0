/**
 * A map from texts to bytes in the order of the texts, for very many small entries: a million cost what their bytes take and about half of
 * that again, and no object each.
 *
 * Sorted pages of bounded size with the places of their entries beside them (slotted pages, as databases have them on disk); the page of
 * a key is found by bisection, and the entry within it too.
 *
 * Invariants
 *  - Keys order by their UTF-8 bytes, each is there once; keys of all pages rise from page to page.
 *  - No page but the only one is empty. A page holds at most {@link PAGE_BYTES}, or one entry that is larger.
 */
import { assert } from "../assert.ts"
import { copyBytes } from "../copy-bytes.ts"
import { textOfBytes } from "../text-of-bytes.ts"

export const PAGE_BYTES = 16_384
const FIRST_BYTES = 256
const FIRST_SLOTS = 8
/** Arrays come in multiples of this, so that memory is found again. */
const ROUND_BYTES = 1_024
/** Of an entry: 2 bytes length of the key, 4 of the value. */
const HEAD_BYTES = 6
/** An entry of more bytes has a page of its own where it does not fit. */
const LARGE_BYTES = PAGE_BYTES / 4
const KEY_BYTES_MAX = 65_535

const encoder = new TextEncoder()

export interface PageEntry {
  readonly key: string
  /** A view that holds until the next change. */
  readonly value: Uint8Array
}

class Page {
  bytes: Uint8Array
  /** Where each entry begins, in the order of keys. */
  slots = new Uint32Array(FIRST_SLOTS)
  count = 0
  /** Where the next entry goes, and how many bytes before it are of entries that are gone. */
  end = 0
  dead = 0

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity)
  }

  get live(): number {
    return this.end - this.dead
  }

  keyBytes(slot: number): number {
    const at = this.slots[slot] ?? 0
    return ((this.bytes[at] ?? 0) << 8) | (this.bytes[at + 1] ?? 0)
  }

  valueBytes(slot: number): number {
    const at = (this.slots[slot] ?? 0) + 2
    const { bytes } = this
    return (
      (bytes[at] ?? 0) * 16_777_216 +
      (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
    )
  }

  sizeOf(slot: number): number {
    return HEAD_BYTES + this.keyBytes(slot) + this.valueBytes(slot)
  }

  key(slot: number): string {
    const at = (this.slots[slot] ?? 0) + HEAD_BYTES
    return textOfBytes(this.bytes, at, at + this.keyBytes(slot))
  }

  value(slot: number): Uint8Array {
    const at = (this.slots[slot] ?? 0) + HEAD_BYTES + this.keyBytes(slot)
    return this.bytes.subarray(at, at + this.valueBytes(slot))
  }

  /** Below 0 where the slot's key comes before `key`, 0 where it is that. */
  compare(slot: number, key: Uint8Array, keyLength: number): number {
    const { bytes } = this
    const at = (this.slots[slot] ?? 0) + HEAD_BYTES
    const own = this.keyBytes(slot)
    const common = Math.min(own, keyLength)
    for (let index = 0; index < common; index++) {
      const difference = (bytes[at + index] ?? 0) - (key[index] ?? 0)
      if (difference !== 0) return difference
    }
    return own - keyLength
  }

  /** The first slot whose key is not before `key`. */
  lowerBound(key: Uint8Array, keyLength: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compare(middle, key, keyLength) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Whether an entry of so many bytes fits, after what is dead was squeezed out if need be. More of them come next where it is the last. */
  makeRoom(size: number, isLast: boolean): boolean {
    if (this.end + size <= this.bytes.length) return true
    const needed = this.live + size
    if (needed > PAGE_BYTES && this.count > 0) return false
    this.squeeze(withRoom(isLast && needed < PAGE_BYTES ? Math.min(PAGE_BYTES, 2 * needed) : needed))
    return true
  }

  insert(slot: number, key: Uint8Array, keyLength: number, value: Uint8Array): void {
    const { bytes } = this
    const at = this.end
    const size = value.length
    bytes[at] = keyLength >>> 8
    bytes[at + 1] = keyLength
    bytes[at + 2] = size >>> 24
    bytes[at + 3] = size >>> 16
    bytes[at + 4] = size >>> 8
    bytes[at + 5] = size
    copyBytes(key, 0, keyLength, bytes, at + HEAD_BYTES)
    bytes.set(value, at + HEAD_BYTES + keyLength)
    this.end = at + HEAD_BYTES + keyLength + size
    if (this.count === this.slots.length) {
      const slots = new Uint32Array(2 * this.count)
      slots.set(this.slots)
      this.slots = slots
    }
    this.slots.copyWithin(slot + 1, slot, this.count)
    this.slots[slot] = at
    this.count += 1
  }

  remove(slot: number): void {
    this.dead += this.sizeOf(slot)
    this.slots.copyWithin(slot, slot + 1, this.count)
    this.count -= 1
  }

  /** Moves the entries from `slot` on into a page of their own. */
  splitAt(slot: number): Page {
    let moved = 0
    for (let each = slot; each < this.count; each++) moved += this.sizeOf(each)
    const right = new Page(withRoom(moved))
    right.take(this, slot, this.count)
    this.dead += moved
    this.count = slot
    this.squeeze(withRoom(this.live))
    return right
  }

  /** Appends entries of another page behind its own. */
  take(other: Page, from: number, to: number): void {
    const slots = new Uint32Array(Math.max(FIRST_SLOTS, this.count + to - from))
    slots.set(this.slots.subarray(0, this.count))
    this.slots = slots
    for (let slot = from; slot < to; slot++) {
      const at = other.slots[slot] ?? 0
      const size = other.sizeOf(slot)
      if (this.end + size > this.bytes.length) this.squeeze(Math.max(this.end + size, 2 * this.bytes.length))
      this.bytes.set(other.bytes.subarray(at, at + size), this.end)
      this.slots[this.count] = this.end
      this.end += size
      this.count += 1
    }
  }

  /** Into an array of so many bytes, without what is dead. */
  squeeze(capacity: number): void {
    const { bytes, slots } = this
    const squeezed = new Uint8Array(Math.max(capacity, this.live))
    let end = 0
    for (let slot = 0; slot < this.count; slot++) {
      const at = slots[slot] ?? 0
      const size = this.sizeOf(slot)
      squeezed.set(bytes.subarray(at, at + size), end)
      slots[slot] = end
      end += size
    }
    this.bytes = squeezed
    this.end = end
    this.dead = 0
  }
}

/** The size of an array for so many bytes: with an eighth for more to come, and no more than a page may hold but for one large entry. */
function withRoom(needed: number): number {
  if (needed > PAGE_BYTES) return needed
  return Math.min(PAGE_BYTES, Math.max(FIRST_BYTES, Math.ceil((needed * 1.125) / ROUND_BYTES) * ROUND_BYTES))
}

export class OrderedPages {
  readonly #pages: Array<Page> = [new Page(FIRST_BYTES)]
  #size = 0
  /** The key that is looked for. */
  #key = new Uint8Array(256)
  #keyLength = 0

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
    return this.#isAt(page, slot) ? page.value(slot) : undefined
  }

  /** Copies the value in. Keys have at most 65,535 bytes. */
  set(key: string, value: Uint8Array): void {
    this.#look(key)
    const at = this.#pageOf()
    const page = this.#page(at)
    const slot = page.lowerBound(this.#key, this.#keyLength)
    if (this.#isAt(page, slot)) page.remove(slot)
    else this.#size += 1
    this.#insert(at, slot, value)
  }

  /** False where the key was not there. */
  delete(key: string): boolean {
    this.#look(key)
    const at = this.#pageOf()
    const page = this.#page(at)
    const slot = page.lowerBound(this.#key, this.#keyLength)
    if (!this.#isAt(page, slot)) return false
    page.remove(slot)
    this.#size -= 1
    if (page.count === 0) {
      if (this.#pages.length > 1) this.#pages.splice(at, 1)
      else this.#pages[0] = new Page(FIRST_BYTES)
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
      for (; slot < page.count; slot++) yield { key: page.key(slot), value: page.value(slot) }
      slot = 0
    }
  }

  #insert(at: number, slot: number, value: Uint8Array): void {
    const page = this.#page(at)
    const size = HEAD_BYTES + this.#keyLength + value.length
    if (page.makeRoom(size, slot === page.count)) {
      page.insert(slot, this.#key, this.#keyLength, value)
      return
    }
    if (slot === page.count || slot === 0 || size > LARGE_BYTES) {
      // In order, or large: a page begins with it. What stands behind it goes into another one.
      const added = new Page(FIRST_BYTES)
      added.makeRoom(size, false)
      added.insert(0, this.#key, this.#keyLength, value)
      if (slot === 0) this.#pages.splice(at, 0, added)
      else if (slot === page.count) this.#pages.splice(at + 1, 0, added)
      else this.#pages.splice(at + 1, 0, added, page.splitAt(slot))
      return
    }
    const half = page.count >>> 1
    this.#pages.splice(at + 1, 0, page.splitAt(half))
    if (slot <= half) this.#insert(at, slot, value)
    else this.#insert(at + 1, slot - half, value)
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

  #isAt(page: Page, slot: number): boolean {
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

  #page(at: number): Page {
    const page = this.#pages[at]
    assert(page !== undefined, "there is a page for every key")
    return page
  }
}
