/**
 * Reads all batches of a segment's file and compares each with its checksum and with the batch before it: what `storage verify` finds and
 * `storage repair` goes by. A little at a time; nothing of what was read is kept.
 */
import { checkStoredBatch, endOffsetOf, type OpenFile, recordBatch } from "../../core/mod.ts"
import { BatchScan } from "./BatchScan.ts"
import type { Segment } from "./Segment.ts"
import { BATCH_HEADER_BYTES, HEADER_BYTES } from "./segment-format.ts"

/** Bytes that are read at a time; a batch that is larger is read as a whole. */
const PIECE_BYTES = 1_048_576

/** The first batch that is not as it was written, or the place where one should be. */
export interface BrokenBatch {
  /** Byte of the file, and the offset that follows the last whole batch before it. */
  readonly position: number
  readonly offset: number
  /** Half a sentence for a person. */
  readonly message: string
}

/** What a walk has seen up to its end, or up to `broken`. */
export interface Walked {
  readonly scan: BatchScan
  readonly broken: BrokenBatch | undefined
  /** Leader epochs of the first and of the last batch; -1 where there is none. */
  readonly firstEpoch: number
  readonly lastEpoch: number
  /** Where the first batch lies that ends behind the log's start; the walk's end where none does. */
  readonly startPosition: number
}

/** What a batch has to fit to. Offsets and leader epochs are covered by no checksum of its own. */
interface Place {
  position: number
  /** Where the batch before it began, and where that one should have: they differ where offsets are missing. */
  base: number
  expected: number
  end: number
  epoch: number
  epochBefore: number
}

export interface WalkOptions {
  /** Where the log starts; {@link Walked.startPosition} is worked out by it. */
  readonly logStart: number
  /** Leader epoch of the batch before the segment's first; -1 where there is none. */
  readonly epoch: number
  pace(bytes: number): Promise<void>
}

/** Walks `[header, segment.bytes)`. Rejects with `FileError`. */
export async function walkBatches(
  file: OpenFile,
  segment: Pick<Segment, "base" | "end" | "bytes">,
  { logStart, epoch, pace }: WalkOptions
): Promise<Walked> {
  const scan = new BatchScan(segment, file.pathname)
  let bytes = new Uint8Array(Math.min(PIECE_BYTES, Math.max(BATCH_HEADER_BYTES, segment.bytes - HEADER_BYTES)))
  let firstEpoch = -1
  let startPosition = -1
  let broken: BrokenBatch | undefined
  const before: Place = { position: 0, base: 0, expected: 0, end: segment.base, epoch, epochBefore: epoch }
  while (!scan.isDone && broken === undefined) {
    const from = scan.position
    const count = await file.read(bytes, 0, Math.min(bytes.length, segment.bytes - from), from)
    await pace(count)
    let at = 0
    while (broken === undefined && at + BATCH_HEADER_BYTES <= count) {
      const size = recordBatch.batchSize(bytes, at, count)
      if (size <= 0 && mayGoOn(bytes, at, count, segment.bytes - from)) break
      broken = faultOf(bytes, at, size, from + at, segment, before)
      if (broken !== undefined) break
      if (firstEpoch < 0) firstEpoch = before.epoch
      if (startPosition < 0 && before.end > logStart) startPosition = from + at
      at += size
    }
    if (at > 0) scan.take(bytes.subarray(0, at), at)
    else if (broken === undefined) {
      const wanted = count < BATCH_HEADER_BYTES ? 0 : recordBatch.batchLength(bytes, 0) + recordBatch.LENGTH_OVERHEAD
      // The file ends before the batch does, whatever it says of its length.
      if (wanted <= bytes.length) broken = brokenAt(from, before.end, "no whole batch lies here")
      else bytes = new Uint8Array(wanted)
    }
  }
  const lastEpoch = firstEpoch < 0 ? -1 : before.epoch
  return { scan, broken, firstEpoch, lastEpoch, startPosition: startPosition < 0 ? scan.position : startPosition }
}

/** The batch at `at` goes on behind what was read, and not behind the segment. */
function mayGoOn(bytes: Uint8Array, at: number, count: number, left: number): boolean {
  const end = at + recordBatch.batchLength(bytes, at) + recordBatch.LENGTH_OVERHEAD
  return end > count && end <= left
}

function brokenAt(position: number, offset: number, message: string): BrokenBatch {
  return { position, offset, message }
}

/** Why the batch at `at` is not one that may stand at `position`; undefined where it may, and then `before` is that batch. */
function faultOf(
  bytes: Uint8Array,
  at: number,
  size: number,
  position: number,
  segment: Pick<Segment, "base" | "end">,
  before: Place
): BrokenBatch | undefined {
  if (size <= 0) return brokenAt(position, before.end, "no whole batch lies here")
  if (recordBatch.checkBatch(bytes, at, at + size) !== 0) {
    return brokenAt(position, before.end, "the batch does not fit its checksum")
  }
  // Inflates those that this broker compressed.
  if (checkStoredBatch(bytes, at, at + size) !== 0) {
    return brokenAt(position, before.end, "the batch's records cannot be read")
  }
  const base = recordBatch.baseOffset(bytes, at)
  const end = endOffsetOf(bytes, at)
  const isFirst = before.position === 0
  if (base < before.end || end > segment.end || (isFirst && base !== segment.base)) {
    // One that left offsets out before it, and is followed by some of them, is the one that is wrong.
    if (!isFirst && before.base > before.expected && base >= before.expected) {
      return brokenAt(before.position, before.expected, `the batch says that it begins at offset ${before.base}`)
    }
    return brokenAt(position, before.end, `the batch says that it begins at offset ${base}`)
  }
  const epoch = recordBatch.partitionLeaderEpoch(bytes, at)
  if (epoch < before.epoch) {
    if (!isFirst && before.epochBefore <= epoch) {
      return brokenAt(before.position, before.expected, epochFault(before.epoch))
    }
    return brokenAt(position, before.end, epochFault(epoch))
  }
  before.position = position
  before.expected = before.end
  before.base = base
  before.end = end
  before.epochBefore = before.epoch
  before.epoch = epoch
  return undefined
}

const epochFault = (epoch: number): string => `the batch has leader epoch ${epoch}, and those around it do not fit that`
