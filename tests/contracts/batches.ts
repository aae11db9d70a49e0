/** Record batches for the contract suites: as a producer sends them, with wrong offsets and epochs that an engine must replace. */
import { compress, crc32c, RecordBatchBuilder, RecordCursor, recordBatch } from "../../core/mod.ts"

/** What an engine may rewrite: base offset (8 bytes) and leader epoch (4 bytes). */
const REWRITTEN: ReadonlyArray<readonly [number, number]> = [
  [recordBatch.BASE_OFFSET_POSITION, recordBatch.BASE_OFFSET_POSITION + 8],
  [recordBatch.LEADER_EPOCH_POSITION, recordBatch.LEADER_EPOCH_POSITION + 4]
]

/** One record per timestamp (ms), each with a value of `valueBytes` bytes that tells `mark`. */
export function makeBatch(timestamps: ReadonlyArray<number>, valueBytes = 20, mark = 0): Uint8Array {
  const builder = new RecordBatchBuilder(64 * 1024 * 1024)
  const key = new TextEncoder().encode(`key-${mark}`)
  for (const [index, timestamp] of timestamps.entries()) {
    const value = Uint8Array.from({ length: valueBytes }, (_, at) => (at * 31 + mark * 7 + index) & 255)
    builder.append(timestamp, key, 0, key.length, value, 0, value.length)
  }
  const bytes = builder.bytes.slice(0, builder.finish())
  // As a client's batch: no mark of the gatherer's, a producer of its own, an offset and an epoch that mean nothing here.
  recordBatch.writeInt16(bytes, recordBatch.ATTRIBUTES_POSITION, 0)
  recordBatch.writeInt64(bytes, recordBatch.PRODUCER_ID_POSITION, 4_711 + mark)
  recordBatch.writeInt16(bytes, recordBatch.PRODUCER_EPOCH_POSITION, 3)
  recordBatch.writeInt32(bytes, recordBatch.CRC_POSITION, crc32c(bytes, recordBatch.ATTRIBUTES_POSITION, bytes.length))
  recordBatch.writeBaseOffset(bytes, 0, 987_654_321_987)
  recordBatch.writeLeaderEpoch(bytes, 0, 0x7fff_0000 + (mark & 0xff))
  return bytes
}

/** The same records, compressed as a producer does it. */
export function compressed(batch: Uint8Array, codec: number): Uint8Array {
  const header = batch.subarray(0, recordBatch.RECORDS_POSITION)
  const records = compress(codec, batch.subarray(recordBatch.RECORDS_POSITION))
  const bytes = new Uint8Array(Buffer.concat([header, records]))
  recordBatch.writeInt32(bytes, recordBatch.BATCH_LENGTH_POSITION, bytes.length - recordBatch.LENGTH_OVERHEAD)
  recordBatch.writeInt16(bytes, recordBatch.ATTRIBUTES_POSITION, codec)
  recordBatch.writeInt32(bytes, recordBatch.CRC_POSITION, crc32c(bytes, recordBatch.ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

/** The batch without what an engine may rewrite. */
export function withoutRewritten(bytes: Uint8Array): Uint8Array {
  // Not `slice`, which of a Buffer gives a view.
  const copy = new Uint8Array(bytes)
  for (const [start, end] of REWRITTEN) copy.fill(0, start, end)
  return copy
}

/** Cuts stored bytes into batches; throws where they are not whole batches. */
export function splitBatches(bytes: Uint8Array): ReadonlyArray<Uint8Array> {
  const batches: Array<Uint8Array> = []
  for (let position = 0; position < bytes.length; ) {
    const size = recordBatch.batchSize(bytes, position, bytes.length)
    if (size <= 0) throw new Error(`not a whole batch at byte ${position} of ${bytes.length}`)
    batches.push(bytes.subarray(position, position + size))
    position += size
  }
  return batches
}

/** Offset and timestamp of each record in stored bytes. */
export function recordsOf(bytes: Uint8Array): ReadonlyArray<{ readonly offset: number; readonly timestamp: number }> {
  const cursor = new RecordCursor()
  const records: Array<{ offset: number; timestamp: number }> = []
  for (const batch of splitBatches(bytes)) {
    const refusal = cursor.reset(batch, 0, batch.length)
    if (refusal !== 0) throw new Error(`unreadable batch: ${refusal}`)
    while (cursor.next()) records.push({ offset: cursor.offset, timestamp: cursor.timestamp })
    if (cursor.refusal !== 0) throw new Error(`unreadable record: ${cursor.refusal}`)
  }
  return records
}
