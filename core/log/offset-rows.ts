/**
 * The rows that say which offsets of a partition in memory were given out, byte by byte: docs/formats/state.md, "Offset rows".
 *
 * Invariant: a partition has one row at most, under a key that no other has.
 */
import { LOG_OFFSET_PREFIX } from "../kv/key-prefixes.ts"
import { ByteReader, ByteWriter } from "../link/bytes.ts"
import { type LogStart, type PartitionKey, StorageError, Unusable } from "./Engines.ts"

/** First byte of every value; another one is a form that this version does not know. */
const ROW_FORMAT = 1
const ROW_BYTES = 13

const encoder = new TextEncoder()

/** The key of a partition's row. */
export function offsetKey(key: PartitionKey): Uint8Array {
  return partitionRowKey(LOG_OFFSET_PREFIX, key)
}

/** The key of a row of which a partition has one, among those that begin with `prefix`. */
export function partitionRowKey(prefix: Uint8Array, { tenant, topicId, partition }: PartitionKey): Uint8Array {
  const writer = new ByteWriter()
  writer.raw(prefix, 0, prefix.length)
  writer.uint32(tenant)
  const id = encoder.encode(topicId)
  writer.raw(id, 0, id.length)
  // No id holds a zero byte: what follows belongs to this one.
  writer.uint8(0)
  writer.uint32(partition)
  return writer.bytes.slice(0, writer.length)
}

/** Where the log is to begin the next time. */
export function encodeLogStart({ offset, leaderEpoch }: LogStart): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(ROW_FORMAT)
  writer.uint53(offset)
  writer.uint32(leaderEpoch)
  return writer.bytes.slice(0, writer.length)
}

/** Throws {@link StorageError} where the row is of a newer release, or damaged. */
export function decodeLogStart(value: Uint8Array): LogStart {
  if (value[0] !== ROW_FORMAT || value.length !== ROW_BYTES) {
    const form = `form ${value[0] ?? "none"} and ${value.length} bytes`
    const message = `the row of its offsets has ${form}; this version reads form ${ROW_FORMAT} of ${ROW_BYTES}`
    throw new StorageError({ engine: "journal", reason: new Unusable({ message }) })
  }
  const reader = new ByteReader().reset(value, 1, value.length)
  return { offset: reader.uint53(), leaderEpoch: reader.uint32() }
}
