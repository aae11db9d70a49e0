/**
 * Writing single properties, and the properties of a PUBLISH that goes on to a subscriber.
 *
 * Source: MQTT 5.0, sections 1.5 (data types) and 2.2.2. Every writer puts the identifier and the value at `position`
 * (there must be room) and returns the position after it.
 */
import { copyBytes } from "../../../core/log/mod.ts"
import { ABSENT, nextProperty } from "./properties.ts"
import { MESSAGE_EXPIRY_INTERVAL, SUBSCRIPTION_IDENTIFIER, TOPIC_ALIAS, USER_PROPERTY } from "./property-table.ts"
import { encode } from "./variable-byte-integer.ts"

export function writeByteProperty(target: Uint8Array, position: number, identifier: number, value: number): number {
  target[position] = identifier
  target[position + 1] = value
  return position + 2
}

export function writeTwoByteProperty(target: Uint8Array, position: number, identifier: number, value: number): number {
  target[position] = identifier
  return writeTwoBytes(target, position + 1, value)
}

export function writeFourByteProperty(target: Uint8Array, position: number, identifier: number, value: number): number {
  target[position] = identifier
  return writeFourBytes(target, position + 1, value)
}

/** For the Subscription Identifier, whose value is a Variable Byte Integer. */
export function writeVariableProperty(target: Uint8Array, position: number, identifier: number, value: number): number {
  target[position] = identifier
  return encode(value, target, position + 1)
}

/** For strings (UTF-8 already) and Binary Data: bytes[start, end), at most 65,535 bytes. */
export function writeBytesProperty(
  target: Uint8Array,
  position: number,
  identifier: number,
  bytes: Uint8Array,
  start: number,
  end: number
): number {
  target[position] = identifier
  return writeBlock(target, position + 1, bytes, start, end)
}

/** Name and value in UTF-8, at most 65,535 bytes each. */
export function writeUserProperty(target: Uint8Array, position: number, name: Uint8Array, value: Uint8Array): number {
  target[position] = USER_PROPERTY
  const next = writeBlock(target, position + 1, name, 0, name.length)
  return writeBlock(target, next, value, 0, value.length)
}

/** Two bytes, high first. */
export function writeTwoBytes(target: Uint8Array, position: number, value: number): number {
  target[position] = value >>> 8
  target[position + 1] = value
  return position + 2
}

/** Four bytes, high first. */
export function writeFourBytes(target: Uint8Array, position: number, value: number): number {
  target[position] = value >>> 24
  target[position + 1] = value >>> 16
  target[position + 2] = value >>> 8
  target[position + 3] = value
  return position + 4
}

/** A two-byte length and bytes[start, end). */
export function writeBlock(
  target: Uint8Array,
  position: number,
  bytes: Uint8Array,
  start: number,
  end: number
): number {
  return copyBytes(bytes, start, end, target, writeTwoBytes(target, position, end - start))
}

/**
 * Copies PUBLISH properties bytes[start, end), scanned before, as a server may send them on: without Topic Alias and
 * Subscription Identifiers, which belong to one connection, and with `messageExpiryInterval` (seconds left) in place
 * of the received one ({@link ABSENT}: kept). Everything else keeps its bytes and order. Never longer than the source.
 */
export function copyDeliveredProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  messageExpiryInterval: number,
  target: Uint8Array,
  position: number
): number {
  let read = start
  let written = position
  while (read < end) {
    const next = nextProperty(bytes, read)
    const identifier = bytes[read]
    if (identifier === MESSAGE_EXPIRY_INTERVAL && messageExpiryInterval !== ABSENT) {
      written = writeFourByteProperty(target, written, MESSAGE_EXPIRY_INTERVAL, messageExpiryInterval)
    } else if (identifier !== TOPIC_ALIAS && identifier !== SUBSCRIPTION_IDENTIFIER) {
      written = copyBytes(bytes, read, next, target, written)
    }
    read = next
  }
  return written
}
