/**
 * Produce: checks each partition's one record batch and hands it to its log as it was sent. Partitions fail one by one.
 *
 * Source: apache/kafka ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator; KAFKA notes, section 2.
 */
import {
  type AppendResult,
  BATCH_CRC,
  BATCH_LENGTH,
  BATCH_MAGIC,
  BATCH_TOO_SHORT,
  CODEC_ZSTD,
  recordBatch,
  recordFacts,
  refusalName,
  settingsOf,
  type TopicInfo,
  WRITE
} from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import { errorOfRefusal } from "../refusal-codes.ts"
import type { produce } from "../wire/apis.ts"
import { ErrorCode, errorMessage } from "../wire/error-codes.ts"
import { PRODUCE_SERVED_FROM } from "../wire/messages/produce.ts"
import type { ElementOf, RecordsView, RequestOf, ResponseOf } from "../wire/schema.ts"
import { checkTopicRecords, type RecordFaults } from "./record-rules.ts"
import { topicFor } from "./topic-access.ts"

type Request = RequestOf<typeof produce>
type TopicAnswer = ElementOf<ResponseOf<typeof produce>, "responses">
type PartitionAnswer = ElementOf<TopicAnswer, "partitionResponses">

/** The first version that names topics by id. */
const BY_ID_FROM = 13
/** The first version whose client is sure to know zstd. */
const ZSTD_FROM = 7

export function handleProduce(exchange: Exchange<typeof produce>, request: Request, broker: Broker): void {
  const { acks } = request
  const responses: Array<TopicAnswer> = []
  const late: Array<Promise<void>> = []
  const refused = refusedWhole(exchange.version, request)
  for (const { name, topicId, partitionData } of request.topicData) {
    const partitionResponses: Array<PartitionAnswer> = []
    responses.push({ name, topicId, partitionResponses })
    const topic = refused ?? topicFor(broker, exchange.caller, WRITE, name, topicId, exchange.version >= BY_ID_FROM)
    for (const { index, records } of partitionData) {
      const outcome = typeof topic === "number" ? topic : append(topic, index, records, exchange.version, broker)
      const slot = partitionResponses.length
      if (outcome instanceof Promise) {
        partitionResponses.push(refusal(index, ErrorCode.UNKNOWN_SERVER_ERROR))
        late.push(
          outcome.then((result) => {
            partitionResponses[slot] = appended(index, result, broker)
          })
        )
      } else if (typeof outcome === "number") partitionResponses.push(refusal(index, broker.counts.error(outcome)))
      else if ("recordErrors" in outcome) partitionResponses.push(faulty(index, outcome, broker))
      else partitionResponses.push(appended(index, outcome, broker))
    }
  }
  const finish = (): void => {
    if (acks !== 0) exchange.complete({ responses })
    else if (responses.every(isStored)) exchange.completeSilently()
    // Nobody reads an answer; the end of the connection tells the producer to look for the partition anew.
    else exchange.refuse("produce_unacknowledged")
  }
  if (late.length === 0) finish()
  else Promise.all(late).then(finish, (error) => exchange.fail(error))
}

/** Why nothing of the request is taken; undefined where it is looked at. */
function refusedWhole(version: number, request: Request): number | undefined {
  if (version < PRODUCE_SERVED_FROM) return ErrorCode.UNSUPPORTED_VERSION
  if (request.acks < -1 || request.acks > 1) return ErrorCode.INVALID_REQUIRED_ACKS
  // There are no transactions yet, so there is none that these records could belong to.
  if (request.transactionalId !== null) return ErrorCode.INVALID_TXN_STATE
  return undefined
}

