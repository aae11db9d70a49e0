/**
 * What a topic asks of every record that is produced to it: a key where it is compacted, a time near that of the append.
 *
 * Source: apache/kafka LogValidator.validateRecord, processRecordErrors; KIP-467 (record errors), KIP-937 (before and after).
 */
import {
  checkRecords,
  defaultRecordLimits,
  RecordCursor,
  recordBatch,
  recordFacts,
  settingsOf,
  type TopicInfo,
  type TopicSettings
} from "../../../core/mod.ts"
import { ErrorCode } from "../wire/error-codes.ts"

/** Faulty records of one batch that are named; a client fails the others with their batch. */
const ERRORS_MAX = 1_000

/** Why a batch is refused whose bytes are all right. */
export interface RecordFaults {
  readonly errorCode: number
  readonly recordErrors: ReadonlyArray<{ readonly batchIndex: number; readonly batchIndexErrorMessage: string }>
}

const NO_KEY = "the topic is compacted: a record needs a key"
const NOT_ITS_TIME = "a producer does not say when a record is appended"

/**
 * Checks the records of `bytes[start, end)`, a batch that is sound: 0, a refusal where they are not, or what the topic does not allow of
 * them. Afterwards `recordFacts` tells of them.
 */
export function checkTopicRecords(
  topic: TopicInfo,
  bytes: Uint8Array,
  start: number,
  end: number,
  nowMs: number
): number | RecordFaults {
  const refusal = checkRecords(bytes, start, end, defaultRecordLimits)
  if (refusal !== 0) return refusal
  const settings = settingsOf(topic)
  const isAppendTime = (recordBatch.attributes(bytes, start) & recordBatch.LOG_APPEND_TIME) !== 0
  const isKeyMissing = settings.isCompacted && recordFacts.unkeyedCount > 0
  const isTimeWrong = settings.timestampType === "create" && !areNear(settings, nowMs)
  if (!isAppendTime && !isKeyMissing && !isTimeWrong) return 0
  return faultsOf(settings, bytes, start, end, nowMs)
}

/** Whether the times of all records that have one are near enough to now. */
function areNear({ timestampBeforeMsMax, timestampAfterMsMax }: TopicSettings, nowMs: number): boolean {
  const { timestampMin, timestampMax } = recordFacts
  return nowMs - timestampMin <= timestampBeforeMsMax && timestampMax - nowMs <= timestampAfterMsMax
}

function faultsOf(settings: TopicSettings, bytes: Uint8Array, start: number, end: number, nowMs: number): RecordFaults {
  const { isCompacted, timestampType, timestampBeforeMsMax, timestampAfterMsMax } = settings
  const isAppendTime = (recordBatch.attributes(bytes, start) & recordBatch.LOG_APPEND_TIME) !== 0
  const cursor = new RecordCursor()
  cursor.reset(bytes, start, end, defaultRecordLimits.decompressedSizeMax)
  const recordErrors: Array<RecordFaults["recordErrors"][number]> = []
  let isTimeWrong = false
  while (cursor.next() && recordErrors.length < ERRORS_MAX) {
    const { timestamp, offsetDelta: batchIndex, keyStart } = cursor
    const isFar =
      timestamp !== -1 && (nowMs - timestamp > timestampBeforeMsMax || timestamp - nowMs > timestampAfterMsMax)
    let message = ""
    if (isCompacted && keyStart < 0) message = NO_KEY
    else if (isAppendTime) message = NOT_ITS_TIME
    else if (timestampType === "create" && isFar) {
      message = `its time, ${timestamp}, does not lie from ${nowMs - timestampBeforeMsMax} to ${nowMs + timestampAfterMsMax}`
    }
    if (message === "") continue
    isTimeWrong ||= message !== NO_KEY
    recordErrors.push({ batchIndex, batchIndexErrorMessage: message })
  }
  return { errorCode: isTimeWrong ? ErrorCode.INVALID_TIMESTAMP : ErrorCode.INVALID_RECORD, recordErrors }
}
