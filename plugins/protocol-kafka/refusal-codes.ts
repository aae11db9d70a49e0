/**
 * What a refusal of the core means to a Kafka client: one table, so that producers retry what can succeed later and give up on what
 * cannot.
 *
 * Source: apache/kafka ProduceRequest.validateRecords, UnifiedLog, LogValidator (which exception for which fault).
 */
import {
  BACKLOG,
  BATCH_CODEC,
  BATCH_CRC,
  BATCH_TIMESTAMP,
  COMPRESSION_TOO_LARGE,
  DISK_FULL,
  FAILED,
  FENCED,
  NOT_AVAILABLE,
  OUT_OF_RANGE,
  PRODUCER_EPOCH_OLD,
  PRODUCER_OUT_OF_ORDER,
  READ_ONLY
} from "../../core/mod.ts"
import { ErrorCode } from "./wire/error-codes.ts"

const codes: ReadonlyMap<number, number> = new Map<number, number>([
  // Engines and logs. What a retry may heal is a code that clients retry.
  [BACKLOG, ErrorCode.REQUEST_TIMED_OUT],
  [READ_ONLY, ErrorCode.KAFKA_STORAGE_ERROR],
  [DISK_FULL, ErrorCode.KAFKA_STORAGE_ERROR],
  [FAILED, ErrorCode.KAFKA_STORAGE_ERROR],
  [FENCED, ErrorCode.NOT_LEADER_OR_FOLLOWER],
  [NOT_AVAILABLE, ErrorCode.NOT_LEADER_OR_FOLLOWER],
  [OUT_OF_RANGE, ErrorCode.OFFSET_OUT_OF_RANGE],
  // Batches. A damaged one may arrive whole the next time; the others are as they are.
  [BATCH_CRC, ErrorCode.CORRUPT_MESSAGE],
  [BATCH_CODEC, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE],
  [BATCH_TIMESTAMP, ErrorCode.INVALID_TIMESTAMP],
  // Idempotent producers. DUPLICATE_SEQUENCE_NUMBER (46) is never given: Apache's brokers have no use for it any more.
  [PRODUCER_OUT_OF_ORDER, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER],
  [PRODUCER_EPOCH_OLD, ErrorCode.INVALID_PRODUCER_EPOCH],
  // Java producers answer this code by splitting the batch, which is what helps.
  [COMPRESSION_TOO_LARGE, ErrorCode.MESSAGE_TOO_LARGE]
])

/** The error code for a refusal; 0 for none. Every fault of a batch or its records that has no code of its own is INVALID_RECORD. */
export function errorOfRefusal(refusal: number): number {
  if (refusal === 0) return ErrorCode.NONE
  return (
    codes.get(refusal) ?? (refusal <= BATCH_FAULTS_FROM ? ErrorCode.INVALID_RECORD : ErrorCode.UNKNOWN_SERVER_ERROR)
  )
}

/** Refusals of batches and records are this and below. */
const BATCH_FAULTS_FROM = -101
