/**
 * Reads the records of one batch, one after the other, without allocating: after each `next()` the fields say where the
 * record's parts lie in `bytes`.
 *
 * Source: Kafka, "Message Format" (Record).
 * Invariants
 *  - Made for a batch that passed `checkBatch`, but no bytes at all make it throw, loop or read outside the batch: it
 *    ends, and `refusal` says why.
 *  - Nothing is allocated by a size that the bytes merely declare. Only `reset` allocates, and only for a compressed
 *    batch: the inflated records, at most `sizeMax`; not even that for one that was gathered and compressed here a moment ago.
 *  - Offset deltas are read as they stand (compaction leaves gaps); `checkRecords` is what demands 0, 1, 2, ...
 *  - `bytes` is the caller's own buffer for an uncompressed batch: borrowed until `reset` or `release`.
 */
import { CODEC_NONE, CODEC_ZSTD, decompress } from "./compression.ts"
import {
  attributes,
  baseOffset,
  baseTimestamp,
  CODEC_MASK,
  CONTROL,
  GATHERED,
  LOG_APPEND_TIME,
  maxTimestamp,
  RECORDS_POSITION,
  recordCount,
  TRANSACTIONAL
} from "./record-batch.ts"
import {
  BATCH_TIMESTAMP,
  BATCH_TOO_SHORT,
  RECORD_HEADER_COUNT,
  RECORD_KEY,
  RECORD_LENGTH,
  RECORD_VALUE,
  RECORDS_LEFT_OVER
} from "./refusals.ts"
import { sealedBatches } from "./SealedBatches.ts"
import { decoded, readVarint, readVarlong, VARINT_UNSAFE } from "./varint.ts"

/** Inflated bytes of one batch's records, at most, where the caller names no bound of its own. */
export const DECOMPRESSED_SIZE_MAX = 64 * 1024 * 1024

const NO_BYTES = new Uint8Array(0)

/** Where a record begins in a batch. */
export interface RecordMark {
  readonly position: number
  readonly index: number
}

export class RecordCursor {
  /** The buffer that all positions below point into. */
  bytes: Uint8Array = NO_BYTES
  /** 0, or why reading stopped before the last record (see `refusals.ts`). */
  refusal = 0
  /** Attribute bits of the batch: see {@link isControl}, {@link isTransactional}, {@link isGathered}. */
  attributes = 0
  /** How many records the batch says it has. */
  recordCount = 0

  /** The record's offset. */
  offset = 0
  /** The record's offset less the batch's base offset. */
  offsetDelta = 0
  /** Milliseconds since 1970: the producer's, or the broker's where the batch says LogAppendTime. */
  timestamp = 0
  /** The key is `bytes[keyStart, keyEnd)`; `keyStart` -1 = null. */
  keyStart = -1
  keyEnd = -1
  /** The value is `bytes[valueStart, valueEnd)`; `valueStart` -1 = null. */
  valueStart = -1
  valueEnd = -1
  /** The encoded headers without their count, for `HeaderCursor` or to copy as they are. */
  headersStart = 0
  headersEnd = 0
  headerCount = 0

  private start = 0
  private position = 0
  private before = 0
  private end = 0
  private index = 0
  private baseOffset = 0
  private baseTimestamp = 0
  private maxTimestamp = 0

  /**
   * Stands before the first record of the batch `bytes[start, end)`; returns 0, or why its records cannot be read. A
   * compressed batch is inflated here, to `sizeMax` bytes at most.
   */
  reset(bytes: Uint8Array, start: number, end: number, sizeMax: number = DECOMPRESSED_SIZE_MAX): number {
    this.release()
    if (end - start < RECORDS_POSITION) return this.refuse(BATCH_TOO_SHORT)
    this.attributes = attributes(bytes, start)
    this.baseOffset = baseOffset(bytes, start)
    this.baseTimestamp = baseTimestamp(bytes, start)
    this.maxTimestamp = maxTimestamp(bytes, start)
    const codec = this.attributes & CODEC_MASK
    if (codec === CODEC_NONE) {
      this.bytes = bytes
      this.start = this.position = start + RECORDS_POSITION
      this.end = end
    } else {
      const known =
        codec === CODEC_ZSTD && (this.attributes & GATHERED) !== 0 ? sealedBatches.find(bytes, start, end) : undefined
      const inflated =
        known !== undefined && known.length <= sizeMax
          ? known
          : decompress(codec, bytes, start + RECORDS_POSITION, end, sizeMax)
      if (typeof inflated === "number") return this.refuse(inflated)
      this.bytes = inflated
      this.end = inflated.length
    }
    this.recordCount = recordCount(bytes, start)
    return 0
  }

