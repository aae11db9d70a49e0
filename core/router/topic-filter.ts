/**
 * Topic names and topic filters: which are valid, and which name a filter matches.
 *
 * Source: MQTT 5.0, section 4.7 (names, filters, wildcards, `$`) and 4.8.2 (shared subscriptions).
 * Invariants: a name or filter has 1 to 65,535 bytes of UTF-8 without U+0000 and at most {@link TOPIC_LEVELS_MAX} levels; levels
 * may be empty; every comparison is by code unit, nothing is normalised [MQTT-4.7.3-4].
 */
import { isWellFormedUtf8, NOT_WELL_FORMED, utf8Length } from "./utf8.ts"

/** Levels of a topic name or filter; beyond it every walk over levels would be the client's to lengthen. */
export const TOPIC_LEVELS_MAX = 128
/** Bytes of a topic name or filter in UTF-8 [MQTT-4.7.3-3]. */
export const TOPIC_BYTES_MAX = 65_535

/** The name or filter is valid. */
export const TOPIC_VALID = 0
/** It has no character [MQTT-4.7.3-1]. */
export const TOPIC_EMPTY = -1
/** It has more than {@link TOPIC_BYTES_MAX} bytes. */
export const TOPIC_TOO_LONG = -2
/** It is not well-formed UTF-8, or holds U+0000 [MQTT-4.7.3-2]. */
export const TOPIC_NOT_WELL_FORMED = -3
/** It has more than {@link TOPIC_LEVELS_MAX} levels. */
export const TOPIC_TOO_DEEP = -4
/** A name holds a wildcard [MQTT-4.7.0-1]. */
export const NAME_HAS_WILDCARD = -5
/** A wildcard of a filter shares its level with something else [MQTT-4.7.1-1], [MQTT-4.7.1-2]. */
export const WILDCARD_NOT_ALONE = -6
/** A `#` is not the filter's last level [MQTT-4.7.1-1]. */
export const WILDCARD_NOT_LAST = -7
/** `$share//...`: the share name has no character [MQTT-4.8.2-1]. */
export const SHARE_NAME_EMPTY = -8
/** The share name holds a wildcard [MQTT-4.8.2-2]. */
export const SHARE_NAME_HAS_WILDCARD = -9
/** `$share/name` or `$share/name/`: no filter follows the share name [MQTT-4.8.2-2]. */
export const SHARE_FILTER_MISSING = -10
/** The filter behind the share name is itself a shared one. */
export const SHARE_NESTED = -11

/** What to tell a person of each refusal. */
export const TOPIC_REFUSALS: Readonly<Record<number, string>> = {
  [TOPIC_EMPTY]: "has no character",
  [TOPIC_TOO_LONG]: `has more than ${TOPIC_BYTES_MAX} bytes`,
  [TOPIC_NOT_WELL_FORMED]: "is not well-formed UTF-8 or holds U+0000",
  [TOPIC_TOO_DEEP]: `has more than ${TOPIC_LEVELS_MAX} levels`,
  [NAME_HAS_WILDCARD]: "is a topic name and holds a wildcard",
  [WILDCARD_NOT_ALONE]: "has a wildcard that is not a whole level",
  [WILDCARD_NOT_LAST]: "has a # that is not its last level",
  [SHARE_NAME_EMPTY]: "has an empty share name",
  [SHARE_NAME_HAS_WILDCARD]: "has a wildcard in its share name",
  [SHARE_FILTER_MISSING]: "has no topic filter behind its share name",
  [SHARE_NESTED]: "shares a filter that is already shared"
}

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const SHARE_PREFIX = "$share/"

/** {@link TOPIC_VALID}, or why `name` is no topic name. */
export function checkTopicName(name: string): number {
  const refusal = checkText(name)
  if (refusal !== TOPIC_VALID) return refusal
  let levels = 1
  for (let position = 0; position < name.length; position++) {
    const unit = name.charCodeAt(position)
    if (unit === PLUS || unit === HASH) return NAME_HAS_WILDCARD
    if (unit === SLASH) levels += 1
  }
  return levels > TOPIC_LEVELS_MAX ? TOPIC_TOO_DEEP : TOPIC_VALID
}

/** {@link checkTopicName} of the bytes `bytes[start, end)`, with no string made. */
export function checkTopicNameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return TOPIC_EMPTY
  if (end - start > TOPIC_BYTES_MAX) return TOPIC_TOO_LONG
  if (!isWellFormedUtf8(bytes, start, end)) return TOPIC_NOT_WELL_FORMED
  let levels = 1
  for (let position = start; position < end; position++) {
    const byte = bytes[position]
    if (byte === PLUS || byte === HASH) return NAME_HAS_WILDCARD
    if (byte === SLASH) levels += 1
  }
  return levels > TOPIC_LEVELS_MAX ? TOPIC_TOO_DEEP : TOPIC_VALID
}

