/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP: four packets of one form.
 *
 * Source: MQTT 5.0, sections 3.4 to 3.7; MQTT 3.1.1, the same sections.
 * Invariants: nothing is allocated; what we send has no property but a Reason String, and carries a Reason Code only where it is not 0.
 */
import { type ProtocolVersion, PUBREL } from "./packet-types.ts"
import { PropertyView, readTwoBytes, scanProperties } from "./properties.ts"
import { REASON_STRING } from "./property-table.ts"
import { writeTwoBytes } from "./property-writers.ts"
import { MALFORMED_PACKET, PROTOCOL_ERROR, reasonCodeAllowed } from "./reason-codes.ts"
import { decode, encode, size } from "./variable-byte-integer.ts"

/** Bytes that {@link writeAcknowledgement} writes. */
export const ACKNOWLEDGEMENT_SIZE = 4
/** Bytes that {@link writeAcknowledgementWithReason} writes. */
export const ACKNOWLEDGEMENT_WITH_REASON_SIZE = 5

/** What {@link scanAcknowledgement} found; reused. */
export class AcknowledgementView {
  packetIdentifier = 0
  /** 0 before version 5, and where the packet leaves it out. */
  reasonCode = 0
}

/** Reason String and User Properties are checked, then not used: a server has nobody to tell them to. */
const properties = new PropertyView()

/**
 * Scans one acknowledgement: `packetType` 4 to 7, `bytes[start, end)` what follows the fixed header. Returns 0, or
 * 0x81 for a wrong length or bad properties, or 0x82 for Packet Identifier 0 or a Reason Code of another packet.
 */
export function scanAcknowledgement(
  bytes: Uint8Array,
  packetType: number,
  start: number,
  end: number,
  version: ProtocolVersion,
  view: AcknowledgementView
): number {
  const length = end - start
  if (length < 2 || (length > 2 && version !== 5)) return MALFORMED_PACKET
  view.packetIdentifier = readTwoBytes(bytes, start)
  view.reasonCode = 0
  if (view.packetIdentifier === 0) return PROTOCOL_ERROR
  if (length === 2) return 0
  const reasonCode = bytes[start + 2] as number
  if (!reasonCodeAllowed(packetType, reasonCode)) return PROTOCOL_ERROR
  view.reasonCode = reasonCode
  if (length === 3) return 0
  const propertiesLength = decode(bytes, start + 3, end)
  if (propertiesLength < 0) return MALFORMED_PACKET
  const propertiesStart = start + 3 + size(propertiesLength)
  if (propertiesStart + propertiesLength !== end) return MALFORMED_PACKET
  return propertiesLength === 0 ? 0 : scanProperties(bytes, propertiesStart, end, packetType, properties)
}

function acknowledgementFirstByte(packetType: number): number {
  return (packetType << 4) | (packetType === PUBREL ? 2 : 0)
}

/** Writes the four-byte form (every version, Reason Code 0 implied); returns the position after it. */
export function writeAcknowledgement(
  target: Uint8Array,
  position: number,
  packetType: number,
  packetIdentifier: number
): number {
  target[position] = acknowledgementFirstByte(packetType)
  target[position + 1] = 2
  return writeTwoBytes(target, position + 2, packetIdentifier)
}

/** Bytes that {@link writeAcknowledgementWithString} writes for a text of `length` bytes, 65,535 at most. */
export function acknowledgementWithStringSize(length: number): number {
  const properties = 3 + length
  const remaining = 3 + size(properties) + properties
  return 1 + size(remaining) + remaining
}

/** Writes the form of version 5 with a Reason String, UTF-8; returns the position after it. */
export function writeAcknowledgementWithString(
  target: Uint8Array,
  position: number,
  packetType: number,
  packetIdentifier: number,
  reasonCode: number,
  text: Uint8Array
): number {
  const properties = 3 + text.length
  target[position] = acknowledgementFirstByte(packetType)
  let next = encode(3 + size(properties) + properties, target, position + 1)
  next = writeTwoBytes(target, next, packetIdentifier)
  target[next] = reasonCode
  next = encode(properties, target, next + 1)
  target[next] = REASON_STRING
  next = writeTwoBytes(target, next + 1, text.length)
  target.set(text, next)
  return next + text.length
}

/** Writes the five-byte form of version 5; returns the position after it. */
export function writeAcknowledgementWithReason(
  target: Uint8Array,
  position: number,
  packetType: number,
  packetIdentifier: number,
  reasonCode: number
): number {
  target[position] = acknowledgementFirstByte(packetType)
  target[position + 1] = 3
  const next = writeTwoBytes(target, position + 2, packetIdentifier)
  target[next] = reasonCode
  return next + 1
}
