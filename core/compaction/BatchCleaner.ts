/**
 * What is left of one batch when the records go that compaction does not keep.
 *
 * Source: Apache Kafka, Cleaner.shouldRetainRecord and MemoryRecords.filterTo; KIP-534 (the delete horizon).
 * Invariants
 *  - A batch keeps base offset, last offset delta, leader epoch, producer id, epoch and base sequence; its records keep their offsets,
 *    times, keys, values and headers. Maximum timestamp, count, length and checksum are true again.
 *  - A tombstone stays until its batch has a delete horizon and that has passed. The horizon is set when a tombstone is met first: the
 *    base timestamp becomes the horizon, and the records' times count from there.
 *  - What cannot be read here stays as it is, and so do control batches.
 */
import { copyBytes } from "../copy-bytes.ts"
import { CODEC_NONE } from "../log/compression.ts"
import { crc32c } from "../log/crc32c.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import * as recordBatch from "../log/record-batch.ts"
import { readVarint, readVarlong, varlongSize, writeVarint, writeVarlong } from "../log/varint.ts"
import { compressLater } from "./compress-later.ts"

/** Bytes that a record may need beyond those that it had, where its time counts from elsewhere. */
const RECORD_GROWTH_MAX = 14
/** The buffer that is kept from batch to batch, at most. */
const SCRATCH_BYTES_KEPT = 1_048_576
/** The base timestamp of a batch without records: none. */
const NO_TIMESTAMP = -1

/** What a round knows. */
export interface CleaningRules {
  /** Whether `bytes[start, end)` has no later record than the one at `offset` within what the round takes in. */
  isLatest(bytes: Uint8Array, start: number, end: number, offset: number): boolean
  /** When the round began, ms since 1970. */
  readonly nowMs: number
  /** Milliseconds that a tombstone stays from now on where no horizon is set yet. */
  readonly tombstoneMs: number
}

export interface CleanBatchOptions {
  /** Its header stays where no record does. */
  readonly isKeptEmpty: boolean
  /** Tombstones stay though their horizon has passed: what they delete may still be there. */
  readonly keepsTombstones: boolean
}

/** What became of a batch: it stays as it is ("same", or "unread" where its records cannot be read), goes, or is another one now. */
export type Cleaned =
  | { readonly outcome: "same" | "unread" | "gone" }
  | { readonly outcome: "changed"; readonly bytes: Uint8Array }

export class BatchCleaner {
  /** Records that were read, and those of them that went. */
  recordsRead = 0
  recordsRemoved = 0
  readonly #rules: CleaningRules
  readonly #cursor = new RecordCursor()
  #scratch = new Uint8Array(0)

  constructor(rules: CleaningRules) {
    this.#rules = rules
  }