/** {@link TOPIC_VALID}, or why `filter` is no topic filter. What {@link parseShared} takes apart is checked there. */
export function checkTopicFilter(filter: string): number {
  const refusal = checkText(filter)
  if (refusal !== TOPIC_VALID) return refusal
  const length = filter.length
  let levels = 1
  for (let position = 0; position < length; position++) {
    const unit = filter.charCodeAt(position)
    if (unit === SLASH) levels += 1
    else if (unit === PLUS || unit === HASH) {
      const begins = position === 0 || filter.charCodeAt(position - 1) === SLASH
      const isLast = position === length - 1
      if (!begins || !(isLast || filter.charCodeAt(position + 1) === SLASH)) return WILDCARD_NOT_ALONE
      if (unit === HASH && !isLast) return WILDCARD_NOT_LAST
    }
  }
  return levels > TOPIC_LEVELS_MAX ? TOPIC_TOO_DEEP : TOPIC_VALID
}

/** A shared subscription taken apart. */
export interface SharedFilter {
  /** The share name. */
  readonly group: string
  /** The topic filter behind it, valid. */
  readonly filter: string
}

/**
 * The parts of `$share/group/filter`; undefined where `filter` does not begin with `$share/` (then {@link checkTopicFilter} tells
 * whether it is valid); else a refusal.
 */
export function parseShared(filter: string): SharedFilter | number | undefined {
  if (!filter.startsWith(SHARE_PREFIX)) return undefined
  const refusal = checkText(filter)
  if (refusal !== TOPIC_VALID) return refusal
  const slash = filter.indexOf("/", SHARE_PREFIX.length)
  const group = filter.slice(SHARE_PREFIX.length, slash < 0 ? filter.length : slash)
  if (group === "") return SHARE_NAME_EMPTY
  if (hasWildcard(group)) return SHARE_NAME_HAS_WILDCARD
  const shared = slash < 0 ? "" : filter.slice(slash + 1)
  if (shared === "") return SHARE_FILTER_MISSING
  if (shared.startsWith(SHARE_PREFIX)) return SHARE_NESTED
  const sharedRefusal = checkTopicFilter(shared)
  return sharedRefusal === TOPIC_VALID ? { group, filter: shared } : sharedRefusal
}

/** Whether a valid filter can match more than one name. */
export function hasWildcard(filter: string): boolean {
  return filter.includes("+") || filter.includes("#")
}

/** The leading levels of a valid filter, joined by `/`, as far as they are literal, at most `levelsMax` of them. */
export function literalPrefix(filter: string, levelsMax = 2): string {
  let end = 0
  let start = 0
  for (let levels = 0; levels < levelsMax && start <= filter.length; levels++) {
    const unit = filter.charCodeAt(start)
    if (unit === PLUS || unit === HASH) break
    const slash = filter.indexOf("/", start)
    end = slash < 0 ? filter.length : slash
    start = end + 1
  }
  return filter.slice(0, end)
}

/**
 * Whether a valid filter matches a valid name: the plain statement of section 4.7, which the indices are tested against.
 * It allocates; what runs once a message asks {@link FilterIndex} instead.
 */
export function matches(filter: string, name: string): boolean {
  // A filter that begins with a wildcard does not match a name that begins with "$" [MQTT-4.7.2-1].
  if (name.startsWith("$") && (filter.startsWith("+") || filter.startsWith("#"))) return false
  const filterLevels = filter.split("/")
  const nameLevels = name.split("/")
  for (const [index, level] of filterLevels.entries()) {
    // "#" stands for any number of levels, none included: "a/#" matches "a".
    if (level === "#") return true
    if (index >= nameLevels.length) return false
    if (level !== "+" && level !== nameLevels[index]) return false
  }
  return filterLevels.length === nameLevels.length
}

function checkText(text: string): number {
  if (text === "") return TOPIC_EMPTY
  // No UTF-8 is shorter than one byte a code unit: this spares a long text the walk.
  if (text.length > TOPIC_BYTES_MAX) return TOPIC_TOO_LONG
  const length = utf8Length(text)
  if (length === NOT_WELL_FORMED) return TOPIC_NOT_WELL_FORMED
  return length > TOPIC_BYTES_MAX ? TOPIC_TOO_LONG : TOPIC_VALID
}
