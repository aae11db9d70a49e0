/** CONNACK. */
import type { ProtocolVersion } from "./packet-types.ts"
import type { UserProperties } from "./properties.ts"
/** Every property is optional: absent = left out. Properties are ignored before version 5. */
export interface ConnackPacket {
  readonly sessionPresent: boolean
  /** Version 5: Reason Code; before: return code 0 to 5. */
  readonly reasonCode: number
  readonly sessionExpiryInterval?: number
  readonly receiveMaximum?: number
  readonly maximumQos?: 0 | 1
  readonly retainAvailable?: boolean
  readonly maximumPacketSize?: number
  readonly assignedClientIdentifier?: string
  readonly topicAliasMaximum?: number
  readonly reasonString?: string
  readonly userProperties?: UserProperties
  readonly wildcardSubscriptionAvailable?: boolean
  readonly subscriptionIdentifierAvailable?: boolean
  readonly sharedSubscriptionAvailable?: boolean
  readonly serverKeepAlive?: number
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}
export declare function connackSize(version: ProtocolVersion, packet: ConnackPacket): number
export declare function writeConnack(
  target: Uint8Array,
  position: number,
  version: ProtocolVersion,
  packet: ConnackPacket
): number
/** The return code of MQTT 3.x (1 to 5) for a Reason Code, 0 for success, or -1: close without CONNACK. */
export declare function returnCodeOf(reasonCode: number): number
