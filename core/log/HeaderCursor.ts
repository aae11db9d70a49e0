/**
 * Reads the headers of one record without allocating: after each `next()` the fields say where name and value lie.
 *
 * Source: Kafka, "Message Format" (Record Header).
 * Invariants
 *  - No bytes make it throw, loop or read outside the region: it ends, and `refusal` says why.
 *  - The headers fill the region exactly; what is left over after the last one is refused.
 */
import { RECORD_HEADER } from "./refusals.ts"
import { decoded, readVarint } from "./varint.ts"

const NO_BYTES = new Uint8Array(0)

export class HeaderCursor {
  /** The buffer that all positions below point into; borrowed until the next `reset`. */
  bytes: Uint8Array = NO_BYTES
  /** 0, or why reading stopped before the last header. */
  refusal = 0
  /** The name is `bytes[nameStart, nameEnd)`, UTF-8 by convention, unchecked. */
  nameStart = 0
  nameEnd = 0
  /** The value is `bytes[valueStart, valueEnd)`; `valueStart` -1 = null. */
  valueStart = -1
  valueEnd = -1

  private position = 0
  private end = 0
  private left = 0

  /** Stands before the first of `count` headers in `bytes[start, end)`: a `RecordCursor`'s headers region. */
  reset(bytes: Uint8Array, start: number, end: number, count: number): void {
    this.bytes = bytes
    this.position = start
    this.end = end
    this.left = count
    this.refusal = 0
  }

  /** Steps to the next header; false after the last one or where the bytes are bad (then `refusal` is not 0). */
  next(): boolean {
    if (this.refusal !== 0) return false
    const end = this.end
    if (this.left <= 0) {
      if (this.position !== end) this.refusal = RECORD_HEADER
      return false
    }
    let position = readVarint(this.bytes, this.position, end)
    if (position < 0 || decoded.value < 0 || decoded.value > end - position) return this.stop()
    this.nameStart = position
    this.nameEnd = position += decoded.value
    position = readVarint(this.bytes, position, end)
    if (position < 0 || decoded.value < -1 || decoded.value > end - position) return this.stop()
    if (decoded.value < 0) this.valueStart = this.valueEnd = -1
    else {
      this.valueStart = position
      this.valueEnd = position += decoded.value
    }
    this.position = position
    this.left--
    return true
  }

  private stop(): false {
    this.refusal = RECORD_HEADER
    return false
  }
}
