/**
 * Reads a segment's entries front to back, in chunks. What it does not take for a whole entry it never skips by itself.
 *
 * Invariant: the bytes and fields of the current entry hold until the next call.
 */
import type { OpenFile } from "../platform/Files.ts"
import {
  type Checksum,
  checkEntry,
  ENTRY_BYTES_MAX,
  ENTRY_HEADER_BYTES,
  type EntryFields,
  hasMark,
  lengthOfEntry,
  MARK_AT,
  MARK_BYTES
} from "./entry-format.ts"
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts"

/** Bytes that are asked of a file at a time. */
const CHUNK_BYTES = 262_144

/** The entry at {@link SegmentReader.position} is whole: see the fields. */
export const ENTRY_WHOLE = 1
/** One begins there and is not whole: see {@link SegmentReader.fault}. */
export const ENTRY_BROKEN = 2
/** None begins there: zeros, what the file held before, or its end. */
export const ENTRY_NONE = 3

export class SegmentReader implements EntryFields {
  length = 0
  index = 0
  previous = 0
  synced = 0
  operations = 0
  /** What is wrong with the current entry, for a person. */
  fault = ""
  /** Where the current entry begins, or should. */
  position = SEGMENT_HEADER_BYTES
  /** Bytes of the file when it was opened. */
  readonly size: number
  bytes = new Uint8Array(CHUNK_BYTES)
  /** Where the current entry begins in `bytes`. */
  start = 0
  readonly #file: OpenFile
  readonly #mark: Uint8Array
  readonly #checksum: Checksum
  /** Where `bytes` begins in the file, and how many it holds. */
  #from = 0
  #held = 0

  constructor(file: OpenFile, mark: Uint8Array, checksum: Checksum) {
    this.#file = file
    this.#mark = mark
    this.#checksum = checksum
    this.size = file.sizeUnsafe()
  }

  /** Looks at what stands at `position`, and makes it the current entry. */
  at(position: number): number {
    this.position = position
    if (!this.#hold(position, MARK_AT + MARK_BYTES) || !hasMark(this.bytes, this.start, this.#mark)) return ENTRY_NONE
    if (!this.#hold(position, ENTRY_HEADER_BYTES)) {
      this.fault = "the file ends in its header"
      return ENTRY_BROKEN
    }
    const length = lengthOfEntry(this.bytes, this.start)
    if (length < ENTRY_HEADER_BYTES || length > ENTRY_BYTES_MAX) {
      this.fault = `its length cannot be ${length}`
      return ENTRY_BROKEN
    }
    if (!this.#hold(position, length)) {
      this.fault = `its length is ${length}, and the file ends before`
      return ENTRY_BROKEN
    }
    this.fault = checkEntry(this.bytes, this.start, this.start + length, this.#checksum, this)
    return this.fault === "" ? ENTRY_WHOLE : ENTRY_BROKEN
  }

  /** Bytes that the header of the current entry, broken or not, says it has; 0 where the header is not there. */
  get claimedLength(): number {
    return this.#hold(this.position, ENTRY_HEADER_BYTES)
      ? lengthOfEntry(this.bytes, this.start)
      : this.size - this.position
  }

  /** Looks at what stands behind the current entry, which was whole. */
  next(): number {
    return this.at(this.position + this.length)
  }

  /** Goes to the first whole entry at or behind `position`; false where there is none. */
  seek(position: number): boolean {
    const [first = 0] = this.#mark
    let at = position
    while (this.#hold(at, MARK_AT + MARK_BYTES)) {
      const offset = this.bytes.subarray(0, this.#held).indexOf(first, this.start + MARK_AT)
      if (offset < 0) {
        at = this.#from + this.#held - MARK_AT
        continue
      }
      at = this.#from + offset - MARK_AT
      if (!this.#hold(at, MARK_AT + MARK_BYTES)) return false
      if (hasMark(this.bytes, this.start, this.#mark) && this.at(at) === ENTRY_WHOLE) return true
      at += 1
    }
    return false
  }

  /** Makes `count` bytes from `position` on stand in `bytes`, from `start` on; false where the file ends before. */
  #hold(position: number, count: number): boolean {
    if (position + count > this.size) return false
    if (position < this.#from || position + count > this.#from + this.#held) {
      if (count > this.bytes.length) this.bytes = new Uint8Array(Math.max(count, CHUNK_BYTES))
      this.#from = position
      this.#held = this.#file.readUnsafe(this.bytes, 0, Math.min(this.bytes.length, this.size - position), position)
    }
    this.start = position - this.#from
    return position + count <= this.#from + this.#held
  }
}
