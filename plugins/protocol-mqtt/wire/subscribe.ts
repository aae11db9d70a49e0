/**
 * SUBSCRIBE, decoded whole, and SUBACK, written.
 *
 * Source: MQTT 5.0, sections 3.8 and 3.9; MQTT 3.1.1, the same sections.
 * Decision: a Topic Filter that breaks section 4.7 or 4.8.2 fails alone, with 0x8f in the SUBACK (0x80 before version
 * 5), and not the connection; only bytes that are no string do that.
 */
import { PacketCursor } from "./PacketCursor.ts"
import { type ProtocolVersion, type Qos, SUBACK, SUBSCRIBE } from "./packet-types.ts"
import { ABSENT, readUserProperties, type UserProperties } from "./properties.ts"
import { MALFORMED_PACKET, PROTOCOL_ERROR } from "./reason-codes.ts"
import { Refusal } from "./refusal.ts"
import { answerSize, readRequestHeader, writeAnswer } from "./requests.ts"
import { checkTopicFilter, isSharedFilter } from "./topics.ts"

const NO_LOCAL_FLAG = 0x04
const RETAIN_AS_PUBLISHED_FLAG = 0x08
const RESERVED_OPTIONS = 0xc0
/** Before version 5 the QoS is all there is. */
const RESERVED_OPTIONS_BEFORE_5 = 0xfc
/** The one failure that a SUBACK before version 5 knows. */
const FAILURE_BEFORE_5 = 0x80

export interface Subscription {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  /** 0, or 0x8f where the filter is no valid Topic Filter or Shared Subscription: its code in the SUBACK. */
  readonly reasonCode: number
}

export interface SubscribePacket {
  readonly packetIdentifier: number
  /** 0 = none. */
  readonly subscriptionIdentifier: number
  /** One at least, in the packet's order; equal filters are kept, each needs its code. */
  readonly subscriptions: ReadonlyArray<Subscription>
  readonly userProperties: UserProperties
}

function optionsReasonCode(options: number, version: ProtocolVersion): number {
  // [MQTT-3.8.3-5]; before version 5 also QoS 3 is malformed [MQTT-3.8.3-4 of 3.1.1].
  if ((options & (version === 5 ? RESERVED_OPTIONS : RESERVED_OPTIONS_BEFORE_5)) !== 0) return MALFORMED_PACKET
  if ((options & 3) === 3) return version === 5 ? PROTOCOL_ERROR : MALFORMED_PACKET
  return ((options >> 4) & 3) === 3 ? PROTOCOL_ERROR : 0
}

function readSubscription(cursor: PacketCursor, version: ProtocolVersion): Subscription | undefined {
  const filter = cursor.readString()
  const { blockStart, blockEnd } = cursor
  const options = cursor.readByte()
  const fault = optionsReasonCode(options, version)
  if (fault !== 0) cursor.fail(fault)
  if (cursor.reasonCode !== 0) return undefined
  const noLocal = (options & NO_LOCAL_FLAG) !== 0
  // [MQTT-3.8.3-4]
  if (noLocal && isSharedFilter(cursor.bytes, blockStart, blockEnd)) cursor.fail(PROTOCOL_ERROR)
  return {
    filter,
    qos: (options & 3) as Qos,
    noLocal,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED_FLAG) !== 0,
    retainHandling: ((options >> 4) & 3) as 0 | 1 | 2,
    reasonCode: checkTopicFilter(cursor.bytes, blockStart, blockEnd)
  }
}

/** Decodes a SUBSCRIBE: `bytes[start, end)` is what follows the fixed header, whose flags were checked. */
export function decodeSubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion
): SubscribePacket | Refusal {
  const cursor = new PacketCursor(bytes, start, end)
  const packetIdentifier = readRequestHeader(cursor, SUBSCRIBE, version)
  if (cursor.reasonCode !== 0) return new Refusal(cursor.reasonCode)
  const view = cursor.properties
  const userProperties = readUserProperties(bytes, cursor.propertiesStart, cursor.propertiesEnd, view)
  const subscriptions: Array<Subscription> = []
  while (!cursor.atEnd) {
    const subscription = readSubscription(cursor, version)
    if (subscription !== undefined) subscriptions.push(subscription)
  }
  if (cursor.reasonCode !== 0) return new Refusal(cursor.reasonCode)
  const subscriptionIdentifier = view.subscriptionIdentifier === ABSENT ? 0 : view.subscriptionIdentifier
  return { packetIdentifier, subscriptionIdentifier, subscriptions, userProperties }
}

/** Bytes that {@link writeSuback} writes for `count` codes. */
export function subackSize(version: ProtocolVersion, count: number, reasonString?: string): number {
  return answerSize(version, count, reasonString)
}

/** Writes at `position` (there must be room); returns the position after it. Failures before version 5 become 0x80. */
export function writeSuback(
  target: Uint8Array,
  position: number,
  version: ProtocolVersion,
  packetIdentifier: number,
  reasonCodes: ReadonlyArray<number>,
  reasonString?: string
): number {
  const codes = version === 5 ? reasonCodes : reasonCodes.map((code) => Math.min(code, FAILURE_BEFORE_5))
  return writeAnswer(target, position, SUBACK, version, packetIdentifier, codes, reasonString)
}
