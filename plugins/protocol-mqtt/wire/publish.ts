/**
 * PUBLISH, the hot path: found by position in the received bytes, written straight into the output buffer.
 *
 * Source: MQTT 5.0, section 3.3; MQTT 3.1.1, section 3.3.
 * Invariants: nothing is allocated; nothing at or beyond `end` is read; a scan looks at the fixed fields and the
 * properties, never at the payload, and at the topic name's bytes only in {@link checkPublishTopic}.
 */
import { copyBytes } from "../../../core/log/mod.ts"
import { type ProtocolVersion, PUBLISH, publishFirstByte, type Qos } from "./packet-types.ts"
import { ABSENT, PropertyView, readTwoBytes, scanProperties } from "./properties.ts"
import { writeTwoBytes } from "./property-writers.ts"
import { MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_NAME_INVALID } from "./reason-codes.ts"
import { hasWildcard } from "./topics.ts"
import { isMqttString } from "./utf8.ts"
import { decode, encode, size } from "./variable-byte-integer.ts"

/** What {@link scanPublish} found; reused. Positions are those of the scanned bytes. */
export class PublishView {
  topicStart = 0
  topicEnd = 0
  /** 0 with QoS 0. */
  packetIdentifier = 0
  /** Property bytes without their length; empty before version 5. */
  propertiesStart = 0
  propertiesEnd = 0
  /** {@link ABSENT} where it is not there, as the two after it. */
  topicAlias = ABSENT
  /** Seconds. */
  messageExpiryInterval = ABSENT
  payloadFormat = ABSENT
  payloadStart = 0
  payloadEnd = 0
  qos: Qos = 0
  retain = false
  dup = false
  /** All properties; valid only where propertiesEnd > propertiesStart. */
  readonly properties = new PropertyView()
}

/**
 * Scans a PUBLISH from a client: `bytes[start, end)` is what follows the fixed header. Returns 0, or the Reason Code
 * that ends the connection: 0x81 for cut fields, QoS 3, DUP with QoS 0 and bad properties; 0x82 for Packet Identifier
 * 0, a Subscription Identifier [MQTT-3.3.4-6], and no topic name without a Topic Alias; 0x94 for Topic Alias 0.
 */
export function scanPublish(
  bytes: Uint8Array,
  firstByte: number,
  start: number,
  end: number,
  version: ProtocolVersion,
  view: PublishView
): number {
  const qos = (firstByte >> 1) & 3
  const dup = (firstByte & 8) !== 0
  if (qos === 3 || (dup && qos === 0)) return MALFORMED_PACKET
  const topicStart = start + 2
  if (topicStart > end) return MALFORMED_PACKET
  const topicEnd = topicStart + readTwoBytes(bytes, start)
  if (topicEnd > end) return MALFORMED_PACKET
  let position = topicEnd
  let packetIdentifier = 0
  if (qos !== 0) {
    position += 2
    if (position > end) return MALFORMED_PACKET
    packetIdentifier = readTwoBytes(bytes, topicEnd)
    if (packetIdentifier === 0) return PROTOCOL_ERROR
  }
  view.topicStart = topicStart
  view.topicEnd = topicEnd
  view.packetIdentifier = packetIdentifier
  view.qos = qos as Qos
  view.dup = dup
  view.retain = (firstByte & 1) !== 0
  view.topicAlias = ABSENT
  view.messageExpiryInterval = ABSENT
  view.payloadFormat = ABSENT
  view.propertiesStart = position
  if (version === 5) {
    const length = decode(bytes, position, end)
    if (length < 0) return MALFORMED_PACKET
    position += size(length)
    view.propertiesStart = position
    if (length !== 0) {
      const propertiesEnd = position + length
      if (propertiesEnd > end) return MALFORMED_PACKET
      const properties = view.properties
      const reasonCode = scanProperties(bytes, position, propertiesEnd, PUBLISH, properties)
      if (reasonCode !== 0) return reasonCode
      if (properties.subscriptionIdentifierCount !== 0) return PROTOCOL_ERROR
      view.topicAlias = properties.topicAlias
      view.messageExpiryInterval = properties.messageExpiryInterval
      view.payloadFormat = properties.payloadFormatIndicator
      position = propertiesEnd
    }
  }
  view.propertiesEnd = position
  view.payloadStart = position
  view.payloadEnd = end
  if (topicStart === topicEnd && view.topicAlias === ABSENT) return PROTOCOL_ERROR
  return 0
}

/**
 * Judges a topic name that is not known yet: 0, or 0x81 where it is no UTF-8 or holds U+0000, or 0x90 where it holds
 * a wildcard [MQTT-3.3.2-2] or is empty. Whoever knows the name already need not ask.
 */
export function checkPublishTopic(bytes: Uint8Array, start: number, end: number): number {
  if (!isMqttString(bytes, start, end)) return MALFORMED_PACKET
  return start === end || hasWildcard(bytes, start, end) ? TOPIC_NAME_INVALID : 0
}

function publishRemainingLength(
  version: ProtocolVersion,
  qos: Qos,
  topicLength: number,
  propertiesLength: number,
  payloadLength: number
): number {
  const propertyBytes = version === 5 ? size(propertiesLength) + propertiesLength : 0
  return 2 + topicLength + (qos === 0 ? 0 : 2) + propertyBytes + payloadLength
}

/** Bytes of the whole frame that {@link writePublish} writes for these lengths (bytes). */
export function publishFrameSize(
  version: ProtocolVersion,
  qos: Qos,
  topicLength: number,
  propertiesLength: number,
  payloadLength: number
): number {
  const remaining = publishRemainingLength(version, qos, topicLength, propertiesLength, payloadLength)
  return 1 + size(remaining) + remaining
}

/**
 * Writes a PUBLISH at `position` (there must be room: {@link publishFrameSize}) and returns the position after it.
 * The properties are encoded already, without their length; before version 5 they are left out.
 */
export function writePublish(
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
): number {
  const topicLength = topicEnd - topicStart
  const propertiesLength = propertiesEnd - propertiesStart
  const remaining = publishRemainingLength(version, qos, topicLength, propertiesLength, payloadEnd - payloadStart)
  target[position] = publishFirstByte(qos, retain, dup)
  let next = encode(remaining, target, position + 1)
  next = writeTwoBytes(target, next, topicLength)
  next = copyBytes(topic, topicStart, topicEnd, target, next)
  if (qos !== 0) next = writeTwoBytes(target, next, packetIdentifier)
  if (version === 5) {
    next = encode(propertiesLength, target, next)
    next = copyBytes(properties, propertiesStart, propertiesEnd, target, next)
  }
  return copyBytes(payload, payloadStart, payloadEnd, target, next)
}

/**
 * Where the Packet Identifier (two bytes, high first) stands in the whole PUBLISH frame of QoS 1 or 2 that begins at
 * `position`: for one encoding that serves many subscribers.
 */
export function packetIdentifierPosition(frame: Uint8Array, position: number): number {
  let next = position + 1
  while ((frame[next] as number) > 127) next++
  return next + 3 + readTwoBytes(frame, next + 1)
}

/** Puts another Packet Identifier (1 to 65,535) at the position that {@link packetIdentifierPosition} gave. */
export function patchPacketIdentifier(frame: Uint8Array, at: number, packetIdentifier: number): void {
  frame[at] = packetIdentifier >>> 8
  frame[at + 1] = packetIdentifier
}
