/**
 * Builders that nobody uses, for the next batch, whichever partition it is for: a partition that gathers nothing holds none. One turn may
 * gather for thousands of partitions.
 */
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"

/** One message may be as large as a packet may be; a batch with such a record is sealed at once. */
export const RECORD_BYTES_MAX = 536_870_912
/** Bytes of the buffers of those that are kept. */
const SPARE_BYTES_MAX = 4_194_304

const spares: Array<RecordBatchBuilder> = []
let spareBytes = 0

export function takeBuilder(): RecordBatchBuilder {
  const spare = spares.pop()
  if (spare === undefined) return new RecordBatchBuilder(RECORD_BYTES_MAX)
  spareBytes -= spare.bytes.length
  return spare
}

/** Its records are forgotten. */
export function giveBackBuilder(builder: RecordBatchBuilder): void {
  builder.reset()
  if (spareBytes + builder.bytes.length > SPARE_BYTES_MAX) return
  spareBytes += builder.bytes.length
  spares.push(builder)
}
