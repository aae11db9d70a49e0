/** UNSUBSCRIBE and UNSUBACK. */
import type { ProtocolVersion } from "./packet-types.ts"
import type { UserProperties } from "./properties.ts"
import type { Refusal } from "./refusal.ts"
export interface UnsubscribePacket {
  readonly packetIdentifier: number
  readonly filters: ReadonlyArray<{ readonly filter: string /** 0 or 0x8f. */; readonly reasonCode: number }>
  readonly userProperties: UserProperties
}
export declare function decodeUnsubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion
): UnsubscribePacket | Refusal
export declare function unsubackSize(version: ProtocolVersion, count: number, reasonString?: string): number
export declare function writeUnsuback(
  target: Uint8Array,
  position: number,
  version: ProtocolVersion,
  packetIdentifier: number,
  reasonCodes: ReadonlyArray<number>,
  reasonString?: string
): number
