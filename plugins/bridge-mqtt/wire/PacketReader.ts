/**
 * Cuts a stream into packets, on demand: whoever reads may stop between two of them, and go on later.
 *
 * Source: MQTT 5.0 section 2.1.
 * Invariants
 *  - No more is held than what came and was not read, and one packet of {@link PacketReader.packetSizeMax} bytes at most is waited for.
 *  - A packet lies at `bytes[start, end)` until the next call of `push`.
 */
import { hasRightFlags } from "./packet-types.ts"

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
  /** What was read and what came. */
  #position = 0
  #filled = 0
  /** `bytes` is our own and longer than what is in it. */
  #isOwn = false

  constructor(packetSizeMax: number) {
    this.packetSizeMax = packetSizeMax
  }

  /** Takes the next bytes of the stream, which nobody may change afterwards. */
  push(chunk: Uint8Array): void {
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
    if (position - this.#position + remaining > this.packetSizeMax) return this.#fail("a packet that is too large")
    if (position + remaining > filled) return NEED_MORE
    this.firstByte = firstByte
    this.start = position
    this.end = position + remaining
    this.#position = this.end
    return FOUND
  }

  #fail(fault: string): number {
    this.fault = fault
    this.bytes = NO_BYTES
    this.#position = this.#filled = 0
    return FAULTY
  }
}
