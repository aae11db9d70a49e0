/**
 * What the tests of this folder share: hex, frames, and mqtt-packet as the oracle.
 *
 * Not part of the product: only files named *.test.ts and *.fuzz.ts import it.
 */
import { generate, type Packet, parser } from "mqtt-packet"
import type { ProtocolVersion } from "./packet-types.ts"
import { decode, size } from "./variable-byte-integer.ts"

const encoder = new TextEncoder()

/** Bytes from hex digits; blanks are for the reader. */
export function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(" ", ""), "hex"))
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex")
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** One whole packet, taken apart at its fixed header. */
export interface Frame {
  readonly bytes: Uint8Array
  readonly firstByte: number
  readonly start: number
  readonly end: number
}

export function frameOf(bytes: Uint8Array): Frame {
  const remaining = decode(bytes, 1)
  const start = 1 + size(remaining)
  if (remaining < 0 || start + remaining !== bytes.length) throw new Error(`no whole packet: ${hexOf(bytes)}`)
  return { bytes, firstByte: bytes[0] ?? 0, start, end: bytes.length }
}

/** The same frame in the middle of other bytes, which nobody may read as part of it. */
export function embed(frame: Frame, before = 3, after = 5): Frame {
  const bytes = new Uint8Array(before + frame.bytes.length + after).fill(0xff)
  bytes.set(frame.bytes, before)
  return { bytes, firstByte: frame.firstByte, start: frame.start + before, end: frame.end + before }
}

/** What mqtt-packet makes of a packet. */
export function oracleEncode(packet: Packet, version: ProtocolVersion): Uint8Array {
  return new Uint8Array(generate(packet, { protocolVersion: version }))
}

/** What mqtt-packet reads; undefined where it finds a fault or no whole packet. */
export function oracleDecode(bytes: Uint8Array, version: ProtocolVersion): Packet | undefined {
  const found: Array<Packet> = []
  let faulty = false
  const oracle = parser({ protocolVersion: version })
  oracle.on("packet", (packet) => found.push(packet))
  oracle.on("error", () => {
    faulty = true
  })
  oracle.parse(Buffer.from(bytes))
  return faulty || found.length !== 1 ? undefined : found[0]
}
