/**
 * Operations on partitions, as bytes: the bodies of operations in the journal, of every engine that is fed from there, and what a
 * checkpoint hands on.
 *
 * Invariant: what an operation does a second time changes nothing; an append to a log whose end lies past its base offset cuts it first.
 * Source: docs/formats/journal.md, "Operations on partitions".
 */
import { ByteReader, type ByteWriter } from "../link/bytes.ts"
import * as recordBatch from "./record-batch.ts"

export const PARTITION_MADE = 16
export const BATCH_APPENDED = 17
export const LOG_CUT = 18
export const LOG_DELETED = 19
export const PARTITION_REMOVED = 20
export const LOG_BEGUN = 21

/** Bytes before the batch in {@link BATCH_APPENDED}. */
export const APPEND_HEAD_BYTES = 17

/** Who does what operations say. Bytes are borrowed until a call returns. */
export interface PartitionTarget {
  partitionMade(id: number, tenant: number, topicId: string, partition: number): void
  /** `bytes[start, end)` is a batch with its base offset and leader epoch. */
  batchAppended(id: number, appendedAtMs: number, bytes: Uint8Array, start: number, end: number): void
  /** The log ends at `end`, under a new leader epoch. */
  logCut(id: number, end: number, leaderEpoch: number): void
  /** The log starts at `start`. */
  logDeleted(id: number, start: number): void
  partitionRemoved(id: number): void
  /** The log holds nothing, and its next batch has an offset of at least `start` and a leader epoch of at least that. */
  logBegun(id: number, start: number, leaderEpoch: number): void
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

export function writeBegun(writer: ByteWriter, id: number, start: number, leaderEpoch: number): void {
  writer.uint8(LOG_BEGUN)
  writer.uint53(id)
  writer.uint53(start)
  writer.uint32(leaderEpoch)
}

const reader = new ByteReader()

/** Has `target` do the operation in `bytes[start, end)`. Throws where it is none of these. */
export function readPartitionOperation(bytes: Uint8Array, start: number, end: number, target: PartitionTarget): void {
  reader.reset(bytes, start, end)
  switch (reader.uint8()) {
    case PARTITION_MADE: {
      const id = reader.uint53()
      const tenant = reader.uint53()
      const partition = reader.uint53()
      target.partitionMade(id, tenant, reader.text(), partition)
      return
    }
    case BATCH_APPENDED: {
      const id = reader.uint53()
      target.batchAppended(id, reader.uint53(), bytes, reader.position, end)
      return
    }
    case LOG_CUT: {
      const id = reader.uint53()
      const logEnd = reader.uint53()
      target.logCut(id, logEnd, reader.uint32())
      return
    }
    case LOG_DELETED:
      target.logDeleted(reader.uint53(), reader.uint53())
      return
    case PARTITION_REMOVED:
      target.partitionRemoved(reader.uint53())
      return
    case LOG_BEGUN: {
      const id = reader.uint53()
      const start = reader.uint53()
      target.logBegun(id, start, reader.uint32())
      return
    }
    default:
      throw new Error(`an operation of an unknown kind, ${bytes[start] ?? "empty"}`)
  }
}

/** One past the last offset of the batch at `start`, whether or not compaction has left a record there. */
export function endOffsetOf(bytes: Uint8Array, start: number): number {
  return recordBatch.baseOffset(bytes, start) + recordBatch.lastOffsetDelta(bytes, start) + 1
}
