/** Record batches to be stored, made before the clock runs. */
import { RecordBatchBuilder } from "../../core/mod.ts"

/** A batch of records whose values have `valueBytes` bytes that do not repeat. */
export function batchOf(records: number, valueBytes: number, seed: number, timestamp = 1_700_000_000_000): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(valueBytes)
  let state = seed >>> 0 || 1
  for (let record = 0; record < records; record++) {
    for (let at = 0; at < valueBytes; at++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      value[at] = state >>> 24
    }
    builder.append(timestamp + record, undefined, 0, 0, value, 0, valueBytes)
  }
  return builder.bytes.slice(0, builder.finish())
}
