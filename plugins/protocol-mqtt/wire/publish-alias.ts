/**
 * A PUBLISH of version 5 with a Topic Alias, made of the frame that has none: so one encoding serves all subscribers still.
 *
 * Source: MQTT 5.0, section 3.3.2.3.4.
 */
import { copyBytes } from "../../../core/log/mod.ts"
import { readTwoBytes } from "./properties.ts"
import { TOPIC_ALIAS } from "./property-table.ts"
import { writeTwoBytes } from "./property-writers.ts"
import { decode, encode, size } from "./variable-byte-integer.ts"

/** Bytes of the property. */
const ALIAS_BYTES = 3

/**
 * Bytes of the frame `bytes[start, end)` with an alias: in place of its topic name where the client knows it, else beside it. `qos` is the
 * frame's.
 */
export function aliasedSize(bytes: Uint8Array, start: number, end: number, qos: number, isKnown: boolean): number {
  const remaining = aliasedRemaining(bytes, start, end, qos, isKnown)
  return 1 + size(remaining) + remaining
}

function aliasedRemaining(bytes: Uint8Array, start: number, end: number, qos: number, isKnown: boolean): number {
  const before = decode(bytes, start + 1, end)
  const topicAt = start + 1 + size(before)
  const topicLength = readTwoBytes(bytes, topicAt)
  const properties = decode(bytes, topicAt + 2 + topicLength + (qos === 0 ? 0 : 2), end)
  const lengthGrowth = size(properties + ALIAS_BYTES) - size(properties)
  return before + ALIAS_BYTES + lengthGrowth - (isKnown ? topicLength : 0)
}

/** Writes the frame with the alias at `position` (there must be room: {@link aliasedSize}); `packetIdentifier` is 0 with QoS 0. */
export function writeAliased(
  bytes: Uint8Array,
  start: number,
  end: number,
  qos: number,
  target: Uint8Array,
  position: number,
  packetIdentifier: number,
  alias: number,
  isKnown: boolean
): number {
  const topicAt = start + 1 + size(decode(bytes, start + 1, end))
  const topicLength = readTwoBytes(bytes, topicAt)
  const propertiesAt = topicAt + 2 + topicLength + (qos === 0 ? 0 : 2)
  const properties = decode(bytes, propertiesAt, end)
  target[position] = bytes[start] as number
  let next = encode(aliasedRemaining(bytes, start, end, qos, isKnown), target, position + 1)
  next = writeTwoBytes(target, next, isKnown ? 0 : topicLength)
  if (!isKnown) next = copyBytes(bytes, topicAt + 2, topicAt + 2 + topicLength, target, next)
  if (qos !== 0) next = writeTwoBytes(target, next, packetIdentifier)
  next = encode(properties + ALIAS_BYTES, target, next)
  target[next] = TOPIC_ALIAS
  next = writeTwoBytes(target, next + 1, alias)
  return copyBytes(bytes, propertiesAt + size(properties), end, target, next)
}
