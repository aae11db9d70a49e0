import assert from "node:assert/strict"
import { test } from "node:test"
import { BatchCompressor } from "./BatchCompressor.ts"
import { checkStoredBatch } from "./check-stored.ts"
import { CODEC_GZIP } from "./compression.ts"
import { crc32c } from "./crc32c.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import * as batch from "./record-batch.ts"
import { BATCH_CRC, COMPRESSION_CORRUPT, RECORDS_LEFT_OVER } from "./refusals.ts"
import { SealedBatches } from "./SealedBatches.ts"

function compressed(): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(500)
  for (let index = 0; index < 3; index++) builder.append(index, undefined, 0, 0, value, 0, value.length)
  return builder.bytes.slice(0, new BatchCompressor({ sealed: new SealedBatches(0) }).finish(builder))
}

/** With a true checksum, as nothing but a fault of ours could write it. */
function changed(change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = compressed()
  change(bytes)
  batch.writeInt32(bytes, batch.CRC_POSITION, crc32c(bytes, batch.ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

const garbage = (bytes: Uint8Array): void => void bytes.fill(0xff, batch.RECORDS_POSITION)
const fewer = (bytes: Uint8Array): void => {
  batch.writeInt32(bytes, batch.RECORD_COUNT_POSITION, 2)
  batch.writeInt32(bytes, batch.LAST_OFFSET_DELTA_POSITION, 1)
}
const produced = (bytes: Uint8Array): void => {
  garbage(bytes)
  batch.writeInt16(bytes, batch.ATTRIBUTES_POSITION, CODEC_GZIP)
}
const turned = compressed()
turned[70] = (turned[70] ?? 0) ^ 1

const rows: ReadonlyArray<readonly [string, Uint8Array, number]> = [
  ["as it was written", compressed(), 0],
  ["a bit turned", turned, BATCH_CRC],
  ["no payload of zstd", changed(garbage), COMPRESSION_CORRUPT],
  ["more records than it says", changed(fewer), RECORDS_LEFT_OVER],
  ["what a producer sent, which was inflated when it came", changed(produced), 0]
]
for (const [name, bytes, refusal] of rows) {
  test(name, () => assert.equal(checkStoredBatch(new Uint8Array([9, ...bytes, 9]), 1, bytes.length + 1), refusal))
}
