/**
 * Kafka's murmur2 and the partition it gives a key, so that Kafka producers and MQTT publishers agree on the partition.
 *
 * Source: Kafka's Java client, `org.apache.kafka.common.utils.Utils.murmur2` and `toPositive`; MurmurHash2 by Austin
 * Appleby with the seed 0x9747b28c.
 * Invariant: same bytes, same number as the Java client gives, signed 32 bits; nothing is allocated.
 */

const SEED = 0x9747b28c
const MULTIPLIER = 0x5bd1e995

/** The hash of `bytes[start, end)`, a signed 32-bit number. The range must lie inside `bytes`. */
export function murmur2(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  let hash = SEED ^ length
  let position = start
  for (const last = end - 4; position <= last; position += 4) {
    let word =
      bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)
    word = Math.imul(word, MULTIPLIER)
    word ^= word >>> 24
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER)
  }
  const rest = end - position
  if (rest === 3) hash ^= bytes[position + 2]! << 16
  if (rest >= 2) hash ^= bytes[position + 1]! << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[position]!, MULTIPLIER)
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}

/** The partition of the key `bytes[start, end)` among `partitions` (at least 1): 0 to `partitions` - 1. */
export function partitionForKey(bytes: Uint8Array, start: number, end: number, partitions: number): number {
  // Java's toPositive drops the sign bit; it does not negate.
  return (murmur2(bytes, start, end) & 0x7fffffff) % partitions
}
