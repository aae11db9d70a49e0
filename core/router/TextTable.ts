/**
 * Texts as numbers: each distinct text has an id (0, 1, 2, ...) while anyone holds it. For tables of millions of filters and
 * levels: no object per text, nothing for the garbage collector to walk.
 *
 * Invariants
 *  - An id means one text until its last holder releases it; then it may be given to another text.
 *  - At most half the slots are taken, so that a probe is short; the hash is seeded ({@link hashText}).
 *  - Bytes of released texts are won back once they are more than half of the store.
 * A record is four 32-bit words; a text of code units below 256 takes a byte a unit, any other two.
 */
import { assert } from "../assert.ts"
import { hashMultiplier, hashText } from "./seeded-hash.ts"

const WORDS = 4
const POSITION = 0
/** Twice the length in code units, plus one where a unit takes two bytes. */
const SIZE = 1
const HASH = 2
/** How many hold the text; in a free record the complement of the next free id. */
const HOLDERS = 3

const SLOTS_MIN = 16
const BYTES_MIN = 256
/** Released bytes below this are not worth a walk over all texts. */
const WASTE_BYTES_MIN = 65_536
const BYTES_MAX = 2 ** 31 - 1
/** Arguments that `String.fromCharCode` is given at once. */
const UNITS_AT_ONCE = 4096

export class TextTable {
  readonly #seed: number
  readonly #multiplier: number
  /** Open addressing; id + 1, 0 = empty. */
  #slots = new Int32Array(SLOTS_MIN)
  #records = new Int32Array((SLOTS_MIN / 2) * WORDS)
  #bytes = new Uint8Array(BYTES_MIN)
  #bytesEnd = 0
  #bytesWasted = 0
  #count = 0
  #idEnd = 0
  #freeId = -1

  constructor(seed = 0) {
    this.#seed = seed
    this.#multiplier = hashMultiplier(seed)
  }

  /** Texts that are held. */
  get count(): number {
    return this.#count
  }

  /** One past the largest id ever given. */
  get idEnd(): number {
    return this.#idEnd
  }

  /** Bytes of the table's buffers. */
  get sizeBytes(): number {
    return this.#slots.byteLength + this.#records.byteLength + this.#bytes.byteLength
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
    this.#records[id * WORDS + HOLDERS]! += 1
    return id
  }

  /** Takes back one {@link TextTable.hold}; true where it was the last and the id is free. */
  release(id: number): boolean {
    assert(this.isHeld(id), "a text is released by a holder")
    const record = id * WORDS
    const holders = this.#records[record + HOLDERS]! - 1
    this.#records[record + HOLDERS] = holders
    if (holders > 0) return false
    this.#unlink(id)
    const size = this.#records[record + SIZE]!
    this.#bytesWasted += (size & 1) === 0 ? size >>> 1 : size & ~1
    this.#records[record + HOLDERS] = ~this.#freeId
    this.#freeId = id
    this.#count -= 1
    if (this.#bytesWasted > WASTE_BYTES_MIN && this.#bytesWasted * 2 > this.#bytesEnd) this.#compact()
    return true
  }

  /** Whether `id` is a held text's. */
  isHeld(id: number): boolean {
    return id >= 0 && id < this.#idEnd && this.#records[id * WORDS + HOLDERS]! > 0
  }

  /** The text of a held id. */
  text(id: number): string {
    const position = this.#records[id * WORDS + POSITION]!
    const size = this.#records[id * WORDS + SIZE]!
    const isWide = (size & 1) === 1
    const length = size >>> 1
    let text = ""
    for (let index = 0; index < length; ) {
      const units: Array<number> = []
      for (const end = Math.min(length, index + UNITS_AT_ONCE); index < end; index++) {
        units.push(isWide ? this.#wideUnit(position, index) : this.#bytes[position + index]!)
      }
      text += String.fromCharCode(...units)
    }
    return text
  }

  /** The code units of a held id's text. */
  length(id: number): number {
    return this.#records[id * WORDS + SIZE]! >>> 1
  }

  /** A code unit of a held id's text; `index` is below its {@link TextTable.length}. */
  unit(id: number, index: number): number {
    const position = this.#records[id * WORDS + POSITION]!
    const isWide = (this.#records[id * WORDS + SIZE]! & 1) === 1
    return isWide ? this.#wideUnit(position, index) : this.#bytes[position + index]!
  }

  /** Whether the text of a held id is `text[start, end)`. */
  equals(id: number, text: string, start: number, end: number): boolean {
    const size = this.#records[id * WORDS + SIZE]!
    const length = end - start
    if (size >>> 1 !== length) return false
    const position = this.#records[id * WORDS + POSITION]!
    if ((size & 1) === 1) {
      for (let index = 0; index < length; index++) {
        if (this.#wideUnit(position, index) !== text.charCodeAt(start + index)) return false
      }
      return true
    }
    const bytes = this.#bytes
    for (let index = 0; index < length; index++) {
      if (bytes[position + index] !== text.charCodeAt(start + index)) return false
    }
    return true
  }

  /** Whether the text of a held id begins with `$`. */
  beginsWithDollar(id: number): boolean {
    return this.length(id) > 0 && this.unit(id, 0) === 0x24
  }

  #find(text: string, start: number, end: number, hash: number): number {
    const slots = this.#slots
    const records = this.#records
    const mask = slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot]! - 1
      if (id < 0) return -1
      if (records[id * WORDS + HASH] === hash && this.equals(id, text, start, end)) return id
    }
  }

  #wideUnit(position: number, index: number): number {
    return this.#bytes[position + 2 * index]! | (this.#bytes[position + 2 * index + 1]! << 8)
  }

