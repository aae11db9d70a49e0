/**
 * Where a leader epoch ends in a log: what Kafka keeps in its leader-epoch-checkpoint, read out of the log itself.
 *
 * Every stored batch carries the epoch it was appended under, and epochs never fall along a log. So the first batch of a later epoch is
 * found by halving, whatever engine keeps the log; nothing is kept beside the batches, and what survives a crash is never out of step
 * with them. A reader mostly asks for the last epoch that has batches: that is one batch read, and none for the current one.
 *
 * Source: apache/kafka LeaderEpochFileCache.endOffsetFor; KIP-101, KIP-320.
 */
import { FAILED } from "./Engines.ts"
import type { EpochEnd, PartitionState } from "./Logs.ts"
import { type ReadableLog, stateOf } from "./local-answers.ts"
import { baseOffset, batchSize, lastOffsetDelta, partitionLeaderEpoch } from "./record-batch.ts"

/** A search that is overtaken by deletions and cuts so often ends with a refusal. */
const ATTEMPTS = 4
const UNKNOWN = { epoch: -1, epochEndOffset: -1 }

interface Found {
  readonly base: number
  readonly next: number
  readonly epoch: number
}

/**
 * The latest epoch of the log that is not after `epoch`, and the offset at which the next one begins; `epoch` itself where it lies before
 * all that is kept. Nothing (-1) for one that the log has not seen. Its refusal is that of {@link PartitionState}, or {@link FAILED}.
 */
export function epochEndOf(log: ReadableLog | undefined, epoch: number): EpochEnd | Promise<EpochEnd> {
  const state = stateOf(log)
  if (log === undefined || epoch < 0 || epoch > state.leaderEpoch) return { ...state, ...UNKNOWN }
  if (epoch === state.leaderEpoch) return { ...state, epoch, epochEndOffset: state.endOffset }
  return search(log, epoch).catch(() => ({ ...stateOf(log), ...UNKNOWN, refusal: FAILED }))
}

async function search(log: ReadableLog, epoch: number): Promise<EpochEnd> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const state = stateOf(log)
    const found = await searchOnce(log, state, epoch)
    // What was cut or forgotten meanwhile may have been what was found.
    if (found === undefined || log.leaderEpoch !== state.leaderEpoch) continue
    return { ...state, ...found }
  }
  throw new Error("the log changed too often")
}

/** Undefined where the log lost what was looked at. */
async function searchOnce(
  log: ReadableLog,
  { logStartOffset, highWatermark }: PartitionState,
  epoch: number
): Promise<Pick<EpochEnd, "epoch" | "epochEndOffset"> | undefined> {
  // What is not committed yet is all of the current epoch, which is later.
  if (logStartOffset === highWatermark) return { epoch, epochEndOffset: highWatermark }
  const last = await batchAt(log, highWatermark - 1)
  if (last === undefined) return undefined
  if (last.epoch <= epoch) return { epoch: last.epoch, epochEndOffset: highWatermark }
  let floor = epoch
  let end = Math.max(last.base, logStartOffset)
  for (let low = logStartOffset, high = end; low < high; ) {
    // The start first: most often nothing earlier is kept, and one batch tells.
    const middle = low === logStartOffset ? low : low + Math.floor((high - low) / 2)
    const found = await batchAt(log, middle)
    if (found === undefined) return undefined
    if (found.epoch > epoch) {
      // A batch behind a gap may begin after the middle.
      end = Math.max(Math.min(end, found.base), logStartOffset)
      high = Math.min(middle, found.base)
    } else {
      floor = found.epoch
      low = found.next
    }
  }
  return { epoch: floor, epochEndOffset: end }
}

async function batchAt(log: ReadableLog, offset: number): Promise<Found | undefined> {
  const bytes = log.readUnsafe(offset, 0) ?? (await log.read(offset, 0))
  if (batchSize(bytes, 0, bytes.length) <= 0) return undefined
  const base = baseOffset(bytes, 0)
  return { base, next: base + lastOffsetDelta(bytes, 0) + 1, epoch: partitionLeaderEpoch(bytes, 0) }
}
