/**
 * Operations on a store's database, as bytes: the pieces of a checkpoint. Those on partitions are as they stand in the journal.
 *
 * Invariant: what an operation does a second time changes nothing.
 * Source: docs/formats/sqlite.md, "Operations".
 */
import { ByteReader, type ByteWriter } from "../../../core/link/mod.ts"
import { type PartitionTarget, readPartitionOperation } from "../../../core/log/mod.ts"

/** A key that is not in the database, as far as its sender knows. */
export const KEY_NEW = 1
export const KEY_PUT = 2
export const KEY_REMOVED = 3
export const KEYS_REMOVED = 4

/** Who does what operations say. Bytes are borrowed until a call returns. */
export interface OperationTarget extends PartitionTarget {
  keyPut(key: Uint8Array, value: Uint8Array, isNew: boolean): void
  keyRemoved(key: Uint8Array): void
  keysRemoved(start: Uint8Array, end: Uint8Array): void
}

export function writePut(writer: ByteWriter, key: Uint8Array, value: Uint8Array, isNew: boolean): void {
  writer.uint8(isNew ? KEY_NEW : KEY_PUT)
  writer.block(key, 0, key.length)
  writer.raw(value, 0, value.length)
}

export function writeRemoved(writer: ByteWriter, key: Uint8Array): void {
  writer.uint8(KEY_REMOVED)
  writer.raw(key, 0, key.length)
}

export function writeRangeRemoved(writer: ByteWriter, start: Uint8Array, end: Uint8Array): void {
  writer.uint8(KEYS_REMOVED)
  writer.block(start, 0, start.length)
  writer.raw(end, 0, end.length)
}

const reader = new ByteReader()

/** Has `target` do the operation in `bytes[start, end)`. */
export function readOperation(bytes: Uint8Array, start: number, end: number, target: OperationTarget): void {
  const { position } = reader.reset(bytes, start, end)
  switch (bytes[position]) {
    case KEY_NEW:
    case KEY_PUT: {
      const isNew = reader.uint8() === KEY_NEW
      const keyStart = reader.blockStart()
      target.keyPut(bytes.subarray(keyStart, reader.position), bytes.subarray(reader.position, end), isNew)
      return
    }
    case KEY_REMOVED:
      target.keyRemoved(bytes.subarray(start + 1, end))
      return
    case KEYS_REMOVED: {
      reader.uint8()
      const keyStart = reader.blockStart()
      target.keysRemoved(bytes.subarray(keyStart, reader.position), bytes.subarray(reader.position, end))
      return
    }
    default:
      readPartitionOperation(bytes, start, end, target)
  }
}
