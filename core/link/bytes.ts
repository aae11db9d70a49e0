/** Growing writer and bounds-checked reader for frames between shards. Not for bytes from clients: a short frame is our own fault. */
import { assert } from "../assert.ts"
import { textOfBytes } from "../text-of-bytes.ts"
import { GrowingBytes } from "./GrowingBytes.ts"

const encoder = new TextEncoder()

export class ByteWriter extends GrowingBytes {
  /** A whole number from 0 to 2^53 - 1. */
  uint53(value: number): void {
    this.uint32(Math.floor(value / 4_294_967_296))
    this.uint32(value % 4_294_967_296)
  }

  /** A whole number from -2^53 + 1 to 2^53 - 1, as two's complement of 64 bits. */
  int64(value: number): void {
    this.uint32(Math.floor(value / 4_294_967_296))
    this.uint32(value)
  }

  /** Length and bytes. */
  block(source: Uint8Array, start = 0, end = source.length): void {
    this.uint32(end - start)
    this.raw(source, start, end)
  }

  text(value: string): void {
    this.block(encoder.encode(value))
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

  int64(): number {
    return (this.uint32() | 0) * 4_294_967_296 + this.uint32()
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
    return textOfBytes(this.bytes, start, this.position)
  }
}
