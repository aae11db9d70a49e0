/**
 * Clients that fetch by a version from before zstd: what this broker compressed is not given to them, for they may not know it; as
 * Apache Kafka does for topics with `compression.type = zstd`. What a producer compressed is its own choice, and is given as it is.
 *
 * Source: KIP-110; apache/kafka KafkaApis.handleFetchRequest.
 */
import { CODEC_ZSTD, type ReadResult, recordBatch } from "../../../core/mod.ts"

/** The first version of Fetch whose client is sure to know zstd. */
export const ZSTD_FROM = 10

/** What of a reading a client of that version can read. */
export function readableBy<Reading extends ReadResult>(version: number, reading: Reading): Reading {
  if (version >= ZSTD_FROM) return reading
  const size = bytesWithoutZstd(reading.bytes)
  return size === reading.bytes.length ? reading : { ...reading, bytes: reading.bytes.subarray(0, size) }
}

/** Bytes of the whole batches at the front of `bytes` before the first that this broker gathered and compressed. */
export function bytesWithoutZstd(bytes: Uint8Array): number {
  for (let position = 0; position < bytes.length; ) {
    const size = recordBatch.batchSize(bytes, position, bytes.length)
    if (size <= 0) return bytes.length
    const isGathered = (recordBatch.attributes(bytes, position) & recordBatch.GATHERED) !== 0
    if (isGathered && recordBatch.codec(bytes, position) === CODEC_ZSTD) return position
    position += size
  }
  return bytes.length
}
