/**
 * MQTT 5 properties of a message as headers of a record, and back.
 *
 * Source: MQTT 5.0, section 3.3.2.3; Kafka, "Message Format" (Record Header); docs/interop.md is the table.
 * Invariants
 *  - User Properties keep name, value and order; a name that begins with `mqtt.` or `manifold-` is stored as
 *    `manifold-raw:` and the name, so that no client can write a header that we obey.
 *  - MQTT to MQTT gives back every property but Topic Alias, Subscription Identifier and Will Delay Interval, which
 *    belong to a connection; also one that was sent with its default value.
 *  - Of a batch that a Kafka client produced nothing is obeyed: reserved names are escaped in the other direction too.
 *  - Nothing is allocated; no header bytes make a function throw, loop or read outside the region.
 */
import { copyBytes, HeaderCursor, varint } from "../../../core/log/mod.ts"
import type { Qos } from "./packet-types.ts"
import { ABSENT, nextProperty, readTwoBytes } from "./properties.ts"
import * as Table from "./property-table.ts"
import { writeByteProperty, writeFourByteProperty, writeTwoBytes } from "./property-writers.ts"
import { isMqttString } from "./utf8.ts"

/**
 * The constant header bytes that say how a message was published, `mqtt.qos` and `mqtt.retain`, left out at their
 * defaults. Shared: never written to.
 */
export { deliveryHeaders, deliveryHeadersCount as deliveryHeaderCount } from "../../../core/log/mod.ts"

/** What the last call found beside the bytes it wrote. Reused: read it before the next call. */
export class HeadersResult {
  /** Headers that {@link propertiesToHeaders} wrote. */
  headerCount = 0
  /** From `mqtt.qos` and `mqtt.retain` of a batch of ours; else 0 and false. */
  qos: Qos = 0
  retain = false
  /** Seconds as stored, or {@link ABSENT}; and where in the target its four bytes stand, to count it down. */
  messageExpiryInterval = ABSENT
  messageExpiryPosition = ABSENT
  /** Headers that no property can hold: a name that is no MQTT string, or name or value too long. */
  droppedCount = 0
}
export const headersResult = new HeadersResult()

const STRING_SIZE_MAX = 65_535
const FOUR_BYTES_MAX = 0xffffffff
const EQUALS = 0x3d
const ZERO = 0x30

const encoder = new TextEncoder()
const MQTT_PREFIX = encoder.encode("mqtt.")
const OWN_PREFIX = encoder.encode("manifold-")
const ESCAPE_PREFIX = encoder.encode("manifold-raw:")
const BASE64_NAME = encoder.encode("manifold-header-b64")
const PAYLOAD_FORMAT_NAME = encoder.encode("mqtt.payload-format")
const MESSAGE_EXPIRY_NAME = encoder.encode("mqtt.message-expiry")
const CONTENT_TYPE_NAME = encoder.encode("mqtt.content-type")
const RESPONSE_TOPIC_NAME = encoder.encode("mqtt.response-topic")
const CORRELATION_DATA_NAME = encoder.encode("mqtt.correlation-data")
const QOS_NAME = encoder.encode("mqtt.qos")
const RETAIN_NAME = encoder.encode("mqtt.retain")
const BASE64_ALPHABET = encoder.encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

/**
 * The five properties with a name of ours, of which each stands at most once, need at most 120 bytes more than twice
 * their own; a User Property of 5 bytes and a name of 5 more at least needs 8 more at most, when it is escaped.
 */
const NAMED_HEADERS_SIZE_MAX = 120

/** Room that {@link propertiesToHeaders} needs at most for so many property bytes. */
export function headersSizeMax(propertiesLength: number): number {
  return propertiesLength * 2 + NAMED_HEADERS_SIZE_MAX
}

/**
 * Writes the properties bytes[start, end) of a PUBLISH or a will, scanned before, as headers (without their count,
 * which goes to {@link headersResult}) at `position`; returns the position after them. Room: {@link headersSizeMax}.
 */
