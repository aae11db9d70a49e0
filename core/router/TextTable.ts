/**
 * Texts as numbers: each distinct text has an id (0, 1, 2, ...) while anyone holds it. For tables of millions of filters and
 * levels: no object per text, nothing for the garbage collector to walk.
 *
 * Invariants
 *  - An id means one text until its last holder releases it; then it may be given to another text.
 *  - The hash is seeded ({@link hashText}).
 *  - Texts that come and go do not make it grow ({@link TextPages}), and a table of none is small.
 *  - Nothing that is done for one text takes longer because there are many.
 * A record is three 32-bit words; a text of code units below 256 takes a byte a unit, any other two.
 */
import { assert } from "../assert.ts"
import { IdTable } from "../collections/IdTable.ts"
import { PagedWords } from "../collections/PagedWords.ts"
import { beginHash, finish, hashMultiplier, hashText, mixUnit } from "./seeded-hash.ts"
import { type TextOwner, TextPages } from "./TextPages.ts"

const WORDS = 3
/** Of the text's first byte in {@link TextPages}. */
const POSITION = 0
/** Twice the length in code units, plus one where a unit takes two bytes. */
const SIZE = 1
/** How many hold the text; in a free record the complement of the next free id. */
const HOLDERS = 2

/** Arguments that `String.fromCharCode` is given at once. */
const UNITS_AT_ONCE = 4096

export class TextTable implements TextOwner {
  readonly #seed: number
  readonly #multiplier: number
  readonly #ids = new IdTable()
  readonly #records = new PagedWords()
  readonly #pages: TextPages
  #idEnd = 0
  #freeId = -1

  constructor(seed: number) {
    this.#seed = seed
    this.#multiplier = hashMultiplier(seed)
    this.#pages = new TextPages(this)
  }

  /** Texts that are held. */
  get count(): number {
    return this.#ids.count
  }

  /** Bytes of the table's buffers. */
  get sizeBytes(): number {
    return this.#ids.sizeBytes + this.#records.sizeBytes + this.#pages.sizeBytes
  }

  /** The id of `text[start, end)`; -1 where nobody holds it. */
  find(text: string, start: number, end: number): number {
    return this.#find(text, start, end, hashText(text, start, end, this.#seed, this.#multiplier))
  }

