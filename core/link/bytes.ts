/** Growing writer and bounds-checked reader for frames between shards. Not for bytes from clients: a short frame is our own fault. */
import { assert } from "../assert.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Appends to one buffer that grows by doubling; {@link ByteWriter.reset} keeps up to 1 MiB of it for the next frame. */
export class ByteWriter {
  bytes = new Uint8Array(256)
  length = 0

  reset(): void {
    this.length = 0
    if (this.bytes.length > 1_048_576) this.bytes = new Uint8Array(256)
  }

  #reserve(count: number): number {
    const start = this.length
    const needed = start + count
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
      grown.set(this.bytes.subarray(0, start))
      this.bytes = grown
    }
    this.length = needed
    return start
  }

  uint8(value: number): void {
    // The place first: making room may put another buffer in `bytes`.
    const at = this.#reserve(1)
    this.bytes[at] = value
  }

  uint32(value: number): void {
    const at = this.#reserve(4)
    this.setUint32(at, value)
  }

  setUint32(at: number, value: number): void {
    this.bytes[at] = value >>> 24
    this.bytes[at + 1] = value >>> 16
    this.bytes[at + 2] = value >>> 8
    this.bytes[at + 3] = value
  }

  /** A whole number from 0 to 2^53 - 1. */
  uint53(value: number): void {
    this.uint32(Math.floor(value / 4_294_967_296))
    this.uint32(value % 4_294_967_296)
  }

  /** Raw bytes, copied, without a length. */
  raw(source: Uint8Array, start: number, end: number): void {
    const at = this.#reserve(end - start)
    this.bytes.set(source.subarray(start, end), at)
  }

  /** Length and bytes. */
  block(source: Uint8Array, start: number, end: number): void {
    this.uint32(end - start)
    this.raw(source, start, end)
  }

  text(value: string): void {
    const bytes = encoder.encode(value)
    this.block(bytes, 0, bytes.length)
  }
}

/** Reads what {@link ByteWriter} wrote. */
export class ByteReader {
  bytes: Uint8Array = new Uint8Array(0)
  position = 0
  end = 0

  reset(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes
    this.position = start
    this.end = end
    return this
  }

  #take(count: number): number {
    const at = this.position
    assert(at + count <= this.end, "a frame between shards is complete")
    this.position = at + count
    return at
  }

  uint8(): number {
    return this.bytes[this.#take(1)] ?? 0
  }

  uint32(): number {
    const at = this.#take(4)
    const bytes = this.bytes
    return (
      (bytes[at] ?? 0) * 16_777_216 +
      (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
    )
  }

  uint53(): number {
    return this.uint32() * 4_294_967_296 + this.uint32()
  }

  /** Start of a length-prefixed block; its end is {@link ByteReader.position} afterwards. */
  blockStart(): number {
    const length = this.uint32()
    return this.#take(length)
  }

  blockCopy(): Uint8Array {
    const start = this.blockStart()
    return this.bytes.slice(start, this.position)
  }

  text(): string {
    const start = this.blockStart()
    return decoder.decode(this.bytes.subarray(start, this.position))
  }
}
