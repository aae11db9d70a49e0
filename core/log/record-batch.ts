/**
 * The record batch, version 2 (magic 2): field positions, accessors, and the checks that a batch passes before it is
 * stored and once when it leaves the disk.
 *
 * Source: Kafka, "Message Format" (Record Batch, Control Batches); docs/interop.md.
 * Invariants
 *  - All integers are big endian. The CRC-32C covers the attributes and everything after: base offset, batch length
 *    and leader epoch may be rewritten without it.
 *  - 64-bit fields are numbers put together from two halves: exact within +-2^53, which {@link checkBatch} makes sure
 *    of for the timestamps and {@link checkProducedBatch} for producer ids.
 *  - Accessors take the batch's start and expect at least {@link RECORDS_POSITION} bytes there; short of them they give
 *    a wrong number but never throw.
 */
import { crc32c } from "./crc32c.ts"
import {
  BATCH_ATTRIBUTES,
  BATCH_CODEC,
  BATCH_CONTROL,
  BATCH_COUNT,
  BATCH_CRC,
  BATCH_FORGED,
  BATCH_LENGTH,
  BATCH_MAGIC,
  BATCH_SEQUENCE,
  BATCH_TIMESTAMP,
  BATCH_TOO_SHORT
} from "./refusals.ts"

/** Field positions in bytes from the batch's start. */
export const BASE_OFFSET_POSITION = 0
export const BATCH_LENGTH_POSITION = 8
export const LEADER_EPOCH_POSITION = 12
export const MAGIC_POSITION = 16
export const CRC_POSITION = 17
export const ATTRIBUTES_POSITION = 21
export const LAST_OFFSET_DELTA_POSITION = 23
export const BASE_TIMESTAMP_POSITION = 27
export const MAX_TIMESTAMP_POSITION = 35
export const PRODUCER_ID_POSITION = 43
export const PRODUCER_EPOCH_POSITION = 51
export const BASE_SEQUENCE_POSITION = 53
export const RECORD_COUNT_POSITION = 57
/** Where the records begin: the size of the batch header. */
export const RECORDS_POSITION = 61
/** Bytes that the batch length field does not count: base offset and itself. */
export const LENGTH_OVERHEAD = 12

/** The only message format stored. */
export const MAGIC = 2

/** Attribute bits. */
export const CODEC_MASK = 0x07
export const LOG_APPEND_TIME = 0x08
export const TRANSACTIONAL = 0x10
export const CONTROL = 0x20
/** Set by compaction: the base timestamp field holds the delete horizon. */
export const DELETE_HORIZON = 0x40
/** Our own mark: this batch was written by our gatherer, so its `mqtt.*` and `manifold-*` headers are ours. */
export const GATHERED = 0x4000
const RESERVED = 0xffff & ~(CODEC_MASK | LOG_APPEND_TIME | TRANSACTIONAL | CONTROL | DELETE_HORIZON | GATHERED)
/** Ids are given out from 0 on; a client that makes up one that a number does not hold exactly is refused. */
const PRODUCER_ID_MAX = Number.MAX_SAFE_INTEGER
/** The largest codec that Kafka names: zstd. */
const CODEC_LAST = 4

function readInt16(bytes: Uint8Array, position: number): number {
  return (((bytes[position]! << 8) | bytes[position + 1]!) << 16) >> 16
}

function readInt32(bytes: Uint8Array, position: number): number {
  return (bytes[position]! << 24) | (bytes[position + 1]! << 16) | (bytes[position + 2]! << 8) | bytes[position + 3]!
}

function readInt64(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position) * 4294967296 + (readInt32(bytes, position + 4) >>> 0)
}

/** Whether the 64-bit integer at `position` lies within +-2^53, where a number is exact. */
function isExact(bytes: Uint8Array, position: number): boolean {
  const high = readInt32(bytes, position)
  return high < 0x200000 && high >= -0x200000
}

/** Writes the low 16 bits of `value`, big endian. */
export function writeInt16(target: Uint8Array, position: number, value: number): void {
  target[position] = value >> 8
  target[position + 1] = value
}

