/**
 * What a checkpoint makes of one partition, worked out from its operations before anything is written: what is cut off, what is added and
 * to which segments, which segments go.
 *
 * Invariant: nothing of the catalogue is changed; a plan that fails is thrown away, and the same operations give the same plan again.
 */
import {
  addRange,
  crc32cUpdate,
  type DeletedRange,
  type Deletion,
  endOffsetOf,
  type PartitionKey,
  type RetentionReason,
  recordBatch,
  type TrimTask
} from "../../core/mod.ts"
import { BatchFacts, RunBuilder } from "./BatchScan.ts"
import type { OldestSegments } from "./OldestSegments.ts"
import { fileBytes, type Segment, type StoredPartition } from "./Segment.ts"
import { SEGMENT_BYTES_MIN } from "./Settings.ts"
import { encodeRuns, HEADER_BYTES, type IndexRun } from "./segment-format.ts"

/** Of a bound on a partition's size, records or age, the share that one segment may have: what goes beyond the bound goes by whole segments. */
const SEGMENTS_PER_BOUND = 8

export interface SegmentBounds {
  /** A segment is ended when it would become larger, or has become older. */
  readonly bytes: number
  readonly ageMs: number
  /** The same for records, of one that is not small. */
  readonly records: number
}

/** A batch to be added. */
export interface NewBatch {
  readonly bytes: Uint8Array
  readonly appendedAtMs: number
}

/** What is written to one segment's files. */
export interface SegmentWrite {
  /** What it was; undefined where it is new. */
  readonly before: Segment | undefined
  readonly after: Segment
  /** Its file is written from here on. */
  readonly position: number
  /** Batches, in order. */
  readonly pieces: ReadonlyArray<Uint8Array>
  /** The same as runs, and the bytes that are added to the index's file. */
  readonly runs: ReadonlyArray<IndexRun>
  readonly entries: Uint8Array
}

export class PlannedPartition {
  readonly id: number
  readonly key: PartitionKey
  readonly before: StoredPartition | undefined
  isRemoved = false
  logStart: number
  logEnd: number
  leaderEpoch: number
  /** Where the part that was there before ends now. */
  keptEnd: number
  /** What comes behind that. */
  added: Array<NewBatch> = []
  /** What retention takes of it, oldest first. */
  readonly deleted: Array<DeletedRange> = []
  /** Segments that end up to there are to go for want of room, for that reason; rising. */
  readonly unwanted: Array<{ readonly end: number; readonly reason: RetentionReason }> = []

  constructor(id: number, key: PartitionKey, before: StoredPartition | undefined) {
    this.id = id
    this.key = key
    this.before = before
    this.logStart = before?.logStart ?? 0
    this.logEnd = before?.logEnd ?? 0
    this.keptEnd = this.logEnd
    this.leaderEpoch = before?.leaderEpoch ?? 0
  }

  append(bytes: Uint8Array, appendedAtMs: number): void {
    const base = recordBatch.baseOffset(bytes, 0)
    if (base < this.logEnd) this.cut(base, 0)
    if (this.logStart === this.logEnd) this.logStart = base
    this.leaderEpoch = Math.max(this.leaderEpoch, recordBatch.partitionLeaderEpoch(bytes, 0))
    this.added.push({ bytes, appendedAtMs })
    this.logEnd = endOffsetOf(bytes, 0)
  }

  cut(end: number, leaderEpoch: number): void {
    this.leaderEpoch = Math.max(this.leaderEpoch, leaderEpoch)
    for (let last = this.added.at(-1); last !== undefined && endOffsetOf(last.bytes, 0) > end; last = this.added.at(-1))
      this.added.pop()
    this.keptEnd = Math.min(this.keptEnd, end)
    this.logEnd = Math.min(this.logEnd, end)
    this.logStart = Math.min(this.logStart, end)
  }

  begin(start: number, leaderEpoch: number): void {
    this.cut(0, leaderEpoch)
    this.logStart = start
    this.logEnd = start
  }

  delete(start: number): void {
    this.logStart = Math.max(this.logStart, Math.min(start, this.logEnd))
  }

