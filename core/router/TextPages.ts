/**
 * The code units of many texts in pages: none moves while it is there, but for those on a page that is mostly released.
 *
 * Before each text stand four bytes: the number of its owner's record, or below zero the complement of its size once it is released. So the
 * texts of a page can be told apart when those that are left on it are moved.
 *
 * Invariants
 *  - A page of which less than half is in use is given up, but for the one that is being filled: at most half of the bytes lie idle.
 *  - A text begins on its page: one of no bytes, too, so that the last bytes of a page may lie idle.
 *  - Giving up a page moves at most half a page. No other call takes longer for what was stored before.
 */
import { assert } from "../assert.ts"

/** Texts begin at multiples of four bytes; a position counts these. */
const UNIT_SHIFT = 2
const PAGE_SHIFT = 14
const PAGE_BYTES = 1 << (PAGE_SHIFT + UNIT_SHIFT)
const MASK = (1 << PAGE_SHIFT) - 1
/** What fits into a position; with pages for large texts alone, 2 GiB. */
const PAGES_MAX = 1 << (31 - PAGE_SHIFT)
const BYTES_MIN = 256
/** A text of more bytes has a page of its own. */
const SHARED_MAX = PAGE_BYTES / 4
const HEADER = 4

/** Who stores texts: their sizes, and where they are. */
export interface TextOwner {
  /** The bytes of a stored text. */
  byteLength(id: number): number
  /** A stored text lies elsewhere from now on. */
  moved(id: number, position: number): void
}

export class TextPages {
  readonly #owner: TextOwner
  readonly #pages: Array<Uint8Array | undefined> = [new Uint8Array(BYTES_MIN)]
  /** Bytes in use, headers included, by page. */
  readonly #used: Array<number> = [0]
  /** Where the last text of a page ends, by page; of the one that is being filled {@link TextPages.#end}. */
  readonly #ends: Array<number> = [0]
  readonly #freePages: Array<number> = []
  /** The page that is being filled, and how far. */
  #current = 0
  #end = 0
  #sizeBytes = BYTES_MIN

  constructor(owner: TextOwner) {
    this.#owner = owner
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** The bytes in which the text at `position` lies, from {@link TextPages.offset} on. */
  bytes(position: number): Uint8Array {
    return this.#pages[position >>> PAGE_SHIFT]!
  }

  offset(position: number): number {
    return (position & MASK) << UNIT_SHIFT
  }

  /** Room for a text of `size` bytes; its position. The caller fills it in. */
  allocate(id: number, size: number): number {
    const needed = roomOf(size)
    if (needed > SHARED_MAX) {
      const page = this.#open(needed)
      this.#used[page] = needed
      return this.#begin(page, 0, id)
    }
    if (this.#end + needed >= PAGE_BYTES) this.#turnOver()
    this.#fit(this.#end + needed)
    const start = this.#end
    this.#end += needed
    this.#used[this.#current]! += needed
    return this.#begin(this.#current, start, id)
  }

  /** Gives back the room of a text. */
  release(position: number, size: number): void {
    const page = position >>> PAGE_SHIFT
    writeHeader(this.#pages[page]!, this.offset(position) - HEADER, ~size)
    const used = this.#used[page]! - roomOf(size)
    this.#used[page] = used
    if (page !== this.#current) {
      if (used === 0) this.#drop(page)
      else if (used * 2 < PAGE_BYTES) this.#giveUp(page)
    } else if (used === 0) this.#end = 0
  }

  /** Everything was released: gives up all pages. */
  reset(): void {
    if (this.#sizeBytes > BYTES_MIN) this.#pages[0] = new Uint8Array(BYTES_MIN)
    this.#pages.length = 1
    this.#used[0] = 0
    this.#freePages.length = 0
    this.#current = 0
    this.#end = 0
    this.#sizeBytes = BYTES_MIN
  }

  #begin(page: number, start: number, id: number): number {
    writeHeader(this.#pages[page]!, start, id)
    return (page << PAGE_SHIFT) | ((start + HEADER) >>> UNIT_SHIFT)
  }

  /** A small first page grows until it is a whole one. */
  #fit(end: number): void {
    const page = this.#pages[this.#current]!
    if (end <= page.length) return
    let length = page.length
    while (length < end) length *= 2
    const longer = new Uint8Array(length)
    longer.set(page)
    this.#pages[this.#current] = longer
    this.#sizeBytes += length - page.length
  }

  /** Goes on on a new page. */
  #turnOver(): void {
    const before = this.#current
    this.#ends[before] = this.#end
    this.#current = this.#open(PAGE_BYTES)
    this.#used[this.#current] = 0
    this.#end = 0
    if (this.#used[before]! * 2 < PAGE_BYTES) this.#giveUp(before)
  }

  /** Moves what is left on a page to the one that is being filled. */
  #giveUp(page: number): void {
    const bytes = this.#pages[page]!
    const end = this.#ends[page]!
    for (let start = 0; start < end; ) {
      const id = readHeader(bytes, start)
      const size = id < 0 ? ~id : this.#owner.byteLength(id)
      if (id >= 0) {
        const position = this.allocate(id, size)
        const target = this.#pages[position >>> PAGE_SHIFT]!
        const from = start + HEADER
        target.set(bytes.subarray(from, from + size), this.offset(position))
        this.#owner.moved(id, position)
      }
      start += roomOf(size)
    }
    this.#drop(page)
  }

  #open(size: number): number {
    const page = this.#freePages.pop() ?? this.#pages.length
    assert(page < PAGES_MAX, "the texts of a table fit into the pages that can be told apart")
    this.#pages[page] = new Uint8Array(size)
    this.#sizeBytes += size
    return page
  }

  #drop(page: number): void {
    this.#sizeBytes -= this.#pages[page]!.length
    this.#pages[page] = undefined
    this.#freePages.push(page)
  }
}

/** The bytes that a text takes, with its header. */
function roomOf(size: number): number {
  return (HEADER + size + 3) & ~3
}

function writeHeader(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word
  bytes[at + 1] = word >>> 8
  bytes[at + 2] = word >>> 16
  bytes[at + 3] = word >>> 24
}

function readHeader(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}
