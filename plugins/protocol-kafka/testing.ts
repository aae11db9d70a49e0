/** For tests: record batches as Kafka clients send them. */
import { RecordBatchBuilder, recordBatch } from "../../core/mod.ts"

/** A record batch as a Kafka client would send it; `attributes` and `timestamps` as given, the CRC true. */
export function makeBatch(
  values: ReadonlyArray<string>,
  changes: { attributes?: number; timestamps?: ReadonlyArray<number> } = {}
): Uint8Array {
  const builder = new RecordBatchBuilder(2 ** 26)
  values.forEach((value, index) => {
    const bytes = new TextEncoder().encode(value)
    const timestamp = changes.timestamps?.[index] ?? 1_700_000_000_000 + index
    builder.append(timestamp, undefined, 0, 0, bytes, 0, bytes.length)
  })
  const length = builder.finish()
  const batch = builder.bytes.slice(0, length)
  recordBatch.writeInt16(batch, recordBatch.ATTRIBUTES_POSITION, changes.attributes ?? 0)
  return withCrc(batch)
}

/** The batch with a true CRC again, in place. */
export function withCrc(batch: Uint8Array): Uint8Array {
  recordBatch.writeInt32(batch, recordBatch.CRC_POSITION, crc(batch))
  return batch
}

/** CRC-32C bit by bit, apart from the product's. */
function crc(batch: Uint8Array): number {
  let value = 0xffff_ffff
  for (const byte of batch.subarray(recordBatch.ATTRIBUTES_POSITION)) {
    value ^= byte
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f6_3b78 : value >>> 1
  }
  return (value ^ 0xffff_ffff) >>> 0
}

/** A records field that holds `bytes`. */
export function recordsOf(...batches: ReadonlyArray<Uint8Array>): { bytes: Uint8Array; start: number; end: number } {
  const bytes = new Uint8Array(batches.reduce((size, batch) => size + batch.length, 0))
  let position = 0
  for (const batch of batches) {
    bytes.set(batch, position)
    position += batch.length
  }
  return { bytes, start: 0, end: bytes.length }
}
