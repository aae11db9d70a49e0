/** CONNECT and CONNACK. */
import type { ProtocolVersion, Qos } from "./packet-types.ts"
import type { UserProperties } from "./properties.ts"
import { Refusal } from "./refusal.ts"
export interface WillMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: Qos
  readonly retain: boolean
  /** Seconds. */
  readonly delayInterval: number
  /** Seconds, or -1. */
  readonly messageExpiryInterval: number
  /** Will property bytes without their length (Will Delay Interval included), as propertiesToHeaders takes them. */
  readonly properties: Uint8Array
}
export interface ConnectPacket {
  readonly protocolVersion: ProtocolVersion
  readonly cleanStart: boolean
  /** Seconds; 0 = none. */
  readonly keepAlive: number
  /** "" = the server assigns one. */
  readonly clientIdentifier: string
  readonly username?: string
  readonly password?: Uint8Array
  readonly will?: WillMessage
  /** Seconds; 0xffffffff = never. Version 3 and 4: 0 with clean session, else never. */
  readonly sessionExpiryInterval: number
  /** 65,535 where absent. */
  readonly receiveMaximum: number
  /** Bytes; 268,435,460 where absent. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly requestResponseInformation: boolean
  readonly requestProblemInformation: boolean
  readonly userProperties: UserProperties
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}
/** A refused CONNECT: answer with CONNACK `connackCode` in the form of `protocolVersion`, or (-1) just close. */
export declare class ConnectRefusal extends Refusal {
  readonly protocolVersion: ProtocolVersion
  readonly connackCode: number
}
export declare function decodeConnect(bytes: Uint8Array, start: number, end: number): ConnectPacket | ConnectRefusal
