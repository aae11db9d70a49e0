/**
 * DISCONNECT, decoded and written; PINGREQ and PINGRESP.
 *
 * Source: MQTT 5.0, sections 3.12 to 3.14; MQTT 3.1.1, the same sections (there only the client sends DISCONNECT, and
 * it has no body).
 */
import { PacketCursor } from "./PacketCursor.ts"
import { PropertyEncoder } from "./PropertyEncoder.ts"
import { DISCONNECT, PINGRESP, type ProtocolVersion } from "./packet-types.ts"
import { ABSENT, readUserProperties, type UserProperties } from "./properties.ts"
import * as Table from "./property-table.ts"
import { clientDisconnectAllowed, MALFORMED_PACKET, PROTOCOL_ERROR } from "./reason-codes.ts"
import { MALFORMED_REFUSAL, Refusal } from "./refusal.ts"
import { encode, size } from "./variable-byte-integer.ts"

/** Bytes that {@link writePingresp} writes. */
export const PINGRESP_SIZE = 2

export interface DisconnectPacket {
  readonly reasonCode: number
  /** Seconds, or -1 where absent. */
  readonly sessionExpiryInterval: number
  readonly reasonString?: string
  readonly userProperties: UserProperties
}

export interface DisconnectOptions {
  readonly reasonString?: string
  readonly serverReference?: string
  readonly userProperties?: UserProperties
}

const properties = new PropertyEncoder()
const NORMAL_DISCONNECTION: DisconnectPacket = { reasonCode: 0, sessionExpiryInterval: ABSENT, userProperties: [] }

/**
 * Decodes a DISCONNECT from a client: `bytes[start, end)` is what follows the fixed header, whose flags were checked.
 * A Reason Code that only a server sends and a Server Reference are Protocol Errors; whether the Session Expiry
 * Interval may rise from 0 is for the session to say [MQTT-3.14.2-2].
 */
export function decodeDisconnect(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion
): DisconnectPacket | Refusal {
  if (start === end) return NORMAL_DISCONNECTION
  if (version !== 5) return MALFORMED_REFUSAL
  const cursor = new PacketCursor(bytes, start, end)
  const reasonCode = cursor.readByte()
  if (!clientDisconnectAllowed(reasonCode)) cursor.fail(PROTOCOL_ERROR)
  // Section 3.14.2.2.1: a Remaining Length below 2 means no properties.
  if (cursor.reasonCode === 0 && !cursor.atEnd) cursor.readProperties(DISCONNECT)
  if (!cursor.atEnd) cursor.fail(MALFORMED_PACKET)
  const view = cursor.properties
  if (view.serverReferenceStart !== ABSENT) cursor.fail(PROTOCOL_ERROR)
  if (cursor.reasonCode !== 0) return new Refusal(cursor.reasonCode)
  const reasonString = cursor.propertyString(view.reasonStringStart, view.reasonStringEnd)
  return {
    reasonCode,
    sessionExpiryInterval: view.sessionExpiryInterval,
    ...(reasonString !== undefined && { reasonString }),
    userProperties: readUserProperties(bytes, cursor.propertiesStart, cursor.propertiesEnd, view)
  }
}

function fillProperties(options: DisconnectOptions | undefined): void {
  properties.begin()
  properties.string(Table.REASON_STRING, options?.reasonString)
  properties.userProperties(options?.userProperties)
  properties.string(Table.SERVER_REFERENCE, options?.serverReference)
}

/** Remaining Length with the properties filled in: the shortest form that says it all. */
function remainingLength(reasonCode: number): number {
  if (!properties.isEmpty) return 1 + properties.size
  return reasonCode === 0 ? 0 : 1
}

/** Bytes that {@link writeDisconnect} writes. */
export function disconnectSize(reasonCode: number, options?: DisconnectOptions): number {
  fillProperties(options)
  const remaining = remainingLength(reasonCode)
  return 1 + size(remaining) + remaining
}

/**
 * Writes a DISCONNECT at `position` (there must be room); returns the position after it. Version 5 only: before, a
 * server has none to send.
 */
export function writeDisconnect(
  target: Uint8Array,
  position: number,
  reasonCode: number,
  options?: DisconnectOptions
): number {
  fillProperties(options)
  const remaining = remainingLength(reasonCode)
  target[position] = DISCONNECT << 4
  const next = encode(remaining, target, position + 1)
  if (remaining === 0) return next
  target[next] = reasonCode
  return remaining === 1 ? next + 1 : properties.write(target, next + 1)
}

/** A PINGRESP; not to be changed. */
export const PINGRESP_FRAME = Uint8Array.of(PINGRESP << 4, 0)

/** Writes a PINGRESP at `position`; returns the position after it. */
export function writePingresp(target: Uint8Array, position: number): number {
  target[position] = PINGRESP << 4
  target[position + 1] = 0
  return position + PINGRESP_SIZE
}

/** 0, or 0x81 where the PINGREQ with the body [start, end) has one. */
export function checkPingreq(start: number, end: number): number {
  return start === end ? 0 : MALFORMED_PACKET
}
