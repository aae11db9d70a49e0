/**
 * Why stored-form bytes were refused: one table for batches, records, headers and compressed payloads, so that a
 * protocol maps it once to its own error code and a counter can name the cause.
 *
 * Invariants: 0 is no refusal; every refusal is a distinct negative number and has a name.
 */

/** Fewer bytes than a batch has. */
export const BATCH_TOO_SHORT = -101
/** The batch length field does not name the bytes that are there. */
export const BATCH_LENGTH = -102
/** Not magic 2 (older message formats included). */
export const BATCH_MAGIC = -103
/** The CRC-32C does not match the bytes. */
export const BATCH_CRC = -104
/** The record count is not positive or is not last offset delta + 1. */
export const BATCH_COUNT = -105
/** An attribute bit without a meaning is set. */
export const BATCH_ATTRIBUTES = -106
/** The compression codec is none that we know. */
export const BATCH_CODEC = -107
/** Base or maximum timestamp, or a record's, lies outside +-(2^53 - 1) ms. */
export const BATCH_TIMESTAMP = -108
/** A client sent a batch with the mark of our own gatherer. */
export const BATCH_FORGED = -109
/** A client sent a control batch. */
export const BATCH_CONTROL = -110

/** A batch with a producer id whose first sequence number is none. */
export const BATCH_SEQUENCE = -111

/** The bytes end inside a record, or a record's length does not name where its fields end. */
export const RECORD_LENGTH = -121
/** A key length below -1 or past the record's end. */
export const RECORD_KEY = -122
/** A value length below -1 or past the record's end. */
export const RECORD_VALUE = -123
/** A header count that the record's bytes cannot hold, or one above the limit. */
export const RECORD_HEADER_COUNT = -124
/** A header's name or value does not fit, or headers end before or after the record does. */
export const RECORD_HEADER = -125
/** An offset delta that is not the record's index. */
export const RECORD_OFFSET_DELTA = -126
/** Bytes follow the last record. */
export const RECORDS_LEFT_OVER = -127

/** The payload inflates to more than the bound. */
export const COMPRESSION_TOO_LARGE = -141
/** The payload is not what its codec writes. */
export const COMPRESSION_CORRUPT = -142

/** The batch has no room for this record: finish it and start the next. */
export const BUILDER_FULL = -161
/** No batch within the bound can hold this record. */
export const BUILDER_RECORD_TOO_LARGE = -162

/** A batch of an idempotent producer that is neither its next one nor one of its last five. */
export const PRODUCER_OUT_OF_ORDER = -181
/** A batch of an idempotent producer under an epoch that a later one has replaced. */
export const PRODUCER_EPOCH_OLD = -182

const names = new Map<number, string>([
  [BATCH_TOO_SHORT, "batch_too_short"],
  [BATCH_LENGTH, "batch_length"],
  [BATCH_MAGIC, "batch_magic"],
  [BATCH_CRC, "batch_crc"],
  [BATCH_COUNT, "batch_count"],
  [BATCH_ATTRIBUTES, "batch_attributes"],
  [BATCH_CODEC, "batch_codec"],
  [BATCH_TIMESTAMP, "batch_timestamp"],
  [BATCH_FORGED, "batch_forged"],
  [BATCH_CONTROL, "batch_control"],
  [BATCH_SEQUENCE, "batch_sequence"],
  [RECORD_LENGTH, "record_length"],
  [RECORD_KEY, "record_key"],
  [RECORD_VALUE, "record_value"],
  [RECORD_HEADER_COUNT, "record_header_count"],
  [RECORD_HEADER, "record_header"],
  [RECORD_OFFSET_DELTA, "record_offset_delta"],
  [RECORDS_LEFT_OVER, "records_left_over"],
  [COMPRESSION_TOO_LARGE, "compression_too_large"],
  [COMPRESSION_CORRUPT, "compression_corrupt"],
  [BUILDER_FULL, "builder_full"],
  [BUILDER_RECORD_TOO_LARGE, "builder_record_too_large"],
  [PRODUCER_OUT_OF_ORDER, "producer_out_of_order"],
  [PRODUCER_EPOCH_OLD, "producer_epoch_old"]
])

/** Every refusal with its name, for tables of counters and error codes. */
export const refusals: ReadonlyMap<number, string> = names

/** The name of a refusal, for a counter or a log line; "none" for 0, "unknown" for what is not in the table. */
export function refusalName(refusal: number): string {
  return refusal === 0 ? "none" : (names.get(refusal) ?? "unknown")
}