  /** Something that is in segments was cut off. */
  get isCut(): boolean {
    return (this.before?.segments.at(-1)?.end ?? 0) > this.keptEnd
  }

  /** Moves the log's start behind those of the oldest segments that the partition's bounds do not allow; notes what goes, and why. */
  trim(segments: ReadonlyArray<Segment>, { sizeBytesMax, recordsMax, appendedBeforeMs }: TrimTask): void {
    let bytes = segments.reduce((sum, segment) => sum + segment.bytes - HEADER_BYTES, 0)
    let records = segments.reduce((sum, segment) => sum + segment.records, 0)
    for (const [at, segment] of segments.entries()) {
      const isOld = segment.lastAppendedMs < appendedBeforeMs
      const isOver = (bytes > sizeBytesMax || records > recordsMax) && at < segments.length - 1
      if (!isOld && !isOver) break
      const reason = isOld ? "time" : bytes > sizeBytesMax ? "bytes" : "records"
      const size = segment.bytes - HEADER_BYTES
      bytes -= size
      records -= segment.records
      this.#deleteSegment(segment, reason)
    }
  }

  /** Moves the log's start behind the segments that are to go for want of room. */
  deleteUnwanted(segments: ReadonlyArray<Segment>): void {
    for (const { end, reason } of this.unwanted) {
      for (const segment of segments) {
        if (segment.end > end) break
        this.#deleteSegment(segment, reason)
      }
    }
  }

  #deleteSegment({ base, end, bytes }: Segment, reason: RetentionReason): void {
    if (end <= this.logStart) return
    const from = Math.max(base, this.logStart)
    addRange(this.deleted, { key: this.key, reason, from, to: end, bytes: bytes - HEADER_BYTES })
    this.logStart = end
  }
}

/** Has the oldest segments go for want of room; what is chosen twice goes once. `planOf` is the plan of a partition that is there. */
export function chooseOldest(
  oldest: OldestSegments,
  { bytes, tenant, reason }: Deletion,
  planOf: (id: number) => PlannedPartition | undefined
): void {
  let found = 0
  for (const { id, segment } of oldest.walk(tenant)) {
    if (found >= bytes) break
    const planned = planOf(id)
    if (planned === undefined || planned.isRemoved) continue
    planned.unwanted.push({ end: segment.end, reason })
    found += fileBytes(segment)
  }
}

/** How large and old segments of a partition with these bounds may become. */
export function boundsOf(bounds: SegmentBounds, trim: TrimTask | undefined, nowMs: number): SegmentBounds {
  if (trim === undefined) return bounds
  const { bytes, ageMs } = bounds
  const age =
    trim.appendedBeforeMs === 0 ? ageMs : Math.min(ageMs, (nowMs - trim.appendedBeforeMs) / SEGMENTS_PER_BOUND)
  const share = Math.max(SEGMENT_BYTES_MIN, trim.sizeBytesMax / SEGMENTS_PER_BOUND)
  const records = Math.min(bounds.records, trim.recordsMax / SEGMENTS_PER_BOUND)
  return { bytes: Math.min(bytes, share), ageMs: age, records }
}

/** Adds batches behind the last segment, and to new ones. `last` is undefined where a new segment has to begin. */
export function planWrites(
  batches: ReadonlyArray<NewBatch>,
  last: Segment | undefined,
  bounds: SegmentBounds
): ReadonlyArray<SegmentWrite> {
  const writes: Array<SegmentWrite> = []
  let open = last === undefined ? undefined : WriteBuilder.behind(last)
  for (const batch of batches) {
    if (open?.isFull(batch, bounds) === true) {
      writes.push(open.finish(true))
      open = undefined
    }
    open ??= WriteBuilder.fresh(batch)
    open.add(batch)
  }
  if (open?.hasChanged === true) writes.push(open.finish(false))
  return writes
}

/** Ends a segment where it is: a footer, and what its index lacks. */
export function planSeal(last: Segment): SegmentWrite {
  return WriteBuilder.behind(last).finish(true)
}

/** Where among the batches that are written the first one lies that ends behind `offset`. */
export function positionWithin(write: SegmentWrite | undefined, offset: number): number {
  let at = write?.position ?? HEADER_BYTES
  for (const piece of write?.pieces ?? []) {
    if (endOffsetOf(piece, 0) > offset) break
    at += piece.length
  }
  return at
}