  /** The id of `text[start, end)`, held once more. */
  hold(text: string, start: number, end: number): number {
    const hash = hashText(text, start, end, this.#seed, this.#multiplier)
    const found = this.#find(text, start, end, hash)
    const id = found < 0 ? this.#insert(text, start, end, hash) : found
    this.#records.add(id * WORDS + HOLDERS, 1)
    return id
  }

  /** The id of `text[start, end)`, held by nobody but whoever asks this way: once, however often it is asked. */
  holdOnce(text: string, start: number, end: number): number {
    const hash = hashText(text, start, end, this.#seed, this.#multiplier)
    const found = this.#find(text, start, end, hash)
    if (found >= 0) return found
    const id = this.#insert(text, start, end, hash)
    this.#records.set(id * WORDS + HOLDERS, 1)
    return id
  }

  /** Takes back one {@link TextTable.hold}; true where it was the last and the id is free. */
  release(id: number): boolean {
    assert(this.isHeld(id), "a text is released by a holder")
    const records = this.#records
    if (records.add(id * WORDS + HOLDERS, -1) > 0) return false
    this.#ids.remove(this.#hashOf(id), id)
    this.#pages.release(records.get(id * WORDS + POSITION), this.byteLength(id))
    records.set(id * WORDS + HOLDERS, ~this.#freeId)
    this.#freeId = id
    if (this.count === 0) this.#reset()
    return true
  }

  /** Whether `id` is a held text's. */
  isHeld(id: number): boolean {
    return id >= 0 && id < this.#idEnd && this.#records.get(id * WORDS + HOLDERS) > 0
  }

  /** The text of a held id. */
  text(id: number): string {
    const length = this.length(id)
    let text = ""
    for (let index = 0; index < length; ) {
      const units: Array<number> = []
      for (const end = Math.min(length, index + UNITS_AT_ONCE); index < end; index++) units.push(this.unit(id, index))
      text += String.fromCharCode(...units)
    }
    return text
  }

  /** The code units of a held id's text. */
  length(id: number): number {
    return this.#records.get(id * WORDS + SIZE) >>> 1
  }

  /** The bytes that a held id's text takes. */
  byteLength(id: number): number {
    const size = this.#records.get(id * WORDS + SIZE)
    return (size & 1) === 0 ? size >>> 1 : size & ~1
  }

  /** For {@link TextPages}. */
  moved(id: number, position: number): void {
    this.#records.set(id * WORDS + POSITION, position)
  }

  /** A code unit of a held id's text; `index` is below its {@link TextTable.length}. */
  unit(id: number, index: number): number {
    const position = this.#records.get(id * WORDS + POSITION)
    const bytes = this.#pages.bytes(position)
    const offset = this.#pages.offset(position)
    const isWide = (this.#records.get(id * WORDS + SIZE) & 1) === 1
    return isWide ? wideUnit(bytes, offset + 2 * index) : bytes[offset + index]!
  }

  /** Whether the text of a held id is `text[start, end)`. */
  equals(id: number, text: string, start: number, end: number): boolean {
    const size = this.#records.get(id * WORDS + SIZE)
    const length = end - start
    if (size >>> 1 !== length) return false
    const position = this.#records.get(id * WORDS + POSITION)
    const bytes = this.#pages.bytes(position)
    const offset = this.#pages.offset(position)
    if ((size & 1) === 1) {
      for (let index = 0; index < length; index++) {
        if (wideUnit(bytes, offset + 2 * index) !== text.charCodeAt(start + index)) return false
      }
      return true
    }
    for (let index = 0; index < length; index++) {
      if (bytes[offset + index] !== text.charCodeAt(start + index)) return false
    }
    return true
  }

  /** Whether the text of a held id begins with `$`. */
  beginsWithDollar(id: number): boolean {
    return this.length(id) > 0 && this.unit(id, 0) === 0x24
  }

  #find(text: string, start: number, end: number, hash: number): number {
    const segment = this.#ids.segment(hash)
    const { words } = segment
    for (let slot = segment.first(hash); ; slot = segment.next(slot)) {
      const id = words[2 * slot + 1]! - 1
      if (id < 0) return -1
      if (words[2 * slot] === hash && this.equals(id, text, start, end)) return id
    }
  }

  #insert(text: string, start: number, end: number, hash: number): number {
    const records = this.#records
    const id = this.#freeId >= 0 ? this.#freeId : this.#idEnd
    if (id === this.#idEnd) {
      this.#idEnd += 1
      records.reserve(this.#idEnd * WORDS)
    } else this.#freeId = ~records.get(id * WORDS + HOLDERS)
    this.#store(id, text, start, end)
    records.set(id * WORDS + HOLDERS, 0)
    this.#ids.add(hash, id)
    return id
  }

  #store(id: number, text: string, start: number, end: number): void {
    let units = 0
    for (let index = start; index < end; index++) units |= text.charCodeAt(index)
    const isWide = units > 255
    const position = this.#pages.allocate(id, isWide ? 2 * (end - start) : end - start)
    const bytes = this.#pages.bytes(position)
    let next = this.#pages.offset(position)
    for (let index = start; index < end; index++) {
      const unit = text.charCodeAt(index)
      bytes[next++] = unit
      if (isWide) bytes[next++] = unit >>> 8
    }
    this.#records.set(id * WORDS + POSITION, position)
    this.#records.set(id * WORDS + SIZE, 2 * (end - start) + (isWide ? 1 : 0))
  }

  /** Nothing is held: gives up what was needed for more. */
  #reset(): void {
    this.#records.reset()
    this.#pages.reset()
    this.#idEnd = 0
    this.#freeId = -1
  }

  #hashOf(id: number): number {
    const length = this.length(id)
    let hash = beginHash(length, this.#seed)
    for (let index = 0; index < length; index++) hash = mixUnit(hash, this.unit(id, index), this.#multiplier)
    return finish(hash)
  }
}

function wideUnit(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8)
}
