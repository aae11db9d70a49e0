/**
 * What SUBSCRIBE and UNSUBSCRIBE have in common, and the one form of their answers, SUBACK and UNSUBACK.
 *
 * Source: MQTT 5.0, sections 3.8 to 3.11; MQTT 3.1.1, the same sections.
 */
import type { PacketCursor } from "./PacketCursor.ts"
import { PropertyEncoder } from "./PropertyEncoder.ts"
import type { ProtocolVersion } from "./packet-types.ts"
import { REASON_STRING } from "./property-table.ts"
import { writeTwoBytes } from "./property-writers.ts"
import { PROTOCOL_ERROR } from "./reason-codes.ts"
import { encode, size } from "./variable-byte-integer.ts"

const properties = new PropertyEncoder()

/**
 * Reads the Packet Identifier and, in version 5, the properties; a fault is left in the cursor. Identifier 0
 * [MQTT-2.2.1-3] and a payload without a filter [MQTT-3.8.3-2], [MQTT-3.10.3-2] are Protocol Errors.
 */
export function readRequestHeader(cursor: PacketCursor, packetType: number, version: ProtocolVersion): number {
  const packetIdentifier = cursor.readTwoBytes()
  if (packetIdentifier === 0) cursor.fail(PROTOCOL_ERROR)
  if (version === 5 && cursor.reasonCode === 0) cursor.readProperties(packetType)
  if (cursor.reasonCode === 0 && cursor.atEnd) cursor.fail(PROTOCOL_ERROR)
  return packetIdentifier
}

function fillProperties(reasonString: string | undefined): void {
  properties.begin()
  properties.string(REASON_STRING, reasonString)
}

/** Bytes of an answer with `codeCount` codes. */
export function answerSize(version: ProtocolVersion, codeCount: number, reasonString?: string): number {
  if (version === 5) fillProperties(reasonString)
  const remaining = 2 + (version === 5 ? properties.size : 0) + codeCount
  return 1 + size(remaining) + remaining
}

/** Writes an answer; returns the position after it. */
export function writeAnswer(
  target: Uint8Array,
  position: number,
  packetType: number,
  version: ProtocolVersion,
  packetIdentifier: number,
  codes: ReadonlyArray<number>,
  reasonString?: string
): number {
  if (version === 5) fillProperties(reasonString)
  target[position] = packetType << 4
  const remaining = 2 + (version === 5 ? properties.size : 0) + codes.length
  let next = encode(remaining, target, position + 1)
  next = writeTwoBytes(target, next, packetIdentifier)
  if (version === 5) next = properties.write(target, next)
  for (const code of codes) target[next++] = code
  return next
}
