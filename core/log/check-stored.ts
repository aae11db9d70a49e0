/**
 * The check of a batch that lies stored, for whoever looks after what is stored: deeper than what a batch passes each time it leaves the
 * disk, which is its checksum over the bytes as they lie there.
 */
import { checkStoredRecords, defaultRecordLimits } from "./check-records.ts"
import { attributes, CODEC_MASK, checkBatch, GATHERED } from "./record-batch.ts"

/**
 * {@link checkBatch}; and of a batch that this broker compressed, whether it inflates to the records that it says: 0, or why not. What
 * a producer compressed was inflated when it came.
 */
export function checkStoredBatch(bytes: Uint8Array, start: number, end: number): number {
  const refusal = checkBatch(bytes, start, end)
  if (refusal !== 0) return refusal
  const bits = attributes(bytes, start)
  const isOurs = (bits & GATHERED) !== 0 && (bits & CODEC_MASK) !== 0
  return isOurs ? checkStoredRecords(bytes, start, end, defaultRecordLimits) : 0
}
