/** Bytes written one behind the other into a buffer that grows: what all our writers of whole frames begin with. Big-endian. */
import { copyBytes } from "../copy-bytes.ts"

const FIRST_BYTES = 256
/** What is kept of a buffer that has been emptied, bytes. */
const KEPT_BYTES = 1_048_576

/** One buffer that grows by doubling. It is the writer's own: who keeps what was written copies it. */
export class GrowingBytes {
  bytes = new Uint8Array(FIRST_BYTES)
  /** Bytes written so far; what lies behind them says nothing. */
  length = 0

  /** Empties it for the next frame; a buffer of more than 1 MiB is let go. */
  reset(): void {
    this.length = 0
    if (this.bytes.length > KEPT_BYTES) this.bytes = new Uint8Array(FIRST_BYTES)
  }

  /** Room for `count` bytes; returns their position. `bytes` may be another buffer afterwards. */
  protected reserve(count: number): number {
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
    const at = this.reserve(1)
    this.bytes[at] = value
  }

  uint16(value: number): void {
    const at = this.reserve(2)
    this.bytes[at] = value >>> 8
    this.bytes[at + 1] = value
  }

  uint32(value: number): void {
    const at = this.reserve(4)
    this.setUint32(at, value)
  }

  /** Over what stands at `at`. */
  setUint32(at: number, value: number): void {
    this.bytes[at] = value >>> 24
    this.bytes[at + 1] = value >>> 16
    this.bytes[at + 2] = value >>> 8
    this.bytes[at + 3] = value
  }

  /** Bytes as they are, copied, without a length. */
  raw(source: Uint8Array, start = 0, end = source.length): void {
    const at = this.reserve(end - start)
    copyBytes(source, start, end, this.bytes, at)
  }
}
