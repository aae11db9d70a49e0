/** Finds batches in a segment's file by their headers, a piece at a time, and gathers them to the runs of an index. */
import { crc32cUpdate, endOffsetOf, type OpenFile, recordBatch } from "../../core/mod.ts"
import type { Segment } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import { BATCH_HEADER_BYTES, HEADER_BYTES, INDEX_RUN_BYTES, type IndexRun } from "./segment-format.ts"

/** A run of batches that grows; it is given away when it is large enough. */
export class RunBuilder {
  readonly runs: Array<IndexRun> = []
  position: number
  end: number
  maxTimestamp: number
  /** Of the run that is open; what comes next where none is. */
  relativeOffset: number

  /** Goes on behind `position`, with a run that was begun where `openFrom` says so. */
  constructor(position: number, relativeOffset: number, openFrom = position, maxTimestamp = Number.NEGATIVE_INFINITY) {
    this.position = openFrom
    this.end = position
    this.maxTimestamp = maxTimestamp
    this.relativeOffset = relativeOffset
  }

  /** Adds a batch; `relativeOffset` is its own, counted from the segment's. */
  add(relativeOffset: number, size: number, maxTimestamp: number): void {
    if (this.end === this.position) this.relativeOffset = relativeOffset
    this.end += size
    this.maxTimestamp = Math.max(this.maxTimestamp, maxTimestamp)
    if (this.end - this.position >= INDEX_RUN_BYTES) this.close()
  }

  /** Ends the run that is open, unless nothing is in it. */
  close(): void {
    const { relativeOffset, position, end, maxTimestamp } = this
    if (end === position) return
    this.runs.push({ relativeOffset, position, end, maxTimestamp })
    this.position = end
    this.maxTimestamp = Number.NEGATIVE_INFINITY
  }
}

/** What batches say of themselves, summed up. */
export class BatchFacts {
  batches = 0
  records = 0
  firstTimestamp = 0
  maxTimestamp = Number.NEGATIVE_INFINITY
  /** CRC-32C over their headers. */
  headersCrc = 0

  /** Goes on behind what a segment has. */
  static of(segment: Segment): BatchFacts {
    const facts = new BatchFacts()
    facts.batches = segment.batches
    facts.records = segment.records
    facts.firstTimestamp = segment.firstTimestamp
    facts.maxTimestamp = segment.maxTimestamp
    facts.headersCrc = segment.headersCrc
    return facts
  }

  /** Adds the batch whose header begins at `at`. */
  add(bytes: Uint8Array, at: number): void {
    if (this.batches === 0) this.firstTimestamp = recordBatch.baseTimestamp(bytes, at)
    this.batches += 1
    this.records += recordBatch.recordCount(bytes, at)
    this.maxTimestamp = Math.max(this.maxTimestamp, recordBatch.maxTimestamp(bytes, at))
    this.headersCrc = crc32cUpdate(this.headersCrc, bytes, at, at + BATCH_HEADER_BYTES)
  }
}

export class BatchScan {
  /** Where the next piece has to begin. */
  position = HEADER_BYTES
  readonly runs = new RunBuilder(HEADER_BYTES, 0)
  readonly facts = new BatchFacts()
  readonly #base: number
  readonly #end: number
  readonly #bytes: number
  readonly #pathname: string
  #offset: number

  /** Looks through what a segment has up to the byte `bytes`, where the batch with offset `end` or a later one begins. */
  constructor({ base, end, bytes }: Pick<Segment, "base" | "end" | "bytes">, pathname: string) {
    this.#base = base
    this.#end = end
    this.#bytes = bytes
    this.#pathname = pathname
    this.#offset = base
  }

  /** One past the last offset so far. */
  get endOffset(): number {
    return this.#offset
  }

  get isDone(): boolean {
    return this.position >= this.#bytes
  }

  /** Takes `bytes[0, count)`, which lie at {@link BatchScan.position}. Throws `SegmentFault` where no batch begins that may be there. */
  take(bytes: Uint8Array, count: number): void {
    let at = 0
    while (at + BATCH_HEADER_BYTES <= count && !this.isDone) {
      const size = recordBatch.batchLength(bytes, at) + recordBatch.LENGTH_OVERHEAD
      const first = recordBatch.baseOffset(bytes, at)
      const next = endOffsetOf(bytes, at)
      if (size < BATCH_HEADER_BYTES || first < this.#offset || next <= first || next > this.#end) this.#fail()
      if (this.position + size > this.#bytes) this.#fail()
      this.runs.add(first - this.#base, size, recordBatch.maxTimestamp(bytes, at))
      this.facts.add(bytes, at)
      this.#offset = next
      this.position += size
      at += size
    }
    if (at === 0) this.#fail()
  }

  #fail(): never {
    throw new SegmentFault(this.#pathname, this.position, "no batch begins where one has to")
  }
}

/** Bytes of a segment that are read at a time where it is looked through. */
const SCAN_BYTES = 1_048_576

/** Looks through a segment's file, off the loop. Rejects with `FileError` or `SegmentFault`. */
export async function scanLater(file: OpenFile, scan: BatchScan): Promise<BatchScan> {
  const bytes = new Uint8Array(SCAN_BYTES)
  while (!scan.isDone) scan.take(bytes, await file.read(bytes, 0, bytes.length, scan.position))
  return scan
}

/** The same on the loop. */
export function scanUnsafe(file: OpenFile, scan: BatchScan): BatchScan {
  const bytes = new Uint8Array(SCAN_BYTES)
  while (!scan.isDone) scan.take(bytes, file.readUnsafe(bytes, 0, bytes.length, scan.position))
  return scan
}
