/**
 * The beginning of a packet, gathered from chunks of a stream until the whole of it is there.
 *
 * Invariant: its buffer grows with the bytes that came, never with the length that the header declares.
 */
import { copyBytes } from "../../../core/log/mod.ts"

const CAPACITY_MIN = 64

export class PartialPacket {
  /** `bytes[0, length)` has come; the packet's own memory. */
  bytes: Uint8Array
  length: number
  /** Bytes of the whole packet; 0 until its header is complete. */
  total: number

  /** Begins with all of `chunk` from `from` on. */
  constructor(chunk: Uint8Array, from: number, total: number) {
    this.length = chunk.length - from
    this.total = total
    this.bytes = new Uint8Array(capacityFor(this.length, total))
    copyBytes(chunk, from, chunk.length, this.bytes, 0)
  }

  get isWhole(): boolean {
    return this.total !== 0 && this.length >= this.total
  }

  append(chunk: Uint8Array, from: number, to: number): void {
    const length = this.length + to - from
    if (length > this.bytes.length) {
      const grown = new Uint8Array(capacityFor(length, this.total))
      copyBytes(this.bytes, 0, this.length, grown, 0)
      this.bytes = grown
    }
    copyBytes(chunk, from, to, this.bytes, this.length)
    this.length = length
  }
}

/** Twice what came, so that a slow packet costs linear time, but no more than the packet needs. */
function capacityFor(length: number, total: number): number {
  const capacity = Math.max(length * 2, CAPACITY_MIN)
  return total === 0 ? capacity : Math.min(capacity, total)
}