  /** Cleans the batch `bytes[start, end)`, which passed `checkBatch` and is left alone. */
  async clean(bytes: Uint8Array, start: number, end: number, options: CleanBatchOptions): Promise<Cleaned> {
    const attributes = recordBatch.attributes(bytes, start)
    if ((attributes & recordBatch.CONTROL) !== 0) return { outcome: "same" }
    const count = recordBatch.recordCount(bytes, start)
    if (count === 0) return { outcome: options.isKeptEmpty ? "same" : "gone" }
    const left = this.#gather(bytes, start, end, options)
    if (left === undefined) return { outcome: "unread" }
    this.recordsRead += count
    this.recordsRemoved += count - left.count
    if (left.count === 0) {
      return options.isKeptEmpty ? { outcome: "changed", bytes: emptyBatch(bytes, start) } : { outcome: "gone" }
    }
    if (left.count === count && left.horizon === undefined) return { outcome: "same" }
    const codec = attributes & recordBatch.CODEC_MASK
    const plain = this.#scratch.subarray(0, left.size)
    const records = codec === CODEC_NONE ? plain : await compressLater(codec, plain)
    const batch = new Uint8Array(recordBatch.RECORDS_POSITION + records.length)
    copyBytes(bytes, start, start + recordBatch.RECORDS_POSITION, batch, 0)
    copyBytes(records, 0, records.length, batch, recordBatch.RECORDS_POSITION)
    if (left.horizon !== undefined) {
      recordBatch.writeInt16(batch, recordBatch.ATTRIBUTES_POSITION, attributes | recordBatch.DELETE_HORIZON)
      recordBatch.writeInt64(batch, recordBatch.BASE_TIMESTAMP_POSITION, left.horizon)
    }
    // Of LogAppendTime it is the time of every record.
    if ((attributes & recordBatch.LOG_APPEND_TIME) === 0) {
      recordBatch.writeInt64(batch, recordBatch.MAX_TIMESTAMP_POSITION, left.maxTimestamp)
    }
    if (this.#scratch.length > SCRATCH_BYTES_KEPT) this.#scratch = new Uint8Array(0)
    return { outcome: "changed", bytes: sealed(batch, left.count) }
  }

  /**
   * Writes the records that stay to the scratch buffer. `horizon` is one that is set now. Undefined where the records cannot be read; then
   * nothing was decided.
   */
  #gather(
    bytes: Uint8Array,
    start: number,
    end: number,
    { keepsTombstones }: CleanBatchOptions
  ): { count: number; size: number; maxTimestamp: number; horizon: number | undefined } | undefined {
    const cursor = this.#cursor
    if (cursor.reset(bytes, start, end) !== 0) return undefined
    const { nowMs, tombstoneMs } = this.#rules
    const known = recordBatch.deleteHorizon(bytes, start)
    const areTombstonesOver = !keepsTombstones && known !== undefined && nowMs >= known
    const isKept: Array<boolean> = []
    let tombstones = 0
    let count = 0
    let maxTimestamp = Number.NEGATIVE_INFINITY
    while (cursor.next()) {
      const isTombstone = cursor.valueStart < 0
      const stays =
        cursor.keyStart >= 0 &&
        !(isTombstone && areTombstonesOver) &&
        this.#rules.isLatest(cursor.bytes, cursor.keyStart, cursor.keyEnd, cursor.offset)
      isKept.push(stays)
      if (!stays) continue
      count += 1
      if (isTombstone) tombstones += 1
      if (cursor.timestamp > maxTimestamp) maxTimestamp = cursor.timestamp
    }
    if (cursor.refusal !== 0) return undefined
    const horizon = tombstones > 0 && known === undefined ? nowMs + tombstoneMs : undefined
    const isSame = count === isKept.length && horizon === undefined
    const size = count === 0 || isSame ? 0 : this.#write(isKept, horizon)
    cursor.release()
    return { count, size, maxTimestamp, horizon }
  }

  /** Copies the records that stay; with a new base timestamp their times are written anew. Returns their bytes. */
  #write(isKept: ReadonlyArray<boolean>, baseTimestamp: number | undefined): number {
    const cursor = this.#cursor
    const sizeMax = cursor.size + (baseTimestamp === undefined ? 0 : isKept.length * RECORD_GROWTH_MAX)
    if (this.#scratch.length < sizeMax) this.#scratch = new Uint8Array(sizeMax)
    let at = 0
    cursor.rewind()
    for (let index = 0; cursor.next(); index++) {
      if (isKept[index] !== true) continue
      const { bytes, recordStart, headersEnd } = cursor
      if (baseTimestamp === undefined) at = copyBytes(bytes, recordStart, headersEnd, this.#scratch, at)
      else {
        // Length, attributes and time come anew; the offset delta and what follows it stay.
        const attributesAt = readVarint(bytes, recordStart, headersEnd)
        const rest = readVarlong(bytes, attributesAt + 1, headersEnd)
        const delta = cursor.timestamp - baseTimestamp
        at = writeVarint(this.#scratch, at, 1 + varlongSize(delta) + headersEnd - rest)
        this.#scratch[at] = bytes[attributesAt]!
        at = writeVarlong(this.#scratch, at + 1, delta)
        at = copyBytes(bytes, rest, headersEnd, this.#scratch, at)
      }
    }
    return at
  }
}

/** The header of a batch whose records all went: for its offsets, and for the last sequence number of its producer. */
function emptyBatch(bytes: Uint8Array, start: number): Uint8Array {
  const batch = bytes.slice(start, start + recordBatch.RECORDS_POSITION)
  const gone = recordBatch.CODEC_MASK | recordBatch.DELETE_HORIZON
  recordBatch.writeInt16(batch, recordBatch.ATTRIBUTES_POSITION, recordBatch.attributes(bytes, start) & ~gone)
  recordBatch.writeInt64(batch, recordBatch.BASE_TIMESTAMP_POSITION, NO_TIMESTAMP)
  return sealed(batch, 0)
}

/** Makes length, count and checksum true. */
function sealed(batch: Uint8Array, count: number): Uint8Array {
  recordBatch.writeInt32(batch, recordBatch.BATCH_LENGTH_POSITION, batch.length - recordBatch.LENGTH_OVERHEAD)
  recordBatch.writeInt32(batch, recordBatch.RECORD_COUNT_POSITION, count)
  recordBatch.writeInt32(batch, recordBatch.CRC_POSITION, crc32c(batch, recordBatch.ATTRIBUTES_POSITION, batch.length))
  return batch
}
