/**
 * How the keys of core's key-value state begin: one place, so that no two kinds of state can meet.
 *
 * Invariant: no prefix is the beginning of another. What is behind it belongs to the kind alone; a range over one kind is
 * [prefix, {@link prefixEnd}(prefix)). docs/formats/state.md says what the rows hold.
 */
const encoder = new TextEncoder()

/** Retained messages: tenant (4 bytes), topic name. */
export const RETAINED_PREFIX = encoder.encode("retained")
/** Messages of the queue log: offset (8 bytes). */
export const QUEUE_MESSAGE_PREFIX = encoder.encode("qm")
/** Queue log, by name: tenant (4 bytes), topic name, a zero byte, offset (8 bytes). */
export const QUEUE_NAME_PREFIX = encoder.encode("qn")
/** The state of the queue log: one row. */
export const QUEUE_STATE_PREFIX = encoder.encode("qs")

/** Kept for durable sessions: sessions, subscriptions, positions, what is in flight, wills and delayed messages, tokens of what crossed. */
export const SESSION_PREFIX = encoder.encode("s")
export const SUBSCRIPTION_PREFIX = encoder.encode("u")
export const POSITION_PREFIX = encoder.encode("p")
export const INFLIGHT_PREFIX = encoder.encode("i")
export const WILL_PREFIX = encoder.encode("w")
export const TOKEN_PREFIX = encoder.encode("t")
/** Who was banned, and when. */
export const BAN_LOG_PREFIX = encoder.encode("bl")
/** What the two sessions of a bridge were made for: its name. */
export const BRIDGE_PREFIX = encoder.encode("br")

/** From where on the log of a partition in memory begins the next time: tenant (4 bytes), topic id, a zero byte, partition (4 bytes). */
export const LOG_OFFSET_PREFIX = encoder.encode("lo")
/** Idempotent producers of a partition that is kept: tenant (4 bytes), topic id, a zero byte, partition (4 bytes). */
export const PRODUCERS_PREFIX = encoder.encode("lp")

/** Kafka's consumer groups: tenant (4 bytes), group id; and what they have committed: the same with the id's length before it, topic id, partition. */
export const KAFKA_GROUP_PREFIX = encoder.encode("kg")
export const KAFKA_OFFSET_PREFIX = encoder.encode("ko")

/** Every prefix that core uses or has kept. */
export const KEY_PREFIXES: ReadonlyArray<Uint8Array> = [
  RETAINED_PREFIX,
  QUEUE_MESSAGE_PREFIX,
  QUEUE_NAME_PREFIX,
  QUEUE_STATE_PREFIX,
  SESSION_PREFIX,
  SUBSCRIPTION_PREFIX,
  POSITION_PREFIX,
  INFLIGHT_PREFIX,
  WILL_PREFIX,
  TOKEN_PREFIX,
  BAN_LOG_PREFIX,
  BRIDGE_PREFIX,
  LOG_OFFSET_PREFIX,
  PRODUCERS_PREFIX,
  KAFKA_GROUP_PREFIX,
  KAFKA_OFFSET_PREFIX
]

/** The first key behind all that begin with `prefix`, whose last byte is below 255. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const end = prefix.slice()
  const last = end.length - 1
  end[last] = (end[last] ?? 0) + 1
  return end
}
