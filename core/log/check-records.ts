/**
 * Checks the records inside a batch: once for each batch that a client produced, before it is stored.
 *
 * Source: Kafka, "Message Format" (Record); KAFKA notes, "broken compressed payload refused, nothing stored".
 * Invariants
 *  - Passing means: every length fits, offset deltas are 0, 1, 2, ... (of a stored batch they rise), headers fill their region, nothing is left over,
 *    every timestamp is exact. A reader of the stored batch can rely on it.
 *  - Memory is bounded by `decompressedSizeMax`, whatever the bytes declare.
 */
import { HeaderCursor } from "./HeaderCursor.ts"
import { DECOMPRESSED_SIZE_MAX, RecordCursor } from "./RecordCursor.ts"
import { lastOffsetDelta } from "./record-batch.ts"
import { BATCH_TIMESTAMP, RECORD_HEADER_COUNT, RECORD_OFFSET_DELTA } from "./refusals.ts"

/** What one batch may cost. */
export interface RecordLimits {
  /** Inflated bytes of all records of a compressed batch. An uncompressed one is bounded by the request. */
  readonly decompressedSizeMax: number
  readonly headersPerRecordMax: number
}

export const defaultRecordLimits: RecordLimits = {
  decompressedSizeMax: DECOMPRESSED_SIZE_MAX,
  headersPerRecordMax: 10_000
}

/** What was seen of the records of the last batch that passed. */
export const recordFacts = {
  /** Records without a key. */
  unkeyedCount: 0,
  /** The least and the largest timestamp, ms since 1970, of those that are not -1; infinite where there is none. */
  timestampMin: Number.POSITIVE_INFINITY,
  timestampMax: Number.NEGATIVE_INFINITY
}

// Reused: the check runs to its end before anything else can.
const ownCursor = new RecordCursor()
const headers = new HeaderCursor()

/**
 * Walks every record of the batch `bytes[start, end)`, which has passed `checkBatch`: 0, or why not (`RECORD_*`,
 * `COMPRESSION_*`, `BATCH_TIMESTAMP`). Where `cursor` is given and all is well it stands before the first record
 * again, so that a compressed batch is inflated once for checking and reading.
 */
export function checkRecords(
  bytes: Uint8Array,
  start: number,
  end: number,
  limits: RecordLimits,
  cursor: RecordCursor = ownCursor
): number {
  return check(bytes, start, end, limits, cursor, false)
}

/** The same of a batch that lies stored: compaction may have left offsets out. */
export function checkStoredRecords(bytes: Uint8Array, start: number, end: number, limits: RecordLimits): number {
  return check(bytes, start, end, limits, ownCursor, true)
}

function check(
  bytes: Uint8Array,
  start: number,
  end: number,
  limits: RecordLimits,
  cursor: RecordCursor,
  isStored: boolean
): number {
  let refusal = cursor.reset(bytes, start, end, limits.decompressedSizeMax)
  if (refusal === 0) refusal = walk(cursor, limits, isStored ? lastOffsetDelta(bytes, start) : -1)
  if (cursor === ownCursor || refusal !== 0) cursor.release()
  else cursor.rewind()
  return refusal
}

/** `lastDelta` is negative where no offset may be left out. */
function walk(cursor: RecordCursor, limits: RecordLimits, lastDelta: number): number {
  let next = 0
  let unkeyed = 0
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  while (cursor.next()) {
    const { offsetDelta, timestamp } = cursor
    if (lastDelta < 0 ? offsetDelta !== next : offsetDelta < next || offsetDelta > lastDelta) return RECORD_OFFSET_DELTA
    next = offsetDelta + 1
    if (!Number.isSafeInteger(timestamp)) return BATCH_TIMESTAMP
    if (timestamp !== -1) {
      if (timestamp < min) min = timestamp
      if (timestamp > max) max = timestamp
    }
    if (cursor.keyStart < 0) unkeyed += 1
    if (cursor.headerCount === 0) continue
    if (cursor.headerCount > limits.headersPerRecordMax) return RECORD_HEADER_COUNT
    headers.reset(cursor.bytes, cursor.headersStart, cursor.headersEnd, cursor.headerCount)
    while (headers.next());
    if (headers.refusal !== 0) return headers.refusal
  }
  recordFacts.unkeyedCount = unkeyed
  recordFacts.timestampMin = min
  recordFacts.timestampMax = max
  return cursor.refusal
}
