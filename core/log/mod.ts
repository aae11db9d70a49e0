/**
 * The stored form: record batches, their checks, readers, builder and codecs, and Kafka's key hash.
 */

export { copyBytes } from "../copy-bytes.ts"
export { BatchCompressor, type Compression, type CompressionCounts } from "./BatchCompressor.ts"
export { checkRecords, defaultRecordLimits, type RecordLimits, recordFacts } from "./check-records.ts"
export { checkStoredBatch } from "./check-stored.ts"
export {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  codecNames,
  compress,
  decompress
} from "./compression.ts"
export { crc32c, crc32cUpdate } from "./crc32c.ts"
export { deliveryHeaders, deliveryHeadersCount } from "./delivery-headers.ts"
export { HeaderCursor } from "./HeaderCursor.ts"
export { murmur2, partitionForKey } from "./murmur2.ts"
export {
  APPEND_HEAD_BYTES,
  BATCH_APPENDED,
  endOffsetOf,
  LOG_BEGUN,
  LOG_CUT,
  LOG_DELETED,
  PARTITION_MADE,
  PARTITION_REMOVED,
  type PartitionTarget,
  readPartitionOperation,
  writeAppendHead,
  writeBegun,
  writeCut,
  writeDeleted,
  writeMade,
  writePartitionRemoved
} from "./partition-operations.ts"
export { GATHERED_SIZE_MAX, RecordBatchBuilder } from "./RecordBatchBuilder.ts"
export { DECOMPRESSED_SIZE_MAX, RecordCursor } from "./RecordCursor.ts"
export * as recordBatch from "./record-batch.ts"
export { headerSize, writeHeader } from "./record-header.ts"
export * from "./refusals.ts"
export * as varint from "./varint.ts"
