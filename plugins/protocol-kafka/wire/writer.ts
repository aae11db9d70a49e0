/**
 * Writes the primitive types of the Kafka protocol into one growing buffer, big-endian. A connection keeps one writer as its
 * output, so that a response is built where it is sent from.
 *
 * Invariants
 *  - `bytes[0, position)` is what was written; growing copies it once and at least doubles the room.
 *  - A value that has no place on the wire is a RangeError: our own fault, never the peer's.
 */
import { type RecordsSource, type RecordsView, UUID_ZERO } from "./schema.ts"

const utf8 = new TextEncoder()
const scratch = new DataView(new ArrayBuffer(8))
const TWO_TO_63 = 2 ** 63

export class Writer {
  bytes: Uint8Array
  position = 0

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity)
  }

  /** Makes room for `size` more bytes and returns where they begin; the caller advances nothing. */
  reserve(size: number): number {
    const start = this.position
    const needed = start + size
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.bytes.length))
      grown.set(this.bytes.subarray(0, start))
      this.bytes = grown
    }
    this.position = needed
    return start
  }

  int8(value: number): void {
    const at = this.reserve(1)
    this.bytes[at] = value
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0)
  }

  int16(value: number): void {
    const at = this.reserve(2)
    this.bytes[at] = value >> 8
    this.bytes[at + 1] = value
  }

  int32(value: number): void {
    this.setInt32(this.reserve(4), value)
  }

  /** Overwrites the four bytes at `at`, which were reserved before. */
  setInt32(at: number, value: number): void {
    const bytes = this.bytes
    bytes[at] = value >> 24
    bytes[at + 1] = value >> 16
    bytes[at + 2] = value >> 8
    bytes[at + 3] = value
  }

  /** An integral number; beyond the range of int64 its nearest end. */
  int64(value: number): void {
    if (value >= TWO_TO_63) {
      this.int32(0x7fff_ffff)
      this.int32(-1)
    } else if (value <= -TWO_TO_63) {
      this.int32(-0x8000_0000)
      this.int32(0)
    } else {
      this.int32(Math.floor(value / 4_294_967_296))
      this.int32(value)
    }
  }

  float64(value: number): void {
    scratch.setFloat64(0, value)
    this.int32(scratch.getInt32(0))
    this.int32(scratch.getInt32(4))
  }

  unsignedVarint(value: number): void {
    let rest = value
    while (rest > 127) {
      this.int8((rest & 127) | 128)
      rest >>>= 7
    }
    this.int8(rest)
  }

  uuid(text: string): void {
    const at = this.reserve(16)
    if (text === UUID_ZERO) {
      this.bytes.fill(0, at, at + 16)
      return
    }
    const decoded = Uint8Array.fromHex(text.replaceAll("-", ""))
    if (decoded.length !== 16) throw new RangeError(`not a UUID: ${text}`)
    this.bytes.set(decoded, at)
  }

  string(text: string, compact: boolean): void {
    const size = utf8Size(text)
    if (size > 32_767) throw new RangeError("a string of more than 32,767 bytes")
    if (compact) this.unsignedVarint(size + 1)
    else this.int16(size)
    const at = this.reserve(size)
    if (size === text.length) {
      for (let index = 0; index < size; index++) this.bytes[at + index] = text.charCodeAt(index)
    } else {
      utf8.encodeInto(text, this.bytes.subarray(at, at + size))
    }
  }

  /** The size or count that precedes bytes, records and arrays; -1 = null. */
  size(size: number, compact: boolean): void {
    if (compact) this.unsignedVarint(size + 1)
    else this.int32(size)
  }

  bytesSized(value: Uint8Array, compact: boolean): void {
    this.size(value.length, compact)
    // The room first: it may lie in a new buffer.
    const at = this.reserve(value.length)
    this.bytes.set(value, at)
  }

  recordsSized(source: RecordsSource, compact: boolean): void {
    if ("bytes" in source) {
      this.size(source.end - source.start, compact)
      this.view(source)
      return
    }
    let size = 0
    for (const view of source) size += view.end - view.start
    this.size(size, compact)
    for (const view of source) this.view(view)
  }

  /** Puts stored batches where the writer stands. */
  protected view(view: RecordsView): void {
    const at = this.reserve(view.end - view.start)
    this.bytes.set(view.bytes.subarray(view.start, view.end), at)
  }

  /** Writes the size of what stands from `start` on in front of it, as an unsigned varint. */
  insertSize(start: number): void {
    const size = this.position - start
    let width = 1
    for (let rest = size >>> 7; rest > 0; rest >>>= 7) width++
    this.reserve(width)
    this.bytes.copyWithin(start + width, start, start + size)
    const end = this.position
    this.position = start
    this.unsignedVarint(size)
    this.position = end
  }
}

/** Bytes of `text` in UTF-8; a lone surrogate counts as U+FFFD. */
function utf8Size(text: string): number {
  let size = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    if (unit < 0x800) size += 1
    else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(index + 1))) {
      size += 2
      index++
    } else size += 2
  }
  return size
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000
}
