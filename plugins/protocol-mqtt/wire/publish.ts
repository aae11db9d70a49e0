/** PUBLISH: the hot path. */
import type { ProtocolVersion, Qos } from "./packet-types.ts"
import type { PropertyView } from "./properties.ts"
export declare class PublishView {
  topicStart: number
  topicEnd: number
  /** 0 with QoS 0. */
  packetIdentifier: number
  /** Property bytes without their length; empty before version 5. */
  propertiesStart: number
  propertiesEnd: number
  /** -1 where absent, as the two after it. */
  topicAlias: number
  messageExpiryInterval: number
  payloadFormat: number
  payloadStart: number
  payloadEnd: number
  qos: Qos
  retain: boolean
  dup: boolean
  /** Valid only where propertiesEnd > propertiesStart. */
  readonly properties: PropertyView
}
/** 0 or a Reason Code. The topic name's bytes are not looked at: see checkPublishTopic. */
export declare function scanPublish(
  bytes: Uint8Array,
  firstByte: number,
  start: number,
  end: number,
  version: ProtocolVersion,
  view: PublishView
): number
/** 0, 0x81 (no UTF-8, U+0000), 0x90 (wildcard). */
export declare function checkPublishTopic(bytes: Uint8Array, start: number, end: number): number
/** Bytes of the whole frame. */
export declare function publishFrameSize(
  version: ProtocolVersion,
  qos: Qos,
  topicLength: number,
  propertiesLength: number,
  payloadLength: number
): number
export declare function writePublish(
  target: Uint8Array,
  position: number,
  version: ProtocolVersion,
  qos: Qos,
  retain: boolean,
  dup: boolean,
  topic: Uint8Array,
  topicStart: number,
  topicEnd: number,
  packetIdentifier: number,
  properties: Uint8Array,
  propertiesStart: number,
  propertiesEnd: number,
  payload: Uint8Array,
  payloadStart: number,
  payloadEnd: number
): number
/** Where the Packet Identifier (two bytes, high first) stands in the PUBLISH frame that begins at `position`. */
export declare function packetIdentifierPosition(frame: Uint8Array, position: number): number
export declare function patchPacketIdentifier(frame: Uint8Array, at: number, packetIdentifier: number): void
