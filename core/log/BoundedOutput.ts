/**
 * The output of a decompressor: grows by doubling as bytes really arrive, never past its bound.
 *
 * Invariant: `length <= bytes.length <= sizeMax`; a size that the input declares allocates nothing.
 */

/** The first allocation, bytes. */
const FIRST_SIZE_MIN = 1024

export class BoundedOutput {
  /** The bytes written so far are `bytes[0, length)`. Replaced when it grows. */
  bytes: Uint8Array
  length = 0
  private readonly sizeMax: number

  /** `sizeExpected` is a guess taken from the size of the input, not from what the input says. */
  constructor(sizeExpected: number, sizeMax: number) {
    this.sizeMax = sizeMax
    this.bytes = new Uint8Array(Math.min(Math.max(sizeExpected, FIRST_SIZE_MIN), sizeMax))
  }

  /** Makes room for `size` more bytes; false where that would pass the bound. */
  reserve(size: number): boolean {
    const needed = this.length + size
    if (needed <= this.bytes.length) return true
    if (needed > this.sizeMax) return false
    const grown = new Uint8Array(Math.min(Math.max(this.bytes.length * 2, needed), this.sizeMax))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    return true
  }

  /** Appends `source[start, end)`; false where that would pass the bound. */
  append(source: Uint8Array, start: number, end: number): boolean {
    if (!this.reserve(end - start)) return false
    if (end - start > 32) this.bytes.set(source.subarray(start, end), this.length)
    else for (let from = start, to = this.length; from < end; ) this.bytes[to++] = source[from++]!
    this.length += end - start
    return true
  }

  /**
   * Appends `size` bytes that begin `distance` before the end; they may reach into what is being appended (a run).
   * `distance` must be 1 to `length`. False where it would pass the bound.
   */
  repeat(distance: number, size: number): boolean {
    if (!this.reserve(size)) return false
    const bytes = this.bytes
    const from = this.length - distance
    const end = this.length + size
    let to = this.length
    if (size <= 32) for (let source = from; to < end; ) bytes[to++] = bytes[source++]!
    // Each round copies all there is since `from`, so a long run takes few rounds.
    while (to < end) {
      const chunk = Math.min(to - from, end - to)
      bytes.copyWithin(to, from, from + chunk)
      to += chunk
    }
    this.length = end
    return true
  }

  /** What was written: a view, not a copy. */
  finish(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }
}
