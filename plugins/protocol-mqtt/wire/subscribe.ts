/** SUBSCRIBE and SUBACK. */
import type { ProtocolVersion, Qos } from "./packet-types.ts"
import type { UserProperties } from "./properties.ts"
import type { Refusal } from "./refusal.ts"
export interface Subscription {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 0, or 0x8f where the filter is no valid Topic Filter or Shared Subscription: goes to SUBACK (0x80 before version 5). */
  readonly reasonCode: number
}
export interface SubscribePacket {
  readonly packetIdentifier: number
  /** 0 = none. */
  readonly subscriptionIdentifier: number
  readonly subscriptions: ReadonlyArray<Subscription>
  readonly userProperties: UserProperties
}
export declare function decodeSubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion
): SubscribePacket | Refusal
/** Version 5: `reasonString` "" = left out. Before version 5 codes >= 0x80 are written as 0x80. */
export declare function writeSuback(
  target: Uint8Array,
  position: number,
  version: ProtocolVersion,
  packetIdentifier: number,
  reasonCodes: ReadonlyArray<number>,
  reasonString?: string
): number
export declare function subackSize(version: ProtocolVersion, count: number, reasonString?: string): number
