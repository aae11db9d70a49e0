/** What a log on its own shard answers: states, reads, outcomes of appends. */
import type { TicketStream } from "../journal/Journal.ts"
import { FAILED } from "./Engines.ts"
import {
  type AppendResult,
  type DeleteResult,
  HIGH_WATERMARK,
  NOT_AVAILABLE,
  OUT_OF_RANGE,
  type PartitionSize,
  type PartitionState,
  type ProducersResult,
  type ReadResult
} from "./Logs.ts"
import type { PartitionLog } from "./PartitionLog.ts"
import type { ReadLease } from "./ReadLease.ts"
import { baseOffset, batchSize, lastOffsetDelta } from "./record-batch.ts"

/** Bytes of one answer to another shard's read, at most, beyond a first batch that is larger: they are copied several times. */
export const REMOTE_READ_BYTES_MAX = 1_048_576

const EMPTY = new Uint8Array(0)
const UNKNOWN: PartitionState = {
  refusal: NOT_AVAILABLE,
  logStartOffset: -1,
  highWatermark: -1,
  endOffset: -1,
  leaderEpoch: -1,
  incarnation: 0
}

export function refusedAppend(refusal: number): AppendResult {
  return { refusal, baseOffset: -1, logStartOffset: -1, appendTimeMs: -1 }
}

export function appendResult(
  log: PartitionLog,
  baseOffset: number,
  outcome: number,
  appendTimeMs: number
): AppendResult {
  const refusal = Math.min(baseOffset, outcome, 0)
  const { logStartOffset } = log
  if (refusal !== 0) return { refusal, baseOffset: -1, logStartOffset, appendTimeMs: -1 }
  return { refusal, baseOffset, logStartOffset, appendTimeMs }
}

/** The producers that the log knows of, when it does. */
export async function producersOf(log: PartitionLog | undefined): Promise<ProducersResult> {
  if (log === undefined) return { refusal: NOT_AVAILABLE, producers: [] }
  const { producers } = log
  if (producers === undefined || producers.isEmpty) return { refusal: 0, producers: [] }
  const refusal = await producers.whenReady()
  const known = refusal === 0 ? [...producers.state.all()].filter(({ count }) => count > 0) : []
  return {
    refusal,
    producers: known.map(({ id, epoch, lastSequence, lastTimestamp }) => ({ id, epoch, lastSequence, lastTimestamp }))
  }
}

/** `result` of the ticket's outcome: at once where it is committed. */
export function whenCommitted<Result>(
  tickets: TicketStream,
  ticket: number,
  result: (outcome: number) => Result
): Result | Promise<Result> {
  if (ticket <= tickets.committed) return result(tickets.takeOutcome(ticket))
  return new Promise((resolve) => {
    tickets.whenCommitted(ticket, () => resolve(result(tickets.takeOutcome(ticket))))
  })
}

/** What of a log is needed to tell its state and to read it. */
export type ReadableLog = Pick<
  PartitionLog,
  "logStartOffset" | "leaderEpoch" | "nextOffset" | "incarnation" | "highWatermark" | "readUnsafe" | "read"
>

export function stateOf(log: ReadableLog | undefined): PartitionState {
  if (log === undefined) return UNKNOWN
  const highWatermark = log.highWatermark()
  const { logStartOffset, nextOffset: endOffset, leaderEpoch, incarnation } = log
  return { refusal: 0, logStartOffset, highWatermark, endOffset, leaderEpoch, incarnation }
}

export function sizeOf(log: PartitionLog | undefined): PartitionSize {
  return log === undefined ? { refusal: NOT_AVAILABLE, sizeBytes: -1 } : { refusal: 0, sizeBytes: log.sizeBytes }
}

export async function deletedBefore(log: PartitionLog | undefined, offset: number): Promise<DeleteResult> {
  const refused = (refusal: number): DeleteResult => ({ refusal, logStartOffset: -1 })
  if (log === undefined) return refused(NOT_AVAILABLE)
  const highWatermark = log.highWatermark()
  const target = offset === HIGH_WATERMARK ? highWatermark : offset
  if (target < 0 || target > highWatermark) return refused(OUT_OF_RANGE)
  try {
    return { refusal: 0, logStartOffset: await log.deleteBefore(target) }
  } catch {
    // The engine's own error; the log was told of it where it is one that nobody expects.
    return refused(FAILED)
  }
}

/**
 * What another shard asks for is copied anyway: the pieces of memory that fit travel in one answer, so that one
 * question gets as much as a reader on this shard would.
 */
export async function readPieces(log: PartitionLog | undefined, offset: number, maxBytes: number): Promise<ReadResult> {
  const sizeMax = Math.min(maxBytes, REMOTE_READ_BYTES_MAX)
  const first = await readFrom(log, offset, sizeMax)
  if (log === undefined || first.refusal !== 0 || first.bytes.length === 0) return first
  const pieces = [first.bytes]
  let size = first.bytes.length
  let next = nextOffset(first.bytes)
  // The log may grow between two pieces: the answer tells the state that the last of them was read in.
  let state: PartitionState = first
  while (size < sizeMax && next < state.highWatermark) {
    const { bytes, ...later } = await readFrom(log, next, sizeMax - size)
    // A first batch comes whole, also where it does not fit any more.
    if (later.refusal !== 0 || bytes.length === 0 || size + bytes.length > sizeMax) break
    pieces.push(bytes)
    size += bytes.length
    next = nextOffset(bytes)
    state = later
  }
  return { ...state, bytes: pieces.length === 1 ? first.bytes : Buffer.concat(pieces, size) }
}

/** One past the last offset in whole stored batches. */
function nextOffset(bytes: Uint8Array): number {
  let position = 0
  let next = 0
  while (position < bytes.length) {
    next = baseOffset(bytes, position) + lastOffsetDelta(bytes, position) + 1
    const size = batchSize(bytes, position, bytes.length)
    if (size <= 0) break
    position += size
  }
  return next
}

export function readFrom(
  log: PartitionLog | undefined,
  offset: number,
  maxBytes: number,
  lease?: ReadLease
): ReadResult | Promise<ReadResult> {
  const state = stateOf(log)
  if (log === undefined) return { ...state, bytes: EMPTY }
  if (offset < state.logStartOffset || offset > state.endOffset) {
    return { ...state, refusal: OUT_OF_RANGE, bytes: EMPTY }
  }
  // Not committed yet, which is no fault of who asks: he may have been told of it before a restart or a cut.
  if (offset > state.highWatermark) return { ...state, bytes: EMPTY }
  const bytes = log.readUnsafe(offset, maxBytes)
  if (bytes !== undefined) return { ...state, bytes }
  return log.read(offset, maxBytes, lease).then(
    (cold) => ({ ...state, bytes: cold }),
    // The engine's own error; the log was told of it where it is one that nobody expects.
    () => ({ ...state, refusal: FAILED, bytes: EMPTY })
  )
}