  #insert(text: string, start: number, end: number, hash: number): number {
    if ((this.#count + 1) * 2 > this.#slots.length) this.#growSlots()
    const id = this.#freeId >= 0 ? this.#freeId : this.#idEnd
    if (id === this.#idEnd) {
      this.#idEnd += 1
      if (this.#idEnd * WORDS > this.#records.length) this.#records = grown(this.#records)
    } else this.#freeId = ~this.#records[id * WORDS + HOLDERS]!
    this.#store(id * WORDS, text, start, end)
    this.#records[id * WORDS + HASH] = hash
    this.#records[id * WORDS + HOLDERS] = 0
    this.#count += 1
    link(this.#slots, id, hash)
    return id
  }

  #store(record: number, text: string, start: number, end: number): void {
    let units = 0
    for (let index = start; index < end; index++) units |= text.charCodeAt(index)
    const isWide = units > 255
    const position = this.#bytesEnd
    this.#bytesEnd += isWide ? 2 * (end - start) : end - start
    if (this.#bytesEnd > this.#bytes.length) this.#growBytes(position)
    const bytes = this.#bytes
    let next = position
    for (let index = start; index < end; index++) {
      const unit = text.charCodeAt(index)
      bytes[next++] = unit
      if (isWide) bytes[next++] = unit >>> 8
    }
    this.#records[record + POSITION] = position
    this.#records[record + SIZE] = 2 * (end - start) + (isWide ? 1 : 0)
  }

  #growBytes(used: number): void {
    assert(this.#bytesEnd <= BYTES_MAX, "the texts of a table fit into 2 GiB")
    let capacity = this.#bytes.length
    while (capacity < this.#bytesEnd) capacity = grownLength(capacity)
    const bytes = new Uint8Array(Math.min(capacity, BYTES_MAX))
    bytes.set(this.#bytes.subarray(0, used))
    this.#bytes = bytes
  }

  #growSlots(): void {
    const slots = new Int32Array(this.#slots.length * 2)
    // By id, not by slot: records are read in turn, and only the writes miss the caches.
    for (let id = 0; id < this.#idEnd; id++) {
      if (this.#records[id * WORDS + HOLDERS]! > 0) link(slots, id, this.#records[id * WORDS + HASH]!)
    }
    this.#slots = slots
  }

  /** Takes `id` out of the slots and moves back what would stand behind a gap. */
  #unlink(id: number): void {
    const slots = this.#slots
    const records = this.#records
    const mask = slots.length - 1
    let gap = records[id * WORDS + HASH]! & mask
    while (slots[gap] !== id + 1) gap = (gap + 1) & mask
    for (let slot = (gap + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = records[(slots[slot]! - 1) * WORDS + HASH]! & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      slots[gap] = slots[slot]!
      gap = slot
    }
    slots[gap] = 0
  }

  #compact(): void {
    let capacity = BYTES_MIN
    while (capacity < (this.#bytesEnd - this.#bytesWasted) * 1.5) capacity *= 2
    const bytes = new Uint8Array(Math.min(capacity, BYTES_MAX))
    let end = 0
    for (let id = 0; id < this.#idEnd; id++) {
      if (!this.isHeld(id)) continue
      const record = id * WORDS
      const size = this.#records[record + SIZE]!
      const position = this.#records[record + POSITION]!
      const length = (size & 1) === 0 ? size >>> 1 : size & ~1
      for (let index = 0; index < length; index++) bytes[end + index] = this.#bytes[position + index]!
      this.#records[record + POSITION] = end
      end += length
    }
    this.#bytes = bytes
    this.#bytesEnd = end
    this.#bytesWasted = 0
  }
}

function link(slots: Int32Array, id: number, hash: number): void {
  const mask = slots.length - 1
  let slot = hash & mask
  while (slots[slot] !== 0) slot = (slot + 1) & mask
  slots[slot] = id + 1
}

/** Buffers grow twofold up to this size, in elements, and by a quarter beyond it: half of a large one is not to lie idle. */
const GROWTH_TWOFOLD_MAX = 65_536

/** How long the next buffer is, in elements: a multiple of 16. */
function grownLength(length: number): number {
  return length < GROWTH_TWOFOLD_MAX ? length * 2 : (length + (length >>> 2) + 15) & ~15
}

/** The words in a longer buffer. */
export function grown(words: Int32Array): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(grownLength(words.length))
  longer.set(words)
  return longer
}
