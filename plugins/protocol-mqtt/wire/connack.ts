/**
 * CONNACK, written.
 *
 * Source: MQTT 5.0, section 3.2; MQTT 3.1.1, section 3.2.
 * Invariant: Session Present is 0 with any code but 0 [MQTT-3.2.2-6]; MQTT 3.1 has no such flag and gets 0.
 */
import { PropertyEncoder } from "./PropertyEncoder.ts"
import { CONNACK, type ProtocolVersion } from "./packet-types.ts"
import type { UserProperties } from "./properties.ts"
import * as Table from "./property-table.ts"
import { encode, size } from "./variable-byte-integer.ts"

/** A property that is absent is left out. Before version 5 all of them are. */
export interface ConnackPacket {
  readonly sessionPresent: boolean
  /** Version 5: Reason Code; before: return code 0 to 5. */
  readonly reasonCode: number
  /** Seconds. */
  readonly sessionExpiryInterval?: number
  readonly receiveMaximum?: number
  /** There is no property for 2: leave it out. */
  readonly maximumQos?: 0 | 1
  readonly retainAvailable?: boolean
  /** Bytes. */
  readonly maximumPacketSize?: number
  readonly assignedClientIdentifier?: string
  readonly topicAliasMaximum?: number
  readonly reasonString?: string
  readonly userProperties?: UserProperties
  readonly wildcardSubscriptionAvailable?: boolean
  readonly subscriptionIdentifierAvailable?: boolean
  readonly sharedSubscriptionAvailable?: boolean
  /** Seconds. */
  readonly serverKeepAlive?: number
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}

const properties = new PropertyEncoder()

function fillProperties(packet: ConnackPacket): void {
  properties.begin()
  properties.fourBytes(Table.SESSION_EXPIRY_INTERVAL, packet.sessionExpiryInterval)
  properties.twoBytes(Table.RECEIVE_MAXIMUM, packet.receiveMaximum)
  properties.byte(Table.MAXIMUM_QOS, packet.maximumQos)
  properties.flag(Table.RETAIN_AVAILABLE, packet.retainAvailable)
  properties.fourBytes(Table.MAXIMUM_PACKET_SIZE, packet.maximumPacketSize)
  properties.string(Table.ASSIGNED_CLIENT_IDENTIFIER, packet.assignedClientIdentifier)
  properties.twoBytes(Table.TOPIC_ALIAS_MAXIMUM, packet.topicAliasMaximum)
  properties.string(Table.REASON_STRING, packet.reasonString)
  properties.userProperties(packet.userProperties)
  properties.flag(Table.WILDCARD_SUBSCRIPTION_AVAILABLE, packet.wildcardSubscriptionAvailable)
  properties.flag(Table.SUBSCRIPTION_IDENTIFIER_AVAILABLE, packet.subscriptionIdentifierAvailable)
  properties.flag(Table.SHARED_SUBSCRIPTION_AVAILABLE, packet.sharedSubscriptionAvailable)
  properties.twoBytes(Table.SERVER_KEEP_ALIVE, packet.serverKeepAlive)
  properties.string(Table.RESPONSE_INFORMATION, packet.responseInformation)
  properties.string(Table.SERVER_REFERENCE, packet.serverReference)
  properties.string(Table.AUTHENTICATION_METHOD, packet.authenticationMethod)
  properties.binary(Table.AUTHENTICATION_DATA, packet.authenticationData)
}

/** Bytes that {@link writeConnack} writes. */
export function connackSize(version: ProtocolVersion, packet: ConnackPacket): number {
  if (version !== 5) return 4
  fillProperties(packet)
  const remaining = 2 + properties.size
  return 1 + size(remaining) + remaining
}

/** Writes at `position` (there must be room); returns the position after it. */
export function writeConnack(
  target: Uint8Array,
  position: number,
  version: ProtocolVersion,
  packet: ConnackPacket
): number {
  let remaining = 2
  if (version === 5) {
    fillProperties(packet)
    remaining += properties.size
  }
  const sessionPresent = packet.sessionPresent && packet.reasonCode === 0 && version !== 3
  target[position] = CONNACK << 4
  const next = encode(remaining, target, position + 1)
  target[next] = sessionPresent ? 1 : 0
  target[next + 1] = packet.reasonCode
  return version === 5 ? properties.write(target, next + 2) : next + 2
}

/** Return codes before version 5 (MQTT 3.1.1, table 3.1) for the Reason Codes that have one. */
const RETURN_CODES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x84, 1],
  [0x85, 2],
  [0x86, 4],
  [0x87, 5],
  [0x88, 3],
  [0x89, 3],
  [0x8a, 5],
  [0x8c, 5],
  [0x97, 3],
  [0x9f, 3]
])

/** The return code before version 5 that says what `reasonCode` says, or -1: close without CONNACK. */
export function returnCodeOf(reasonCode: number): number {
  return RETURN_CODES.get(reasonCode) ?? -1
}
