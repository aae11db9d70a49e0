/**
 * Operations on a store's database, as bytes: the pieces of a checkpoint, and, for those on partitions, the bodies of operations in the
 * journal (kind 2).
 *
 * Invariant: what an operation does a second time changes nothing; an append to a log whose end lies past its base offset cuts it first.
 * Source: docs/formats/sqlite.md, "Operations".
 */
import { ByteReader, type ByteWriter } from "../../../core/link/mod.ts"
import { recordBatch } from "../../../core/log/mod.ts"

/** A key that is not in the database, as far as its sender knows. */
export const KEY_NEW = 1
export const KEY_PUT = 2
export const KEY_REMOVED = 3
export const KEYS_REMOVED = 4
export const PARTITION_MADE = 16
export const BATCH_APPENDED = 17
export const LOG_CUT = 18
export const LOG_DELETED = 19
export const PARTITION_REMOVED = 20

/** Bytes before the batch in {@link BATCH_APPENDED}. */
export const APPEND_HEAD_BYTES = 17

/** Who does what operations say. Bytes are borrowed until a call returns. */
export interface OperationTarget {
  keyPut(key: Uint8Array, value: Uint8Array, isNew: boolean): void
  keyRemoved(key: Uint8Array): void
  keysRemoved(start: Uint8Array, end: Uint8Array): void
  partitionMade(id: number, tenant: number, topicId: string, partition: number): void
  /** `bytes[start, end)` is a batch with its base offset and leader epoch. */
  batchAppended(id: number, appendedAtMs: number, bytes: Uint8Array, start: number, end: number): void
  /** The log ends at `end`, under a new leader epoch. */
  logCut(id: number, end: number, leaderEpoch: number): void
  /** The log starts at `start`. */
  logDeleted(id: number, start: number): void
  partitionRemoved(id: number): void
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

export function writeMade(writer: ByteWriter, id: number, tenant: number, topicId: string, partition: number): void {
  writer.uint8(PARTITION_MADE)
  writer.uint53(id)
  writer.uint53(tenant)
  writer.uint53(partition)
  writer.text(topicId)
}

/** What stands before the batch. */
export function writeAppendHead(writer: ByteWriter, id: number, appendedAtMs: number): void {
  writer.uint8(BATCH_APPENDED)
  writer.uint53(id)
  writer.uint53(appendedAtMs)
}

export function writeCut(writer: ByteWriter, id: number, end: number, leaderEpoch: number): void {
  writer.uint8(LOG_CUT)
  writer.uint53(id)
  writer.uint53(end)
  writer.uint32(leaderEpoch)
}

export function writeDeleted(writer: ByteWriter, id: number, start: number): void {
  writer.uint8(LOG_DELETED)
  writer.uint53(id)
  writer.uint53(start)
}

export function writePartitionRemoved(writer: ByteWriter, id: number): void {
  writer.uint8(PARTITION_REMOVED)
  writer.uint53(id)
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
    case PARTITION_MADE: {
      reader.uint8()
      const id = reader.uint53()
      const tenant = reader.uint53()
      const partition = reader.uint53()
      target.partitionMade(id, tenant, reader.text(), partition)
      return
    }
    case BATCH_APPENDED: {
      reader.uint8()
      const id = reader.uint53()
      target.batchAppended(id, reader.uint53(), bytes, reader.position, end)
      return
    }
    case LOG_CUT: {
      reader.uint8()
      const id = reader.uint53()
      const logEnd = reader.uint53()
      target.logCut(id, logEnd, reader.uint32())
      return
    }
    case LOG_DELETED:
      reader.uint8()
      target.logDeleted(reader.uint53(), reader.uint53())
      return
    case PARTITION_REMOVED:
      reader.uint8()
      target.partitionRemoved(reader.uint53())
      return
    default:
      throw new Error(`an operation of an unknown kind, ${bytes[position] ?? "empty"}`)
  }
}

/** One past the offset of the last record of the batch at `start`. */
export function endOffsetOf(bytes: Uint8Array, start: number): number {
  return recordBatch.baseOffset(bytes, start) + recordBatch.recordCount(bytes, start)
}
