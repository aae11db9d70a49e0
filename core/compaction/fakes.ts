/** A log in memory that can be compacted, batches for it, and what is to be left of them: for tests. */
import type { CompactionStore } from "../log/CompactionStore.ts"
import { compress } from "../log/compression.ts"
import { crc32c } from "../log/crc32c.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import * as recordBatch from "../log/record-batch.ts"

export interface KeyedRecord {
  /** Null = none. */
  readonly key: string | null
  /** Null = a tombstone. */
  readonly value: string | null
  readonly timestamp: number
}

export interface PlainRecord extends KeyedRecord {
  readonly offset: number
}

export interface BatchOptions {
  readonly codec?: number
  readonly producerId?: number
  readonly baseSequence?: number
  /** Further attribute bits. */
  readonly attributes?: number
}

const text = new TextEncoder()
const decoder = new TextDecoder()

/** A batch as it is stored at `offset`. */
export function keyedBatch(
  offset: number,
  records: ReadonlyArray<KeyedRecord>,
  options: BatchOptions = {}
): Uint8Array {
  const { codec = 0, producerId = -1, baseSequence = -1, attributes = 0 } = options
  const builder = new RecordBatchBuilder()
  for (const { key, value, timestamp } of records) {
    const keyBytes = key === null ? undefined : text.encode(key)
    const valueBytes = value === null ? undefined : text.encode(value)
    builder.append(timestamp, keyBytes, 0, keyBytes?.length ?? 0, valueBytes, 0, valueBytes?.length ?? 0)
  }
  const plain = builder.bytes.slice(0, builder.finish())
  const packed = compress(codec, plain.subarray(recordBatch.RECORDS_POSITION))
  const batch = new Uint8Array(Buffer.concat([plain.subarray(0, recordBatch.RECORDS_POSITION), packed]))
  recordBatch.writeInt32(batch, recordBatch.BATCH_LENGTH_POSITION, batch.length - recordBatch.LENGTH_OVERHEAD)
  recordBatch.writeInt16(batch, recordBatch.ATTRIBUTES_POSITION, codec | attributes)
  recordBatch.writeInt64(batch, recordBatch.PRODUCER_ID_POSITION, producerId)
  recordBatch.writeInt32(batch, recordBatch.BASE_SEQUENCE_POSITION, baseSequence)
  recordBatch.writeInt32(batch, recordBatch.CRC_POSITION, crc32c(batch, recordBatch.ATTRIBUTES_POSITION, batch.length))
  recordBatch.writeBaseOffset(batch, 0, offset)
  return batch
}

/** The records of stored batches; throws where they cannot be read. */
export function keyedRecords(batches: ReadonlyArray<Uint8Array>): ReadonlyArray<PlainRecord> {
  const records: Array<PlainRecord> = []
  const cursor = new RecordCursor()
  for (const batch of batches) {
    const refusal = recordBatch.checkBatch(batch, 0, batch.length) || cursor.reset(batch, 0, batch.length)
    if (refusal !== 0) throw new Error(`a batch cannot be read: ${refusal}`)
    while (cursor.next()) {
      const { bytes, keyStart, keyEnd, valueStart, valueEnd, offset, timestamp } = cursor
      const key = keyStart < 0 ? null : decoder.decode(bytes.subarray(keyStart, keyEnd))
      const value = valueStart < 0 ? null : decoder.decode(bytes.subarray(valueStart, valueEnd))
      records.push({ offset, timestamp, key, value })
    }
    if (cursor.refusal !== 0) throw new Error(`a record cannot be read: ${cursor.refusal}`)
  }
  return records
}

/** One partition; what is replaced in one piece are `pieceBatches` batches. */
export class MemoryCompaction implements CompactionStore {
  batches: ReadonlyArray<Uint8Array>
  logStart = 0
  cleanedTo = 0
  activeFrom: number
  /** Pieces that were replaced. */
  commits = 0
  /** What a commit does first; false = the log has changed. */
  onCommit: () => boolean = () => true
  readonly #pieceBatches: number

  constructor(batches: ReadonlyArray<Uint8Array>, pieceBatches = 3) {
    this.batches = batches
    this.#pieceBatches = pieceBatches
    this.activeFrom = batches.length === 0 ? 0 : recordBatch.baseOffset(batches.at(-1) as Uint8Array, 0)
  }

  async survey(): Promise<ReturnType<typeof this.surveyed>> {
    return this.surveyed()
  }

  surveyed() {
    const { logStart, cleanedTo, activeFrom } = this
    const sum = (from: number, below: number): number =>
      this.batches
        .filter((batch) => recordBatch.baseOffset(batch, 0) >= from && recordBatch.baseOffset(batch, 0) < below)
        .reduce((total, { length }) => total + length, 0)
    const cleanBytes = sum(0, cleanedTo)
    return { logStart, cleanedTo, activeFrom, cleanBytes, dirtyBytes: sum(cleanedTo, activeFrom) }
  }

  async read(_key: unknown, offset: number, end: number, bytesMax: number): Promise<Uint8Array> {
    const found: Array<Uint8Array> = []
    let size = 0
    for (const batch of this.batches) {
      if (endOffsetOf(batch, 0) <= offset || recordBatch.baseOffset(batch, 0) >= end) continue
      if (found.length > 0 && size + batch.length > bytesMax) break
      found.push(batch)
      size += batch.length
    }
    return new Uint8Array(Buffer.concat(found))
  }

  async replace(_key: unknown, from: number) {
    const before = this.batches
    const isIn = (batch: Uint8Array): boolean => recordBatch.baseOffset(batch, 0) < this.activeFrom
    const piece = before.filter((batch) => endOffsetOf(batch, 0) > from && isIn(batch)).slice(0, this.#pieceBatches)
    const last = piece.at(-1)
    if (last === undefined) return undefined
    const added: Array<Uint8Array> = []
    return {
      end: endOffsetOf(last, 0),
      add: async (batch: Uint8Array) => void added.push(batch),
      commit: async (cleanedTo: number) => {
        if (!this.onCommit() || this.batches !== before) return undefined
        const firstBase = recordBatch.baseOffset(piece[0] as Uint8Array, 0)
        const older = before.filter((batch) => recordBatch.baseOffset(batch, 0) < firstBase)
        const newer = before.filter((batch) => recordBatch.baseOffset(batch, 0) > recordBatch.baseOffset(last, 0))
        this.batches = [...older, ...added, ...newer]
        this.cleanedTo = cleanedTo
        this.commits += 1
        return added.reduce((total, { length }) => total + length, 0)
      },
      abort: async () => {}
    }
  }
}