/** The outcome of one partition: the log's, an error code, or what is wrong with records. */
function append(
  topic: TopicInfo,
  partition: number,
  records: RecordsView | null,
  version: number,
  broker: Broker
): AppendResult | Promise<AppendResult> | RecordFaults | number {
  if (partition < 0 || partition >= topic.partitions) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  if (records === null) return ErrorCode.INVALID_RECORD
  const { bytes, start, end } = records
  const fault = checkBatch(topic, bytes, start, end, version, broker)
  if (fault !== 0) return fault
  const count = recordBatch.recordCount(bytes, start)
  broker.counts.producedBatches += 1
  broker.counts.producedRecords += count
  broker.counts.producedBytes += end - start
  const { timestampMax } = recordFacts
  const largest = Number.isFinite(timestampMax) ? timestampMax : -1
  if (recordBatch.maxTimestamp(bytes, start) === largest) {
    return broker.logs.append(topic, partition, bytes, start, end, count)
  }
  // Who looks for records by their time goes by what the batch says of them all.
  const corrected = bytes.slice(start, end)
  recordBatch.writeTimestampType(corrected, 0, corrected.length, false, largest)
  return broker.logs.append(topic, partition, corrected, 0, corrected.length, count)
}

/** 0 where `bytes[start, end)` is exactly one record batch that may be stored; else the error code, or what is wrong with its records. */
function checkBatch(
  topic: TopicInfo,
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
  broker: Broker
): RecordFaults | number {
  // What is there is looked at in Apache's order: is it one batch of magic 2, is it small enough, is it whole.
  let refusal = oneBatch(bytes, start, end)
  if (refusal === 0) {
    if (recordBatch.codec(bytes, start) === CODEC_ZSTD && version < ZSTD_FROM)
      return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    if (end - start > sizeMaxOf(topic, broker)) return ErrorCode.MESSAGE_TOO_LARGE
    refusal = recordBatch.checkProducedBatch(bytes, start, end)
  }
  if (refusal === 0) {
    // Transactional records without a transactional id: Apache's answer is that there is no right to such an id.
    if ((recordBatch.attributes(bytes, start) & recordBatch.TRANSACTIONAL) !== 0) {
      return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    }
    const checked = checkTopicRecords(topic, bytes, start, end, broker.clock.nowMs())
    if (typeof checked !== "number") return checked
    refusal = checked
  }
  if (refusal === 0) return ErrorCode.NONE
  broker.counts.refusedBatch(refusalName(refusal))
  return errorOfRefusal(refusal)
}

/** Bytes of one batch of a topic: as it says, else as the plugin's options do. */
function sizeMaxOf(topic: TopicInfo, broker: Broker): number {
  return topic.configs?.["max.message.bytes"] === undefined
    ? broker.settings.message_size_max
    : settingsOf(topic).messageBytesMax
}

/** 0 where the bytes begin with a whole batch of magic 2 and end with it. */
function oneBatch(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= recordBatch.MAGIC_POSITION) return BATCH_TOO_SHORT
  if (recordBatch.magic(bytes, start) < recordBatch.MAGIC) return BATCH_MAGIC
  // A format from the future, a length that no batch has: not an old client but damage, like a wrong CRC.
  if (recordBatch.magic(bytes, start) > recordBatch.MAGIC) return BATCH_CRC
  const size = recordBatch.batchSize(bytes, start, end)
  if (size < 0) return size === BATCH_LENGTH ? BATCH_CRC : size
  return size === end - start ? 0 : BATCH_LENGTH
}

function appended(index: number, result: AppendResult, broker: Broker): PartitionAnswer {
  if (result.refusal !== 0) {
    broker.counts.refusedBatch(refusalName(result.refusal))
    return refusal(index, broker.counts.error(errorOfRefusal(result.refusal)))
  }
  const { baseOffset, logStartOffset, appendTimeMs: logAppendTimeMs } = result
  return { index, errorCode: ErrorCode.NONE, baseOffset, logStartOffset, logAppendTimeMs }
}

function faulty(index: number, { errorCode, recordErrors }: RecordFaults, broker: Broker): PartitionAnswer {
  broker.counts.refusedBatch("record_rules")
  return { ...refusal(index, broker.counts.error(errorCode)), recordErrors }
}

function refusal(index: number, errorCode: number): PartitionAnswer {
  return { index, errorCode, baseOffset: -1, errorMessage: errorMessage(errorCode) }
}

function isStored(topic: TopicAnswer): boolean {
  return topic.partitionResponses.every((partition) => partition.errorCode === ErrorCode.NONE)
}
