/**
 * Topic Names and Topic Filters as bytes: what may stand in them.
 *
 * Source: MQTT 5.0, sections 4.7 (wildcards, one character at least) and 4.8.2 (Shared Subscriptions); the same rules
 * without `$share` in MQTT 3.1.1, section 4.7. Shared Subscriptions are offered to every version here.
 * Invariant: one pass over the bytes, no recursion, whatever the number of levels.
 */
import { TOPIC_FILTER_INVALID } from "./reason-codes.ts"

const PLUS = 0x2b
const HASH = 0x23
const SLASH = 0x2f
const SHARE_PREFIX = new TextEncoder().encode("$share/")

/** Whether bytes[start, end) holds `+` or `#`. */
export function hasWildcard(bytes: Uint8Array, start: number, end: number): boolean {
  for (let position = start; position < end; position++) {
    const byte = bytes[position]
    if (byte === PLUS || byte === HASH) return true
  }
  return false
}

/** Whether bytes[start, end) begins with `$share/`: a Shared Subscription, well-formed or not. */
export function isSharedFilter(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < SHARE_PREFIX.length) return false
  for (let index = 0; index < SHARE_PREFIX.length; index++) {
    if (bytes[start + index] !== SHARE_PREFIX[index]) return false
  }
  return true
}

/**
 * Judges the Topic Filter in bytes[start, end), valid UTF-8 already: 0, or 0x8f where it is empty, where `+` or `#`
 * does not fill its level, where `#` is not last, or where `$share/` lacks a ShareName or a filter.
 */
export function checkTopicFilter(bytes: Uint8Array, start: number, end: number): number {
  if (!isSharedFilter(bytes, start, end)) return checkPlainFilter(bytes, start, end)
  let position = start + SHARE_PREFIX.length
  const shareNameStart = position
  while (position < end && bytes[position] !== SLASH) {
    const byte = bytes[position++]
    // [MQTT-4.8.2-2]
    if (byte === PLUS || byte === HASH) return TOPIC_FILTER_INVALID
  }
  if (position === shareNameStart || position === end) return TOPIC_FILTER_INVALID
  return checkPlainFilter(bytes, position + 1, end)
}

function checkPlainFilter(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return TOPIC_FILTER_INVALID
  for (let position = start; position < end; position++) {
    const byte = bytes[position]
    if (byte !== PLUS && byte !== HASH) continue
    const beginsLevel = position === start || bytes[position - 1] === SLASH
    const isLast = position + 1 === end
    const endsLevel = isLast || (byte === PLUS && bytes[position + 1] === SLASH)
    if (!beginsLevel || !endsLevel) return TOPIC_FILTER_INVALID
  }
  return 0
}

/** Levels of the Topic Name or Topic Filter in bytes[start, end): slashes and one. */
export function countTopicLevels(bytes: Uint8Array, start: number, end: number): number {
  let levels = 1
  for (let position = start; position < end; position++) {
    if (bytes[position] === SLASH) levels++
  }
  return levels
}
