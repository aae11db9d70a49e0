/**
 * Cuts a stream into packets, on demand: whoever reads may stop between two of them, and go on later.
 *
 * Source: MQTT 5.0 section 2.1.
 * Invariants
 *  - No more is held than what came and was not read, and one packet of {@link PacketReader.packetSizeMax} bytes at most is waited for.
 *  - Of a PUBLISH that is larger its beginning is told, so that it can be answered, and the rest is passed over as it comes. Any other
 *    packet of that size is a fault.
 *  - A packet lies at `bytes[start, end)` until the next call of `push`.
 */
import { hasRightFlags, PUBLISH } from "./packet-types.ts"
import { uint16At } from "./properties.ts"

const NO_BYTES = new Uint8Array(0)

/** What {@link PacketReader.next} found. */
export const FOUND = 1
export const NEED_MORE = 0
export const FAULTY = -1

export class PacketReader {
  /** Bytes of a whole packet. */
  readonly packetSizeMax: number
  /** Why no more can be read. */
  fault = ""
  bytes: Uint8Array = NO_BYTES
  firstByte = 0
  /** Behind the fixed header. */
  start = 0
  end = 0
  /** It is a PUBLISH that is too large: what lies there ends with its topic name and packet identifier. */
  isCut = false
  /** What was read and what came. */
  #position = 0
  #filled = 0
  /** `bytes` is our own and longer than what is in it. */
  #isOwn = false
  /** Bytes to come that nobody wants. */
  #unwanted = 0

  constructor(packetSizeMax: number) {
    this.packetSizeMax = packetSizeMax
  }

  /** Takes the next bytes of the stream, which nobody may change afterwards. */
  push(given: Uint8Array): void {
    const passed = Math.min(this.#unwanted, given.length)
    this.#unwanted -= passed
    if (passed === given.length) return
    const chunk = passed === 0 ? given : given.subarray(passed)
    const rest = this.#filled - this.#position
    if (rest === 0) {
      this.bytes = chunk
      this.#position = 0
      this.#filled = chunk.length
      this.#isOwn = false
      return
    }
    const needed = rest + chunk.length
    if (!this.#isOwn || this.#filled + chunk.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(rest * 2, this.packetSizeMax)))
      grown.set(this.bytes.subarray(this.#position, this.#filled))
      this.bytes = grown
      this.#position = 0
      this.#filled = rest
      this.#isOwn = true
    }
    this.bytes.set(chunk, this.#filled)
    this.#filled += chunk.length
  }

  /** The next packet, or {@link NEED_MORE}, or {@link FAULTY} once and for all. */
  next(): number {
    if (this.fault !== "") return FAULTY
    const { bytes } = this
    const filled = this.#filled
    let position = this.#position
    if (position === filled) return NEED_MORE
    const firstByte = bytes[position++] ?? 0
    if (!hasRightFlags(firstByte)) return this.#fail("flags that its packet type does not have")
    let remaining = 0
    for (let index = 0; ; index++) {
      if (index === 4) return this.#fail("a Remaining Length of more than four bytes")
      if (position === filled) return NEED_MORE
      const byte = bytes[position++] ?? 0
      remaining += (byte & 127) * 2 ** (7 * index)
      if (byte < 128) break
    }
    this.isCut = position - this.#position + remaining > this.packetSizeMax
    if (this.isCut) return this.#cut(firstByte, position, remaining)
    if (position + remaining > filled) return NEED_MORE
    this.firstByte = firstByte
    this.start = position
    this.end = position + remaining
    this.#position = this.end
    return FOUND
  }

  #cut(firstByte: number, start: number, remaining: number): number {
    if (firstByte >>> 4 !== PUBLISH) return this.#fail("a packet that is too large")
    const there = this.#filled - start
    const head = there < 2 ? 2 : 4 + uint16At(this.bytes, start)
    if (there < Math.min(head, remaining)) return NEED_MORE
    this.firstByte = firstByte
    this.start = start
    this.end = start + Math.min(head, remaining)
    this.#unwanted = Math.max(0, remaining - there)
    this.#position = start + Math.min(there, remaining)
    return FOUND
  }

  #fail(fault: string): number {
    this.fault = fault
    this.bytes = NO_BYTES
    this.#position = this.#filled = 0
    return FAULTY
  }
}