export function propertiesToHeaders(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number
): number {
  let count = 0
  let written = position
  let read = start
  while (read < end) {
    const identifier = bytes[read] as number
    const value = read + 1
    const next = nextProperty(bytes, read)
    read = next
    switch (identifier) {
      case Table.USER_PROPERTY: {
        const nameEnd = value + 2 + readTwoBytes(bytes, value)
        written = writeUserHeader(bytes, value + 2, nameEnd, next, target, written)
        break
      }
      case Table.PAYLOAD_FORMAT_INDICATOR:
        written = writeNumberHeader(PAYLOAD_FORMAT_NAME, bytes[value] as number, target, written)
        break
      case Table.MESSAGE_EXPIRY_INTERVAL: {
        const seconds = readTwoBytes(bytes, value) * 65_536 + readTwoBytes(bytes, value + 2)
        written = writeNumberHeader(MESSAGE_EXPIRY_NAME, seconds, target, written)
        break
      }
      case Table.CONTENT_TYPE:
        written = writeNamedHeader(CONTENT_TYPE_NAME, bytes, value + 2, next, target, written)
        break
      case Table.RESPONSE_TOPIC:
        written = writeNamedHeader(RESPONSE_TOPIC_NAME, bytes, value + 2, next, target, written)
        break
      case Table.CORRELATION_DATA:
        written = writeNamedHeader(CORRELATION_DATA_NAME, bytes, value + 2, next, target, written)
        break
      default:
        continue
    }
    count++
  }
  headersResult.headerCount = count
  return written
}

function writeUserHeader(
  bytes: Uint8Array,
  nameStart: number,
  nameEnd: number,
  valueEnd: number,
  target: Uint8Array,
  position: number
): number {
  const escaped = isReserved(bytes, nameStart, nameEnd)
  let next = varint.writeVarint(target, position, nameEnd - nameStart + (escaped ? ESCAPE_PREFIX.length : 0))
  if (escaped) next = copyBytes(ESCAPE_PREFIX, 0, ESCAPE_PREFIX.length, target, next)
  next = copyBytes(bytes, nameStart, nameEnd, target, next)
  const valueStart = nameEnd + 2
  next = varint.writeVarint(target, next, valueEnd - valueStart)
  return copyBytes(bytes, valueStart, valueEnd, target, next)
}

function writeNamedHeader(
  name: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number
): number {
  let next = varint.writeVarint(target, position, name.length)
  next = copyBytes(name, 0, name.length, target, next)
  next = varint.writeVarint(target, next, end - start)
  return copyBytes(bytes, start, end, target, next)
}

/** The value as decimal digits. */
function writeNumberHeader(name: Uint8Array, value: number, target: Uint8Array, position: number): number {
  let digits = 1
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++
  let next = varint.writeVarint(target, position, name.length)
  next = copyBytes(name, 0, name.length, target, next)
  next = varint.writeVarint(target, next, digits)
  let rest = value
  for (let index = digits - 1; index >= 0; index--) {
    target[next + index] = ZERO + (rest % 10)
    rest = Math.floor(rest / 10)
  }
  return next + digits
}

const cursor = new HeaderCursor()

/** Bytes that one header needs as a property beyond twice its own: identifier, lengths, escape or the base64 name. */
const PROPERTY_OVERHEAD_MAX = 32

/** Room that {@link headersToProperties} needs at most for `count` headers in so many bytes. */
export function propertiesSizeMax(headersLength: number, count: number): number {
  return headersLength * 2 + count * PROPERTY_OVERHEAD_MAX
}

/**
 * Writes the `count` headers in bytes[start, end) as PUBLISH properties, without their length, at `position`; returns
 * the position after them, or -1 where the bytes are no such headers. Room: {@link propertiesSizeMax}.
 *
 * `gathered` says that the batch is ours, made of MQTT messages: `mqtt.*` names are obeyed, escaped names restored,
 * other `manifold-*` names kept from subscribers. Else every header becomes a User Property: as it is where name and
 * value are MQTT strings, with a reserved name escaped; a binary value as `manifold-header-b64` = `name=base64`, a
 * null one as `manifold-header-b64` = `name`.
 */
