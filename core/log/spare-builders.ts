/** Builders kept for the next batch, whichever partition it is for: a partition that gathers nothing holds none. */
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"

/** One message may be as large as a packet may be; a batch with such a record is sealed at once. */
export const RECORD_BYTES_MAX = 536_870_912
const SPARE_BUILDERS_MAX = 64
const spare: Array<RecordBatchBuilder> = []

/** An empty builder. */
export function takeBuilder(): RecordBatchBuilder {
  return spare.pop() ?? new RecordBatchBuilder(RECORD_BYTES_MAX)
}

export function giveBuilderBack(builder: RecordBatchBuilder): void {
  builder.reset()
  if (spare.length < SPARE_BUILDERS_MAX) spare.push(builder)
}
