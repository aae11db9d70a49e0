/** AUTH (version 5 only). */
import type { UserProperties } from "./properties.ts"
import type { Refusal } from "./refusal.ts"
export interface AuthPacket {
  readonly reasonCode: number
  readonly authenticationMethod: string
  readonly authenticationData?: Uint8Array
  readonly reasonString?: string
  readonly userProperties: UserProperties
}
/** From a client: 0x18 or 0x19. */
export declare function decodeAuth(bytes: Uint8Array, start: number, end: number): AuthPacket | Refusal
export declare function authSize(packet: AuthPacket): number
export declare function writeAuth(target: Uint8Array, position: number, packet: AuthPacket): number
