/** DISCONNECT, PINGREQ and PINGRESP. */
import type { ProtocolVersion } from "./packet-types.ts"
import type { UserProperties } from "./properties.ts"
import type { Refusal } from "./refusal.ts"
export interface DisconnectPacket {
  readonly reasonCode: number
  /** Seconds, or -1 where absent. */
  readonly sessionExpiryInterval: number
  readonly reasonString?: string
  readonly userProperties: UserProperties
}
export declare function decodeDisconnect(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion
): DisconnectPacket | Refusal
export interface DisconnectOptions {
  readonly reasonString?: string
  readonly serverReference?: string
  readonly userProperties?: UserProperties
}
export declare function disconnectSize(reasonCode: number, options?: DisconnectOptions): number
/** Version 5 only (a 3.x server sends none). */
export declare function writeDisconnect(
  target: Uint8Array,
  position: number,
  reasonCode: number,
  options?: DisconnectOptions
): number
export declare const PINGRESP_SIZE = 2
export declare function writePingresp(target: Uint8Array, position: number): number
/** 0, or 0x81 where a PINGREQ has a body. */
export declare function checkPingreq(start: number, end: number): number