/** Writes the low 32 bits of `value`, big endian. */
export function writeInt32(target: Uint8Array, position: number, value: number): void {
  target[position] = value >> 24
  target[position + 1] = value >> 16
  target[position + 2] = value >> 8
  target[position + 3] = value
}

/** Writes a safe integer as 64 bits, big endian. */
export function writeInt64(target: Uint8Array, position: number, value: number): void {
  writeInt32(target, position, Math.floor(value / 4294967296))
  // The low 32 bits of a negative number too: the conversion to 32 bits is modulo 2^32.
  writeInt32(target, position + 4, value | 0)
}

/** The offset of the batch's first record. */
export function baseOffset(bytes: Uint8Array, start: number): number {
  return readInt64(bytes, start + BASE_OFFSET_POSITION)
}

/** Bytes after the batch length field; the whole batch has {@link LENGTH_OVERHEAD} more. */
export function batchLength(bytes: Uint8Array, start: number): number {
  return readInt32(bytes, start + BATCH_LENGTH_POSITION)
}

export function partitionLeaderEpoch(bytes: Uint8Array, start: number): number {
  return readInt32(bytes, start + LEADER_EPOCH_POSITION)
}

export function magic(bytes: Uint8Array, start: number): number {
  return bytes[start + MAGIC_POSITION]!
}

/** The stored CRC-32C, unsigned. */
export function crc(bytes: Uint8Array, start: number): number {
  return readInt32(bytes, start + CRC_POSITION) >>> 0
}

/** The attribute bits, unsigned. */
export function attributes(bytes: Uint8Array, start: number): number {
  return readInt16(bytes, start + ATTRIBUTES_POSITION) & 0xffff
}

/** The last record's offset less the base offset. */
export function lastOffsetDelta(bytes: Uint8Array, start: number): number {
  return readInt32(bytes, start + LAST_OFFSET_DELTA_POSITION)
}

/** Milliseconds since 1970 that the records' timestamps count from. */
export function baseTimestamp(bytes: Uint8Array, start: number): number {
  return readInt64(bytes, start + BASE_TIMESTAMP_POSITION)
}

/** The largest timestamp in ms as the writer states it; with LogAppendTime that of every record. */
export function maxTimestamp(bytes: Uint8Array, start: number): number {
  return readInt64(bytes, start + MAX_TIMESTAMP_POSITION)
}

/** The producer id; -1 = none. */
export function producerId(bytes: Uint8Array, start: number): number {
  return readInt64(bytes, start + PRODUCER_ID_POSITION)
}

export function producerEpoch(bytes: Uint8Array, start: number): number {
  return readInt16(bytes, start + PRODUCER_EPOCH_POSITION)
}

/** The first record's sequence number; -1 = none. */
export function baseSequence(bytes: Uint8Array, start: number): number {
  return readInt32(bytes, start + BASE_SEQUENCE_POSITION)
}

/** Records in the batch: fewer than it has offsets where it was compacted, and none where all of them went. */
export function recordCount(bytes: Uint8Array, start: number): number {
  return readInt32(bytes, start + RECORD_COUNT_POSITION)
}

/**
 * Until when (ms since 1970) the batch's tombstones stay, where compaction has set it; else undefined. The records' times count from it
 * then. Source: KIP-534.
 */
export function deleteHorizon(bytes: Uint8Array, start: number): number | undefined {
  return (attributes(bytes, start) & DELETE_HORIZON) === 0 ? undefined : baseTimestamp(bytes, start)
}

/** The compression codec, 0 to 7; see `compression.ts`. */
export function codec(bytes: Uint8Array, start: number): number {
  return bytes[start + ATTRIBUTES_POSITION + 1]! & CODEC_MASK
}

/** Gives the batch its place in the log; the CRC does not cover it. */
export function writeBaseOffset(bytes: Uint8Array, start: number, offset: number): void {
  writeInt64(bytes, start + BASE_OFFSET_POSITION, offset)
}

/**
 * Says whose time the records have: that of their append, `timestamp`, or with `isAppendTime` false their own, of which `timestamp` is the
 * largest. Attributes, largest timestamp and CRC are written; everything else stays as it is.
 */
