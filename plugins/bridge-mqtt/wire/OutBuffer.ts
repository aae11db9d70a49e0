/**
 * Packets on their way to one side: written one behind the other, and handed on all at once.
 *
 * Source: MQTT 5.0 and 3.1.1, section 1.5 (data types).
 */

import { assert, GrowingBytes } from "../../../core/mod.ts"

const encoder = new TextEncoder()

export class OutBuffer extends GrowingBytes {
  /** Variable Byte Integer, 0 to 268,435,455. */
  variable(value: number): void {
    let rest = value
    while (rest > 127) {
      this.uint8((rest & 127) | 128)
      rest >>>= 7
    }
    this.uint8(rest)
  }

  /** Binary data or a string: two bytes of length, then the bytes. */
  block(source: Uint8Array): void {
    assert(source.length <= 65_535, "the length of a string fits its two bytes")
    this.uint16(source.length)
    this.raw(source)
  }

  string(text: string): void {
    this.block(encoder.encode(text))
  }

  /** A packet whose length is known when its `body` is written. */
  packet(firstByte: number, body: (out: OutBuffer) => void): void {
    const inner = new OutBuffer()
    body(inner)
    this.uint8(firstByte)
    this.variable(inner.length)
    this.raw(inner.bytes, 0, inner.length)
  }

  /** Everything, as a copy of its own; the buffer is empty then. */
  take(): Uint8Array {
    const taken = this.bytes.slice(0, this.length)
    this.reset()
    return taken
  }

  /** Takes the first `count` bytes away: what is behind them moves to the front. */
  dropFront(count: number): void {
    this.bytes.copyWithin(0, count, this.length)
    this.length -= count
    if (this.length === 0) this.reset()
  }
}

/** Bytes of a Variable Byte Integer. */
export function variableSize(value: number): number {
  if (value < 128) return 1
  if (value < 16_384) return 2
  return value < 2_097_152 ? 3 : 4
}