  /** Stands before the first record again; a compressed batch stays inflated. */
  rewind(): void {
    this.position = this.start
    this.index = 0
    this.refusal = 0
  }

  /** Where the record begins, with its length; it ends at {@link RecordCursor.headersEnd}. */
  get recordStart(): number {
    return this.before
  }

  /** The record to which the cursor stepped last. */
  get mark(): RecordMark {
    return { position: this.before, index: this.index - 1 }
  }

  /** Stands before a record of this batch that was stepped to. */
  goTo({ position, index }: RecordMark): void {
    this.position = position
    this.index = index
    this.refusal = 0
  }

  /** Lets go of the buffers, so that an idle cursor keeps nothing alive; `next()` then gives false. */
  release(): void {
    this.bytes = NO_BYTES
    this.start = this.position = this.end = this.index = 0
    this.recordCount = 0
    this.attributes = 0
    this.refusal = 0
  }

  /** Bytes of the batch's records, inflated. */
  get size(): number {
    return this.end - this.start
  }

  /** The batch is a transaction marker, not data. */
  get isControl(): boolean {
    return (this.attributes & CONTROL) !== 0
  }

  /** The batch belongs to a transaction, or ends one. */
  get isTransactional(): boolean {
    return (this.attributes & TRANSACTIONAL) !== 0
  }

  /** Our own gatherer wrote the batch: its `mqtt.*` and `manifold-*` headers are ours. */
  get isGathered(): boolean {
    return (this.attributes & GATHERED) !== 0
  }

  /** Steps to the next record; false after the last one or where the bytes are bad (then `refusal` is not 0). */
  next(): boolean {
    if (this.refusal !== 0) return false
    const bytes = this.bytes
    if (this.index >= this.recordCount) {
      if (this.position !== this.end) this.refusal = RECORDS_LEFT_OVER
      return false
    }
    this.before = this.position
    let position = readVarint(bytes, this.position, this.end)
    if (position < 0 || decoded.value < 0 || decoded.value > this.end - position) return this.stop(RECORD_LENGTH)
    const end = position + decoded.value

    // One byte of attributes that no version gives a meaning: read over, as Java's client does.
    position = readVarlong(bytes, position + 1, end)
    if (position < 0) return this.stop(position === VARINT_UNSAFE ? BATCH_TIMESTAMP : RECORD_LENGTH)
    this.timestamp = (this.attributes & LOG_APPEND_TIME) !== 0 ? this.maxTimestamp : this.baseTimestamp + decoded.value
    position = readVarint(bytes, position, end)
    if (position < 0) return this.stop(RECORD_LENGTH)
    this.offsetDelta = decoded.value
    this.offset = this.baseOffset + decoded.value

    position = readVarint(bytes, position, end)
    if (position < 0 || decoded.value < -1 || decoded.value > end - position) return this.stop(RECORD_KEY)
    if (decoded.value < 0) this.keyStart = this.keyEnd = -1
    else {
      this.keyStart = position
      this.keyEnd = position += decoded.value
    }
    position = readVarint(bytes, position, end)
    if (position < 0 || decoded.value < -1 || decoded.value > end - position) return this.stop(RECORD_VALUE)
    if (decoded.value < 0) this.valueStart = this.valueEnd = -1
    else {
      this.valueStart = position
      this.valueEnd = position += decoded.value
    }
    position = readVarint(bytes, position, end)
    // A header takes two bytes at least (an empty name and a null value), and without headers nothing may follow.
    if (position < 0 || decoded.value < 0 || decoded.value > (end - position) >>> 1) {
      return this.stop(RECORD_HEADER_COUNT)
    }
    if (decoded.value === 0 && position !== end) return this.stop(RECORD_LENGTH)
    this.headerCount = decoded.value
    this.headersStart = position
    this.headersEnd = end
    this.position = end
    this.index++
    return true
  }

  private stop(refusal: number): false {
    this.refusal = refusal
    return false
  }

  private refuse(refusal: number): number {
    this.refusal = refusal
    return refusal
  }
}
