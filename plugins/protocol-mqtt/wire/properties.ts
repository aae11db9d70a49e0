/**
 * Scanning MQTT 5 properties: every rule of the table is checked, nothing is copied or allocated.
 *
 * Source: MQTT 5.0, section 2.2.2. An identifier that the packet may not carry, a value cut short or not of its type:
 * 0x81 (section 2.2.2.2). Twice what may stand once, or a number out of range: 0x82; Topic Alias 0: 0x94.
 * Invariant: nothing at or beyond `end` is read; each byte is looked at once.
 */
import type { PropertyView } from "./PropertyView.ts"
import {
  BINARY_DATA,
  BIT_BY_IDENTIFIER,
  BYTE,
  FOUR_BYTE_INTEGER,
  MAXIMUM_BY_IDENTIFIER,
  MINIMUM_BY_IDENTIFIER,
  OUT_OF_RANGE_BY_IDENTIFIER,
  PACKETS_BY_IDENTIFIER,
  REPEATS_BY_IDENTIFIER,
  RESPONSE_TOPIC,
  TWO_BYTE_INTEGER,
  TYPE_BY_IDENTIFIER,
  USER_PROPERTY,
  UTF8_STRING,
  UTF8_STRING_PAIR,
  VARIABLE_BYTE_INTEGER
} from "./property-table.ts"
import { MALFORMED_PACKET, PROTOCOL_ERROR } from "./reason-codes.ts"
import { hasWildcard } from "./topics.ts"
import { decodeString, isMqttString } from "./utf8.ts"
import { decode, size } from "./variable-byte-integer.ts"

export { ABSENT, PropertyView } from "./PropertyView.ts"

/** User Properties of a control packet: names may repeat, order counts. */
export type UserProperties = ReadonlyArray<readonly [name: string, value: string]>

const NO_USER_PROPERTIES: UserProperties = []

/**
 * Scans bytes[start, end), the properties without their length, by the rules of `packetType` (WILL for Will
 * Properties) into `view`. Returns 0 or a Reason Code; after a Reason Code the view holds what came before the fault.
 */
export function scanProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  packetType: number,
  view: PropertyView
): number {
  view.reset()
  let position = start
  while (position < end) {
    const identifierPosition = position
    const identifier = bytes[position++] as number
    if ((((PACKETS_BY_IDENTIFIER[identifier] as number) >>> packetType) & 1) === 0) {
      return MALFORMED_PACKET
    }
    const bit = BIT_BY_IDENTIFIER[identifier] as number
    if ((view.present & bit) !== 0 && (((REPEATS_BY_IDENTIFIER[identifier] as number) >>> packetType) & 1) === 0) {
      return PROTOCOL_ERROR
    }
    view.present |= bit
    let value = 0
    switch (TYPE_BY_IDENTIFIER[identifier]) {
      case BYTE:
        if (position + 1 > end) return MALFORMED_PACKET
        value = bytes[position++] as number
        break
      case TWO_BYTE_INTEGER:
        if (position + 2 > end) return MALFORMED_PACKET
        value = readTwoBytes(bytes, position)
        position += 2
        break
      case FOUR_BYTE_INTEGER:
        if (position + 4 > end) return MALFORMED_PACKET
        value = readTwoBytes(bytes, position) * 65_536 + readTwoBytes(bytes, position + 2)
        position += 4
        break
      case VARIABLE_BYTE_INTEGER:
        value = decode(bytes, position, end)
        if (value < 0) return MALFORMED_PACKET
        position += size(value)
        break
      case UTF8_STRING: {
        const stringStart = position + 2
        position = blockEnd(bytes, position, end)
        if (position < 0 || !isMqttString(bytes, stringStart, position)) return MALFORMED_PACKET
        if (identifier === RESPONSE_TOPIC && !isTopicName(bytes, stringStart, position)) return PROTOCOL_ERROR
        view.setRange(identifier, stringStart, position)
        continue
      }
      case BINARY_DATA: {
        const dataStart = position + 2
        position = blockEnd(bytes, position, end)
        if (position < 0) return MALFORMED_PACKET
        view.setRange(identifier, dataStart, position)
        continue
      }
      default: {
        const nameStart = position + 2
        position = blockEnd(bytes, position, end)
        if (position < 0 || !isMqttString(bytes, nameStart, position)) return MALFORMED_PACKET
        const valueStart = position + 2
        position = blockEnd(bytes, position, end)
        if (position < 0 || !isMqttString(bytes, valueStart, position)) return MALFORMED_PACKET
        view.addUserProperty(identifierPosition, position)
        continue
      }
    }
    const outside =
      value < (MINIMUM_BY_IDENTIFIER[identifier] as number) || value > (MAXIMUM_BY_IDENTIFIER[identifier] as number)
    if (outside) return OUT_OF_RANGE_BY_IDENTIFIER[identifier] as number
    view.setNumber(identifier, value)
  }
  return 0
}

/** Two bytes, high first; the caller has checked that they are there. */
export function readTwoBytes(bytes: Uint8Array, position: number): number {
  return ((bytes[position] as number) << 8) | (bytes[position + 1] as number)
}

/** End of the string or binary value whose two-byte length stands at `position`, or -1 where `end` comes first. */
export function blockEnd(bytes: Uint8Array, position: number, end: number): number {
  if (position + 2 > end) return -1
  const last = position + 2 + readTwoBytes(bytes, position)
  return last > end ? -1 : last
}

/** [MQTT-3.3.2-14], [MQTT-4.7.3-1]: one character at least, no wildcard. */
function isTopicName(bytes: Uint8Array, start: number, end: number): boolean {
  return start < end && !hasWildcard(bytes, start, end)
}

/** Position after the property at `position`, in bytes that {@link scanProperties} has accepted. */
export function nextProperty(bytes: Uint8Array, position: number): number {
  const value = position + 1
  switch (TYPE_BY_IDENTIFIER[bytes[position] as number]) {
    case BYTE:
      return value + 1
    case TWO_BYTE_INTEGER:
      return value + 2
    case FOUR_BYTE_INTEGER:
      return value + 4
    case VARIABLE_BYTE_INTEGER: {
      let last = value
      while ((bytes[last] as number) > 127) last++
      return last + 1
    }
    case UTF8_STRING_PAIR: {
      const second = value + 2 + readTwoBytes(bytes, value)
      return second + 2 + readTwoBytes(bytes, second)
    }
    default:
      return value + 2 + readTwoBytes(bytes, value)
  }
}

/** The User Properties in bytes[start, end), which {@link scanProperties} has accepted. For control packets only. */
export function readUserProperties(bytes: Uint8Array, start: number, end: number, view: PropertyView): UserProperties {
  if (view.userPropertyCount === 0) return NO_USER_PROPERTIES
  const found: Array<readonly [string, string]> = []
  for (let position = start; position < end; position = nextProperty(bytes, position)) {
    if (bytes[position] !== USER_PROPERTY) continue
    const nameEnd = position + 3 + readTwoBytes(bytes, position + 1)
    const valueEnd = nameEnd + 2 + readTwoBytes(bytes, nameEnd)
    found.push([decodeString(bytes, position + 3, nameEnd), decodeString(bytes, nameEnd + 2, valueEnd)])
  }
  return found
}