export function headersToProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
  gathered: boolean,
  target: Uint8Array,
  position: number
): number {
  headersResult.qos = 0
  headersResult.retain = false
  headersResult.messageExpiryInterval = ABSENT
  headersResult.messageExpiryPosition = ABSENT
  headersResult.droppedCount = 0
  cursor.reset(bytes, start, end, count)
  let written = position
  while (cursor.next()) {
    written = gathered ? writeGathered(bytes, target, written) : writeForeign(bytes, target, written)
  }
  return cursor.refusal === 0 ? written : -1
}

/** One header of ours: what it was when it came by MQTT. */
function writeGathered(bytes: Uint8Array, target: Uint8Array, position: number): number {
  const { nameStart, nameEnd } = cursor
  if (startsWith(MQTT_PREFIX, bytes, nameStart, nameEnd)) return writeObeyed(bytes, target, position)
  if (!startsWith(OWN_PREFIX, bytes, nameStart, nameEnd)) {
    return writeUserProperty(bytes, nameStart, nameEnd, false, target, position)
  }
  if (!startsWith(ESCAPE_PREFIX, bytes, nameStart, nameEnd)) return position
  return writeUserProperty(bytes, nameStart + ESCAPE_PREFIX.length, nameEnd, false, target, position)
}

function writeObeyed(bytes: Uint8Array, target: Uint8Array, position: number): number {
  if (isName(CONTENT_TYPE_NAME, bytes)) return writeBlockProperty(Table.CONTENT_TYPE, bytes, target, position)
  if (isName(RESPONSE_TOPIC_NAME, bytes)) return writeBlockProperty(Table.RESPONSE_TOPIC, bytes, target, position)
  if (isName(CORRELATION_DATA_NAME, bytes)) return writeBlockProperty(Table.CORRELATION_DATA, bytes, target, position)
  const value = readDecimal(bytes, cursor.valueStart, cursor.valueEnd)
  if (isName(PAYLOAD_FORMAT_NAME, bytes)) {
    return value === 0 || value === 1
      ? writeByteProperty(target, position, Table.PAYLOAD_FORMAT_INDICATOR, value)
      : drop(position)
  }
  if (isName(MESSAGE_EXPIRY_NAME, bytes)) {
    if (value === ABSENT) return drop(position)
    headersResult.messageExpiryInterval = value
    headersResult.messageExpiryPosition = position + 1
    return writeFourByteProperty(target, position, Table.MESSAGE_EXPIRY_INTERVAL, value)
  }
  if (isName(QOS_NAME, bytes)) {
    if (value === 1 || value === 2) headersResult.qos = value
    return position
  }
  if (isName(RETAIN_NAME, bytes)) headersResult.retain = value === 1
  return position
}

/** One header of a Kafka client. */
function writeForeign(bytes: Uint8Array, target: Uint8Array, position: number): number {
  const { nameStart, nameEnd, valueStart, valueEnd } = cursor
  if (!isMqttString(bytes, nameStart, nameEnd)) return drop(position)
  if (valueStart < 0 || !isMqttString(bytes, valueStart, valueEnd)) return writeBase64(bytes, target, position)
  return writeUserProperty(bytes, nameStart, nameEnd, isReserved(bytes, nameStart, nameEnd), target, position)
}

