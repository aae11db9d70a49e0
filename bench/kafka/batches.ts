/** Batches as producers send them, made before the clock runs. */
import { crc32c, RecordBatchBuilder, recordBatch } from "../../core/mod.ts"
import { CODEC, type CodecName, compress } from "../../tests/support/record-batch.ts"
import { batchOf } from "../storage/batches.ts"

const encoder = new TextEncoder()

/** Values of so many bytes: of no pattern, and where they are compressed as devices send them, JSON whose numbers change. */
export function producedBatch(
  records: number,
  valueBytes: number,
  seed: number,
  codec: CodecName = "none"
): Uint8Array {
  const plain = codec === "none" ? batchOf(records, valueBytes, seed, Date.now()) : readings(records, valueBytes, seed)
  const head = recordBatch.RECORDS_POSITION
  const body = codec === "none" ? plain.subarray(head) : compress(codec, Buffer.from(plain.subarray(head)))
  const bytes = new Uint8Array(head + body.length)
  bytes.set(plain.subarray(0, head))
  bytes.set(body, head)
  recordBatch.writeInt32(bytes, recordBatch.BATCH_LENGTH_POSITION, bytes.length - recordBatch.LENGTH_OVERHEAD)
  // Without the mark of those that this broker gathers.
  recordBatch.writeInt16(bytes, recordBatch.ATTRIBUTES_POSITION, CODEC[codec])
  recordBatch.writeInt32(bytes, recordBatch.CRC_POSITION, crc32c(bytes, recordBatch.ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

function readings(records: number, valueBytes: number, seed: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  let state = seed >>> 0 || 1
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 8) % below
  }
  for (let record = 0; record < records; record++) {
    let text = ""
    while (text.length < valueBytes) {
      text += `{"device":"sensor-${next(500)}","temperature":${next(4_000) / 100},"humidity":${next(100)},"ok":true}\n`
    }
    const value = encoder.encode(text.slice(0, valueBytes))
    builder.append(Date.now() + record, undefined, 0, 0, value, 0, value.length)
  }
  return builder.bytes.slice(0, builder.finish())
}
