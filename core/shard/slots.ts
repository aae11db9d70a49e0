/**
 * Slots: the 1,024 fixed parts of all owned state. What has an owner hashes to a slot; a slot belongs to one shard at a time.
 *
 * The hash is 32-bit FNV-1a over UTF-8 with a final mix; it is part of the contract between nodes and must not change.
 */

export const SLOT_COUNT = 1024

const encoder = new TextEncoder()
const scratch = new Uint8Array(4096)

/** The slot of `kind` and `name` within a tenant. Kinds keep name spaces apart: "client", "topic", "name", "group". */
export function slotOf(tenant: number, kind: SlotKind, name: string, part = 0): number {
  let hash = 0x811c9dc5 ^ tenant
  hash = Math.imul(hash, 0x01000193) ^ kind
  hash = Math.imul(hash, 0x01000193) ^ part
  hash = Math.imul(hash, 0x01000193)
  const written = name.length * 3 <= scratch.length ? encoder.encodeInto(name, scratch).written : -1
  const bytes = written < 0 ? encoder.encode(name) : scratch
  const length = written < 0 ? bytes.length : written
  for (let index = 0; index < length; index++) {
    hash = Math.imul(hash ^ (bytes[index] ?? 0), 0x01000193)
  }
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  return (hash >>> 0) % SLOT_COUNT
}

export const SLOT_CLIENT = 1
/** A partition of a topic; `part` is the partition's number. */
export const SLOT_TOPIC = 2
/** A topic name that no topic claims. */
export const SLOT_NAME = 3
/** A group of consumers that share what they read. */
export const SLOT_GROUP = 4
export type SlotKind = typeof SLOT_CLIENT | typeof SLOT_TOPIC | typeof SLOT_NAME | typeof SLOT_GROUP

/** Deals the slots to `shards` shards in turn. */
export function dealSlots(shards: number): Uint16Array {
  return Uint16Array.from({ length: SLOT_COUNT }, (_, slot) => slot % shards)
}
