/**
 * `$delayed/<seconds>/<topic name>`: a message that is published on the topic name later.
 *
 * Up to {@link DELAY_SECONDS_MAX} the number is a delay, above it a time in seconds since 1970. Nothing else is a number: no sign, no
 * blank, no fraction. A time that has passed, like a delay of 0, means at once.
 *
 * Source: the forms of EMQX (Delayed Publish) and RobustMQ, whose longest delay this is.
 */
import { checkTopicNameBytes } from "../../../core/mod.ts"
import { isReserved } from "../reserved-names.ts"

const encoder = new TextEncoder()
const PREFIX = encoder.encode("$delayed/")
const SLASH = 0x2f
const ZERO = 0x30
/** About 497 days. */
export const DELAY_SECONDS_MAX = 42_949_669
/** More digits than any time that is allowed has. */
const DIGITS_MAX = 12

/** The form is wrong, or the time is too far away. */
export const DELAY_INVALID = -1

/** What {@link parseDelayed} found besides the time: where the topic name begins. Holds until its next call. */
export const delayedTopic = { start: 0 }

/** Whether the name in `bytes[start, end)` begins with `$delayed/`. */
export function isDelayed(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= PREFIX.length && PREFIX.every((byte, index) => bytes[start + index] === byte)
}

/**
 * Reads a name for which {@link isDelayed} holds: the time at which its message is due, ms since 1970, 0 = at once; or
 * {@link DELAY_INVALID}. Sets {@link delayedTopic}.
 */
export function parseDelayed(bytes: Uint8Array, start: number, end: number, nowMs: number): number {
  let at = start + PREFIX.length
  const firstDigit = at
  let seconds = 0
  for (; at < end && bytes[at] !== SLASH; at++) {
    const digit = (bytes[at] as number) - ZERO
    if (digit < 0 || digit > 9 || at - firstDigit >= DIGITS_MAX) return DELAY_INVALID
    seconds = seconds * 10 + digit
  }
  // No number, or nothing behind it.
  if (at === firstDigit || at >= end - 1) return DELAY_INVALID
  const topicStart = at + 1
  if (checkTopicNameBytes(bytes, topicStart, end) !== 0) return DELAY_INVALID
  // One that would be refused when its time has come is refused now; nor is a delay delayed.
  if (isReserved(bytes, topicStart, end) || isDelayed(bytes, topicStart, end)) return DELAY_INVALID
  delayedTopic.start = topicStart
  if (seconds <= DELAY_SECONDS_MAX) return seconds === 0 ? 0 : nowMs + seconds * 1_000
  const dueAtMs = seconds * 1_000
  if (dueAtMs > nowMs + DELAY_SECONDS_MAX * 1_000) return DELAY_INVALID
  return dueAtMs <= nowMs ? 0 : dueAtMs
}

/** Whether a topic name that begins with `$delayed/` is none that could be published on. */
export function isDelayedWrong(name: string, nowMs: number): boolean {
  if (!name.startsWith("$delayed/")) return false
  const bytes = encoder.encode(name)
  return parseDelayed(bytes, 0, bytes.length, nowMs) === DELAY_INVALID
}
