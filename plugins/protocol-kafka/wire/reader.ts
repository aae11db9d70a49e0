/**
 * Reads the primitive types of the Kafka protocol from borrowed bytes, big-endian, bounds checked at every step.
 *
 * Invariants
 *  - Nothing is allocated by a size that the sender merely declares: sizes and counts are compared with the bytes left first.
 *  - Every fault of the input is a {@link MalformedMessage}; it is caught once, at the edge of the connection.
 *  - int64 is a number put together from two halves: exact within 2^53, the nearest double beyond it.
 *
 * Source: the Kafka protocol guide, "Protocol Primitive Types"; KIP-482 for the unsigned varint and the compact forms.
 */
import type { RecordsView } from "./schema.ts"

/** Array elements of one whole message: bounds what a small hostile message can grow into. */
export const ELEMENTS_MAX = 262_144
/** Bytes of a string, compact or not. */
export const STRING_SIZE_MAX = 32_767

/** The bytes are no message of this API and version. `cause` is a fixed word for the counter. */
export class MalformedMessage extends Error {
  override readonly name = "MalformedMessage"
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
const scratch = new DataView(new ArrayBuffer(8))
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

export class Reader {
  bytes: Uint8Array
  position: number
  end: number
  #elementsLeft: number

  /** Reads `bytes[start, end)`, which are borrowed: `bytes` and `records` values are views of them. `elementsMax`: of arrays, all together. */
  constructor(bytes: Uint8Array, start: number, end: number, elementsMax = ELEMENTS_MAX) {
    this.#elementsLeft = elementsMax
    this.bytes = bytes
    this.position = start
    this.end = end
  }

  /** Advances over `size` bytes and returns where they begin. */
  take(size: number): number {
    const start = this.position
    if (size > this.end - start) throw new MalformedMessage("the message ends too early")
    this.position = start + size
    return start
  }

  int8(): number {
    return ((this.bytes[this.take(1)] as number) << 24) >> 24
  }

  bool(): boolean {
    return this.bytes[this.take(1)] !== 0
  }

  int16(): number {
    return (this.uint16() << 16) >> 16
  }

  uint16(): number {
    const at = this.take(2)
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number)
  }

  int32(): number {
    const bytes = this.bytes
    const at = this.take(4)
    return (
      ((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)
    )
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  int64(): number {
    const high = this.int32()
    return high * 4_294_967_296 + this.uint32()
  }

  float64(): number {
    scratch.setInt32(0, this.int32())
    scratch.setInt32(4, this.int32())
    return scratch.getFloat64(0)
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.bytes[this.take(1)] as number
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
    const last = this.bytes[this.take(1)] as number
    if (last > 15) throw new MalformedMessage("a varint of more than 32 bits")
    return (value | (last << 28)) >>> 0
  }

  /** A UUID in its usual text form. */
  uuid(): string {
    const at = this.take(16)
    let text = ""
    for (let index = 0; index < 16; index++) {
      if (index === 4 || index === 6 || index === 8 || index === 10) text += "-"
      text += HEX[this.bytes[at + index] as number]
    }
    return text
  }

  /** The size that precedes a string; -1 = null. */
  stringSize(compact: boolean): number {
    const size = compact ? this.unsignedVarint() - 1 : this.int16()
    if (size < -1 || size > STRING_SIZE_MAX) throw new MalformedMessage("a string of impossible size")
    return size
  }

  /** The size that precedes bytes, records or an array; -1 = null. */
  size(compact: boolean): number {
    const size = compact ? this.unsignedVarint() - 1 : this.int32()
    if (size < -1) throw new MalformedMessage("a negative size")
    return size
  }

  /** UTF-8 text; what is not UTF-8 becomes U+FFFD, as in Apache Kafka. */
  text(size: number): string {
    const at = this.take(size)
    const text = utf8.decode(this.bytes.subarray(at, at + size))
    // Three bytes for one that is not UTF-8: what cannot be written again is no text of the protocol.
    if (3 * size > STRING_SIZE_MAX && Buffer.byteLength(text) > STRING_SIZE_MAX) {
      throw new MalformedMessage("a string of impossible size")
    }
    return text
  }

  bytesView(size: number): Uint8Array {
    const at = this.take(size)
    return this.bytes.subarray(at, at + size)
  }

  recordsView(size: number): RecordsView {
    const start = this.take(size)
    return { bytes: this.bytes, start, end: start + size }
  }

  /** Refuses an array of `count` elements of at least `elementSizeMin` bytes each that cannot be in what is left. */
  checkElements(count: number, elementSizeMin: number): void {
    this.#elementsLeft -= count
    if (count * elementSizeMin > this.end - this.position)
      throw new MalformedMessage("an array longer than its message")
    if (this.#elementsLeft < 0) throw new MalformedMessage("too many array elements in one message")
  }
}