/** One write while batches are added to it. */
class WriteBuilder {
  readonly #before: Segment | undefined
  readonly #base: number
  readonly #position: number
  readonly #facts: BatchFacts
  readonly #runs: RunBuilder
  readonly #entries: RunBuilder
  readonly #pieces: Array<Uint8Array> = []
  readonly #firstAppendedMs: number
  #bytes: number
  #end: number
  #lastAppendedMs: number

  private constructor(base: number, from: Segment | undefined, appendedAtMs: number) {
    this.#base = base
    this.#before = from
    this.#bytes = from?.bytes ?? HEADER_BYTES
    this.#position = this.#bytes
    this.#end = from?.end ?? base
    this.#facts = from === undefined ? new BatchFacts() : BatchFacts.of(from)
    this.#firstAppendedMs = from?.firstAppendedMs ?? appendedAtMs
    this.#lastAppendedMs = from?.lastAppendedMs ?? appendedAtMs
    this.#runs = new RunBuilder(this.#bytes, this.#end - base)
    const hasTail = from !== undefined && from.indexedBytes < from.bytes
    this.#entries = hasTail
      ? new RunBuilder(this.#bytes, from.indexedEnd - base, from.indexedBytes, from.tailMaxTimestamp)
      : new RunBuilder(this.#bytes, this.#end - base)
  }

  static fresh({ bytes, appendedAtMs }: NewBatch): WriteBuilder {
    return new WriteBuilder(recordBatch.baseOffset(bytes, 0), undefined, appendedAtMs)
  }

  static behind(last: Segment): WriteBuilder {
    return new WriteBuilder(last.base, last, 0)
  }

  get hasChanged(): boolean {
    return this.#pieces.length > 0
  }

  isFull({ bytes, appendedAtMs }: NewBatch, bounds: SegmentBounds): boolean {
    if (this.#end === this.#base) return false
    const records = this.#facts.records + recordBatch.recordCount(bytes, 0)
    if (records > bounds.records && this.#bytes >= SEGMENT_BYTES_MIN) return true
    return this.#bytes + bytes.length > bounds.bytes || appendedAtMs - this.#firstAppendedMs > bounds.ageMs
  }

  add({ bytes, appendedAtMs }: NewBatch): void {
    const relative = recordBatch.baseOffset(bytes, 0) - this.#base
    const timestamp = recordBatch.maxTimestamp(bytes, 0)
    this.#runs.add(relative, bytes.length, timestamp)
    this.#entries.add(relative, bytes.length, timestamp)
    this.#facts.add(bytes, 0)
    this.#pieces.push(bytes)
    this.#bytes += bytes.length
    this.#end = endOffsetOf(bytes, 0)
    this.#lastAppendedMs = appendedAtMs
  }

  finish(isSealed: boolean): SegmentWrite {
    this.#runs.close()
    // What a sealed segment's index has is all that it will ever have.
    if (isSealed) this.#entries.close()
    const entries = encodeRuns(this.#entries.runs)
    const isOpen = this.#entries.end > this.#entries.position
    const after: Segment = {
      base: this.#base,
      end: this.#end,
      bytes: this.#bytes,
      isSealed,
      ...this.#facts,
      firstAppendedMs: this.#firstAppendedMs,
      lastAppendedMs: this.#lastAppendedMs,
      indexEntries: (this.#before?.indexEntries ?? 0) + this.#entries.runs.length,
      indexCrc: crc32cUpdate(this.#before?.indexCrc ?? 0, entries, 0, entries.length),
      indexedBytes: this.#entries.position,
      indexedEnd: isOpen ? this.#base + this.#entries.relativeOffset : this.#end,
      tailMaxTimestamp: isOpen ? this.#entries.maxTimestamp : 0,
      // A compacted segment of which the end was cut off goes on, in its own file.
      ...(this.#before?.generation === undefined ? {} : { generation: this.#before.generation })
    }
    return {
      before: this.#before,
      after,
      position: this.#position,
      pieces: this.#pieces,
      runs: this.#runs.runs,
      entries
    }
  }
}
