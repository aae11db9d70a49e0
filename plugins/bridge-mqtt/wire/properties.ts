/**
 * The properties that come to a client, checked as they are walked: which may stand in a packet, how often, and that they lie within it.
 *
 * Source: MQTT 5.0, section 2.2.2 (table 2-4).
 */
import { isWellFormedUtf8 } from "../../../core/mod.ts"
import { CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK } from "./packet-types.ts"

export const PAYLOAD_FORMAT_INDICATOR = 0x01
export const RESPONSE_TOPIC = 0x08
export const SUBSCRIPTION_IDENTIFIER = 0x0b
export const SESSION_EXPIRY_INTERVAL = 0x11
export const SERVER_KEEP_ALIVE = 0x13
export const REASON_STRING = 0x1f
export const RECEIVE_MAXIMUM = 0x21
export const TOPIC_ALIAS = 0x23
export const MAXIMUM_QOS = 0x24
export const RETAIN_AVAILABLE = 0x25
export const USER_PROPERTY = 0x26
export const MAXIMUM_PACKET_SIZE = 0x27

const BYTE = 1
const TWO_BYTES = 2
const FOUR_BYTES = 3
const VARIABLE = 4
const STRING = 5
const BINARY = 6
const PAIR = 7

const ANSWERS = [PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK]
/** Identifier: type, and the packets that it comes in from a server. */
const KNOWN: ReadonlyMap<number, readonly [type: number, packets: ReadonlyArray<number>]> = new Map([
  [PAYLOAD_FORMAT_INDICATOR, [BYTE, [PUBLISH]]],
  [0x02, [FOUR_BYTES, [PUBLISH]]],
  [0x03, [STRING, [PUBLISH]]],
  [RESPONSE_TOPIC, [STRING, [PUBLISH]]],
  [0x09, [BINARY, [PUBLISH]]],
  [SUBSCRIPTION_IDENTIFIER, [VARIABLE, [PUBLISH]]],
  [SESSION_EXPIRY_INTERVAL, [FOUR_BYTES, [CONNACK]]],
  [0x12, [STRING, [CONNACK]]],
  [SERVER_KEEP_ALIVE, [TWO_BYTES, [CONNACK]]],
  [0x15, [STRING, [CONNACK]]],
  [0x16, [BINARY, [CONNACK]]],
  [0x1a, [STRING, [CONNACK]]],
  [0x1c, [STRING, [CONNACK, DISCONNECT]]],
  [REASON_STRING, [STRING, [CONNACK, DISCONNECT, ...ANSWERS]]],
  [RECEIVE_MAXIMUM, [TWO_BYTES, [CONNACK]]],
  [0x22, [TWO_BYTES, [CONNACK]]],
  [TOPIC_ALIAS, [TWO_BYTES, [PUBLISH]]],
  [MAXIMUM_QOS, [BYTE, [CONNACK]]],
  [RETAIN_AVAILABLE, [BYTE, [CONNACK]]],
  [USER_PROPERTY, [PAIR, [PUBLISH, CONNACK, DISCONNECT, ...ANSWERS]]],
  [MAXIMUM_PACKET_SIZE, [FOUR_BYTES, [CONNACK]]],
  [0x28, [BYTE, [CONNACK]]],
  [0x29, [BYTE, [CONNACK]]],
  [0x2a, [BYTE, [CONNACK]]]
])

/** Type and allowed packets by identifier, for the walk of every PUBLISH. */
const TYPES = new Uint8Array(128)
const PACKETS = new Uint16Array(128)
for (const [identifier, [type, packets]] of KNOWN) {
  TYPES[identifier] = type
  PACKETS[identifier] = packets.reduce((bits, packet) => bits | (1 << packet), 0)
}

export interface PropertyVisitor {
  /** One property at `bytes[start, end)`, its identifier first; `value` of those that are numbers. */
  property(identifier: number, start: number, end: number, value: number): void
}

/** Walks the properties at `bytes[start, end)` of a packet of this type; "" or what is wrong with them. */
export function walkProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  packetType: number,
  visitor: PropertyVisitor
): string {
  let seenLow = 0
  let seenHigh = 0
  let position = start
  while (position < end) {
    const identifier = bytes[position] ?? 0
    const type = TYPES[identifier & 127] ?? 0
    if (identifier > 127 || type === 0 || ((PACKETS[identifier] ?? 0) & (1 << packetType)) === 0) {
      return "a property that does not belong there"
    }
    if (identifier !== USER_PROPERTY && identifier !== SUBSCRIPTION_IDENTIFIER) {
      const bit = 1 << (identifier & 31)
      if (((identifier < 32 ? seenLow : seenHigh) & bit) !== 0) return "a property twice"
      if (identifier < 32) seenLow |= bit
      else seenHigh |= bit
    }
    const next = propertyEnd(bytes, position + 1, end, type)
    if (next < 0) return "a property that is malformed"
    visitor.property(identifier, position, next, numberAt(bytes, position + 1, type))
    position = next
  }
  return ""
}

/** Where the value of a property ends; below 0 where it does not end within the properties, or is none. */
function propertyEnd(bytes: Uint8Array, at: number, end: number, type: number): number {
  switch (type) {
    case BYTE:
      return at + 1 <= end ? at + 1 : -1
    case TWO_BYTES:
      return at + 2 <= end ? at + 2 : -1
    case FOUR_BYTES:
      return at + 4 <= end ? at + 4 : -1
    case VARIABLE: {
      for (let index = 0; index < 4 && at + index < end; index++) {
        if ((bytes[at + index] ?? 0) < 128) return at + index + 1
      }
      return -1
    }
    case BINARY:
      return blockEnd(bytes, at, end, false)
    case STRING:
      return blockEnd(bytes, at, end, true)
    default: {
      const name = blockEnd(bytes, at, end, true)
      return name < 0 ? -1 : blockEnd(bytes, name, end, true)
    }
  }
}

/** Where two bytes of length and what they count end, within `end`; below 0 where they do not, or are not the text that they have to be. */
function blockEnd(bytes: Uint8Array, at: number, end: number, isText: boolean): number {
  if (at + 2 > end) return -1
  const blockStart = at + 2
  const next = blockStart + uint16At(bytes, at)
  if (next > end) return -1
  return isText && !isWellFormedUtf8(bytes, blockStart, next) ? -1 : next
}

function numberAt(bytes: Uint8Array, at: number, type: number): number {
  if (type === BYTE) return bytes[at] ?? 0
  if (type === TWO_BYTES) return uint16At(bytes, at)
  return type === FOUR_BYTES ? uint16At(bytes, at) * 65_536 + uint16At(bytes, at + 2) : 0
}

export function uint16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

/** The length of the properties that begins at `at`, and where they lie; undefined where they are not within `end`. */
export function propertiesAt(
  bytes: Uint8Array,
  at: number,
  end: number
): readonly [start: number, end: number] | undefined {
  let length = 0
  for (let index = 0; index < 4 && at + index < end; index++) {
    const byte = bytes[at + index] ?? 0
    length += (byte & 127) * 2 ** (7 * index)
    if (byte >= 128) continue
    const start = at + index + 1
    return start + length > end ? undefined : [start, start + length]
  }
  return undefined
}
