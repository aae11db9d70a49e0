/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
import type { ProtocolVersion } from "./packet-types.ts"
export declare class AcknowledgementView {
  packetIdentifier: number
  reasonCode: number
}
/** [start, end) = what follows the fixed header; packetType 4 to 7. 0 or a Reason Code. */
export declare function scanAcknowledgement(
  bytes: Uint8Array,
  packetType: number,
  start: number,
  end: number,
  version: ProtocolVersion,
  view: AcknowledgementView
): number
export declare const ACKNOWLEDGEMENT_SIZE = 4
export declare const ACKNOWLEDGEMENT_WITH_REASON_SIZE = 5
/** 4 bytes. */
export declare function writeAcknowledgement(
  target: Uint8Array,
  position: number,
  packetType: number,
  packetIdentifier: number
): number
/** 5 bytes; version 5 only, reason code != 0. */
export declare function writeAcknowledgementWithReason(
  target: Uint8Array,
  position: number,
  packetType: number,
  packetIdentifier: number,
  reasonCode: number
): number