export function writeTimestampType(
  bytes: Uint8Array,
  start: number,
  end: number,
  isAppendTime: boolean,
  timestamp: number
): void {
  const bits = attributes(bytes, start) & ~LOG_APPEND_TIME
  writeInt16(bytes, start + ATTRIBUTES_POSITION, isAppendTime ? bits | LOG_APPEND_TIME : bits)
  writeInt64(bytes, start + MAX_TIMESTAMP_POSITION, timestamp)
  writeInt32(bytes, start + CRC_POSITION, crc32c(bytes, start + ATTRIBUTES_POSITION, end))
}

/** Stamps the leader epoch; the CRC does not cover it. */
export function writeLeaderEpoch(bytes: Uint8Array, start: number, epoch: number): void {
  writeInt32(bytes, start + LEADER_EPOCH_POSITION, epoch)
}

/**
 * Bytes of the whole batch at `start`, to step from batch to batch without checking them: at least
 * {@link RECORDS_POSITION} and not past `end`, or {@link BATCH_TOO_SHORT} where the bytes end before the batch does, or
 * {@link BATCH_LENGTH} where no batch is that short.
 */
export function batchSize(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < LENGTH_OVERHEAD) return BATCH_TOO_SHORT
  const size = batchLength(bytes, start) + LENGTH_OVERHEAD
  if (size < RECORDS_POSITION) return BATCH_LENGTH
  return size > end - start ? BATCH_TOO_SHORT : size
}

/**
 * Checks that `bytes[start, end)` is exactly one whole batch whose header is true as far as the header tells: 0, or why
 * not (`BATCH_*`). The records inside are {@link file://./check-records.ts checkRecords}'. Magic and length come first
 * (they say where the CRC lies), the CRC next, so that damage is called damage, not by the field it hit.
 */
export function checkBatch(bytes: Uint8Array, start: number, end: number): number {
  const size = end - start
  if (size <= MAGIC_POSITION) return BATCH_TOO_SHORT
  if (magic(bytes, start) !== MAGIC) return BATCH_MAGIC
  if (size < RECORDS_POSITION) return BATCH_TOO_SHORT
  if (batchLength(bytes, start) !== size - LENGTH_OVERHEAD) return BATCH_LENGTH
  if (crc32c(bytes, start + ATTRIBUTES_POSITION, end) !== crc(bytes, start)) return BATCH_CRC
  if ((attributes(bytes, start) & RESERVED) !== 0) return BATCH_ATTRIBUTES
  if (codec(bytes, start) > CODEC_LAST) return BATCH_CODEC
  // Compaction leaves offsets out, and may leave nothing but the header.
  const count = recordCount(bytes, start)
  const lastDelta = lastOffsetDelta(bytes, start)
  if (count < 0 || lastDelta < 0 || count - 1 > lastDelta) return BATCH_COUNT
  if (!isExact(bytes, start + BASE_TIMESTAMP_POSITION) || !isExact(bytes, start + MAX_TIMESTAMP_POSITION)) {
    return BATCH_TIMESTAMP
  }
  return 0
}

/**
 * {@link checkBatch} for a batch that a client produced: it may not carry our gatherer's mark, be a control batch, leave offsets out or
 * claim a delete horizon, which only compaction does; with a producer id it has an epoch and a sequence number.
 */
export function checkProducedBatch(bytes: Uint8Array, start: number, end: number): number {
  const refusal = checkBatch(bytes, start, end)
  if (refusal !== 0) return refusal
  const bits = attributes(bytes, start)
  if ((bits & GATHERED) !== 0) return BATCH_FORGED
  if ((bits & CONTROL) !== 0) return BATCH_CONTROL
  const count = recordCount(bytes, start)
  if (count < 1 || lastOffsetDelta(bytes, start) !== count - 1) return BATCH_COUNT
  const id = producerId(bytes, start)
  if (id >= 0 && (id > PRODUCER_ID_MAX || producerEpoch(bytes, start) < 0 || baseSequence(bytes, start) < 0)) {
    return BATCH_SEQUENCE
  }
  return (bits & DELETE_HORIZON) !== 0 ? BATCH_ATTRIBUTES : 0
}
