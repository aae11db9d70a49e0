/**
 * AUTH, decoded and written: the exchange of enhanced authentication, version 5 only.
 *
 * Source: MQTT 5.0, sections 3.15 and 4.12.
 */
import { PacketCursor } from "./PacketCursor.ts"
import { PropertyEncoder } from "./PropertyEncoder.ts"
import { AUTH } from "./packet-types.ts"
import { readUserProperties, type UserProperties } from "./properties.ts"
import * as Table from "./property-table.ts"
import { clientAuthAllowed, MALFORMED_PACKET, PROTOCOL_ERROR } from "./reason-codes.ts"
import { PROTOCOL_ERROR_REFUSAL, Refusal } from "./refusal.ts"
import { encode, size } from "./variable-byte-integer.ts"

export interface AuthPacket {
  readonly reasonCode: number
  readonly authenticationMethod: string
  readonly authenticationData?: Uint8Array
  readonly reasonString?: string
  readonly userProperties: UserProperties
}

const properties = new PropertyEncoder()

/**
 * Decodes an AUTH from a client: `bytes[start, end)` is what follows the fixed header, whose flags were checked. A
 * client sends 0x18 or 0x19 and always names the method: anything else, the empty short form (Success) among it, is a
 * Protocol Error (sections 3.15.2.1 and 3.15.2.2.2).
 */
export function decodeAuth(bytes: Uint8Array, start: number, end: number): AuthPacket | Refusal {
  if (start === end) return PROTOCOL_ERROR_REFUSAL
  const cursor = new PacketCursor(bytes, start, end)
  const reasonCode = cursor.readByte()
  if (!clientAuthAllowed(reasonCode)) cursor.fail(PROTOCOL_ERROR)
  if (cursor.reasonCode === 0) cursor.readProperties(AUTH)
  if (!cursor.atEnd) cursor.fail(MALFORMED_PACKET)
  if (cursor.reasonCode !== 0) return new Refusal(cursor.reasonCode)
  const view = cursor.properties
  const authenticationMethod = cursor.propertyString(view.authenticationMethodStart, view.authenticationMethodEnd)
  if (authenticationMethod === undefined) return PROTOCOL_ERROR_REFUSAL
  const authenticationData = cursor.propertyBinary(view.authenticationDataStart, view.authenticationDataEnd)
  const reasonString = cursor.propertyString(view.reasonStringStart, view.reasonStringEnd)
  return {
    reasonCode,
    authenticationMethod,
    ...(authenticationData !== undefined && { authenticationData }),
    ...(reasonString !== undefined && { reasonString }),
    userProperties: readUserProperties(bytes, cursor.propertiesStart, cursor.propertiesEnd, view)
  }
}

function fillProperties(packet: AuthPacket): void {
  properties.begin()
  properties.string(Table.AUTHENTICATION_METHOD, packet.authenticationMethod)
  properties.binary(Table.AUTHENTICATION_DATA, packet.authenticationData)
  properties.string(Table.REASON_STRING, packet.reasonString)
  properties.userProperties(packet.userProperties)
}

/** Bytes that {@link writeAuth} writes. */
export function authSize(packet: AuthPacket): number {
  fillProperties(packet)
  const remaining = 1 + properties.size
  return 1 + size(remaining) + remaining
}

/** Writes at `position` (there must be room); returns the position after it. */
export function writeAuth(target: Uint8Array, position: number, packet: AuthPacket): number {
  fillProperties(packet)
  target[position] = AUTH << 4
  const next = encode(1 + properties.size, target, position + 1)
  target[next] = packet.reasonCode
  return properties.write(target, next + 1)
}