function writeUserProperty(
  bytes: Uint8Array,
  nameStart: number,
  nameEnd: number,
  escaped: boolean,
  target: Uint8Array,
  position: number
): number {
  const { valueStart, valueEnd } = cursor
  const nameLength = nameEnd - nameStart + (escaped ? ESCAPE_PREFIX.length : 0)
  const valueLength = valueEnd - valueStart
  if (nameLength > STRING_SIZE_MAX || valueLength > STRING_SIZE_MAX) return drop(position)
  target[position] = Table.USER_PROPERTY
  let next = writeTwoBytes(target, position + 1, nameLength)
  if (escaped) next = copyBytes(ESCAPE_PREFIX, 0, ESCAPE_PREFIX.length, target, next)
  next = copyBytes(bytes, nameStart, nameEnd, target, next)
  next = writeTwoBytes(target, next, valueLength)
  return copyBytes(bytes, valueStart, valueEnd, target, next)
}

/** `manifold-header-b64` = `name=base64` (null: `name`), padded as in RFC 4648, section 4. */
function writeBase64(bytes: Uint8Array, target: Uint8Array, position: number): number {
  const { nameStart, nameEnd, valueStart, valueEnd } = cursor
  const isNull = valueStart < 0
  const encodedLength = isNull ? 0 : Math.ceil((valueEnd - valueStart) / 3) * 4
  const textLength = nameEnd - nameStart + (isNull ? 0 : 1 + encodedLength)
  if (textLength > STRING_SIZE_MAX) return drop(position)
  target[position] = Table.USER_PROPERTY
  let next = writeTwoBytes(target, position + 1, BASE64_NAME.length)
  next = copyBytes(BASE64_NAME, 0, BASE64_NAME.length, target, next)
  next = writeTwoBytes(target, next, textLength)
  next = copyBytes(bytes, nameStart, nameEnd, target, next)
  if (isNull) return next
  target[next++] = EQUALS
  for (let read = valueStart; read < valueEnd; read += 3) {
    const left = valueEnd - read
    const first = bytes[read] as number
    const second = left > 1 ? (bytes[read + 1] as number) : 0
    const third = left > 2 ? (bytes[read + 2] as number) : 0
    target[next++] = BASE64_ALPHABET[first >> 2] as number
    target[next++] = BASE64_ALPHABET[((first & 3) << 4) | (second >> 4)] as number
    target[next++] = left > 1 ? (BASE64_ALPHABET[((second & 15) << 2) | (third >> 6)] as number) : EQUALS
    target[next++] = left > 2 ? (BASE64_ALPHABET[third & 63] as number) : EQUALS
  }
  return next
}

/** A string or binary property with the header's value. */
function writeBlockProperty(identifier: number, bytes: Uint8Array, target: Uint8Array, position: number): number {
  const { valueStart, valueEnd } = cursor
  if (valueStart < 0 || valueEnd - valueStart > STRING_SIZE_MAX) return drop(position)
  target[position] = identifier
  const next = writeTwoBytes(target, position + 1, valueEnd - valueStart)
  return copyBytes(bytes, valueStart, valueEnd, target, next)
}

function drop(position: number): number {
  headersResult.droppedCount++
  return position
}

/** Decimal digits to a number of at most 32 bits, or {@link ABSENT}. */
function readDecimal(bytes: Uint8Array, start: number, end: number): number {
  if (start < 0 || start === end || end - start > 10) return ABSENT
  let value = 0
  for (let position = start; position < end; position++) {
    const digit = (bytes[position] as number) - ZERO
    if (digit < 0 || digit > 9) return ABSENT
    value = value * 10 + digit
  }
  return value > FOUR_BYTES_MAX ? ABSENT : value
}

function isReserved(bytes: Uint8Array, start: number, end: number): boolean {
  return startsWith(MQTT_PREFIX, bytes, start, end) || startsWith(OWN_PREFIX, bytes, start, end)
}

function startsWith(prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < prefix.length) return false
  for (let index = 0; index < prefix.length; index++) {
    if (bytes[start + index] !== prefix[index]) return false
  }
  return true
}

/** Whether the cursor's header is called `name`. */
function isName(name: Uint8Array, bytes: Uint8Array): boolean {
  return cursor.nameEnd - cursor.nameStart === name.length && startsWith(name, bytes, cursor.nameStart, cursor.nameEnd)
}
