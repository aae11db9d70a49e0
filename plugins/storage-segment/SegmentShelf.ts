/** Partitions as they lie in segments: what the core asks of them below the last checkpoint. */
import {
  type BatchBounds,
  ChecksumMismatch,
  endOffsetOf,
  FileError,
  type PartitionKey,
  type PartitionRow,
  type ReadLease,
  recordBatch,
  type Shelf,
  StorageError,
  Unusable
} from "../../core/mod.ts"
import type { Catalogue } from "./Catalogue.ts"
import type { ColdReads } from "./ColdReads.ts"
import type { Indexes } from "./Indexes.ts"
import type { Positions } from "./Positions.ts"
import { findSegment, type Segment, type StoredPartition, storedBytes } from "./Segment.ts"
import { faultOf, SegmentFault } from "./SegmentFault.ts"
import type { SegmentIndex } from "./SegmentIndex.ts"
import { damageAt, endWithin, intactUntil, type Window } from "./Window.ts"

const EMPTY = new Uint8Array(0)

export interface ShelfParts {
  readonly catalogue: Catalogue
  readonly indexes: Indexes
  readonly reads: ColdReads
  readonly positions: Positions
  /** Of a segment's file. */
  readonly pathOf: (id: number, segment: Segment) => string
  /** Is told of what is damaged. */
  readonly damaged: (fault: SegmentFault) => void
}

export class SegmentShelf implements Shelf {
  readonly #parts: ShelfParts

  constructor(parts: ShelfParts) {
    this.#parts = parts
  }

  rowOf(key: PartitionKey): PartitionRow | undefined {
    return rowFrom(this.#parts.catalogue.ofKey(key))
  }

  rowById(id: number): PartitionRow | undefined {
    return rowFrom(this.#parts.catalogue.get(id))
  }

  read(id: number, offset: number, end: number, bytesMax: number, lease?: ReadLease): Promise<Uint8Array> {
    return this.#guarded(id, offset, async (partition) => {
      const segment = partition.segments[findSegment(partition.segments, offset)]
      if (segment === undefined || segment.base >= end) return EMPTY
      const below = Math.min(end, segment.end)
      const index = await this.#parts.indexes.load(id, segment)
      let run = index.runOfOffset(Math.max(0, offset - segment.base))
      for (; run < index.length; run++) {
        const window = await this.#parts.reads.window(id, segment, index, run)
        let found: Uint8Array = EMPTY
        try {
          const from = firstBehind(window, segment, index, run, offset)
          // Offsets that a mode lost lie between two runs.
          if (from < 0) continue
          found = batchesFrom(from, { window, segment, index, run, below, bytesMax })
          return found
        } finally {
          if (found.length === 0) window.release()
          else if (lease === undefined) window.escape()
          else lease.hold(window)
        }
      }
      return EMPTY
    })
  }

  batchAt(id: number, offset: number, end: number, timestamp: number): Promise<Uint8Array> {
    return this.#guarded(id, offset, async (partition) => {
      const { segments } = partition
      for (let at = findSegment(segments, offset); at < segments.length; at++) {
        const segment = segments[at]
        if (segment === undefined || segment.base >= end) return EMPTY
        if (segment.maxTimestamp < timestamp) continue
        const found = await this.#batchWithin(id, segment, offset, end, timestamp)
        if (found !== undefined) return found
      }
      return EMPTY
    })
  }

  async sum(id: number, bounds: BatchBounds): Promise<number> {
    return this.sumUnsafe(id, bounds)
  }

  sumUnsafe(id: number, bounds: BatchBounds): number {
    let bytes = 0
    for (const segment of this.#parts.catalogue.get(id)?.segments ?? []) bytes += this.#sumWithin(id, segment, bounds)
    return bytes
  }

  /** Nothing where the segment is damaged: a size that is wrong until the next checkpoint keeps nobody from his work. */
  #sumWithin(id: number, segment: Segment, { baseFrom, baseBelow, nextAfter, nextUpTo }: BatchBounds): number {
    if (segment.end <= nextAfter || segment.end <= baseFrom || segment.base >= baseBelow) return 0
    const { positions, damaged, pathOf } = this.#parts
    try {
      const from = Math.max(
        positions.endingBehind(id, segment, nextAfter).position,
        positions.beginningFrom(id, segment, baseFrom).position
      )
      const to = Math.min(
        positions.endingBehind(id, segment, nextUpTo).position,
        positions.beginningFrom(id, segment, baseBelow).position
      )
      return Math.max(0, to - from)
    } catch (error) {
      const fault = faultOf(error, pathOf(id, segment))
      if (fault !== undefined) damaged(fault)
      else if (!(error instanceof FileError)) throw error
      return 0
    }
  }

  baseBehind(id: number, offset: number, end: number): number | undefined {
    const partition = this.#parts.catalogue.get(id)
    const segment = partition?.segments[findSegment(partition.segments, offset)]
    if (segment === undefined) return undefined
    try {
      const { base } = this.#parts.positions.endingBehind(id, segment, offset)
      return base < end ? base : undefined
    } catch (error) {
      throw this.#told(error, offset)
    }
  }

  /** The first batch of a segment that ends behind `offset`, begins below `end` and has that time or a later one. */
  async #batchWithin(
    id: number,
    segment: Segment,
    offset: number,
    end: number,
    timestamp: number
  ): Promise<Uint8Array | undefined> {
    const index = await this.#parts.indexes.load(id, segment)
    for (let run = index.runOfOffset(Math.max(0, offset - segment.base)); run < index.length; run++) {
      if (index.maxTimestamp(run) < timestamp) continue
      const window = await this.#parts.reads.window(id, segment, index, run)
      window.escape()
      const { bytes } = window
      const intact = intactUntil(window, segment, index, run)
      for (let at = index.position(run) - window.position; at < intact; ) {
        const size = recordBatch.batchSize(bytes, at, intact)
        const base = recordBatch.baseOffset(bytes, at)
        if (base >= end) return EMPTY
        if (base >= segment.end) return undefined
        if (endOffsetOf(bytes, at) > offset && recordBatch.maxTimestamp(bytes, at) >= timestamp) {
          return bytes.subarray(at, at + size)
        }
        at += size
      }
      if (intact < endWithin(window, index, run)) throw damageAt(window, intact)
    }
    return undefined
  }

  /**
   * Runs a read; where a checkpoint took what is read away meanwhile there is nothing, and where it cut the log what is there now is read.
   * Else a fault is told as the contract has it.
   */
  async #guarded(
    id: number,
    offset: number,
    work: (partition: StoredPartition) => Promise<Uint8Array>
  ): Promise<Uint8Array> {
    const { catalogue } = this.#parts
    for (;;) {
      const partition = catalogue.get(id)
      if (partition === undefined) return EMPTY
      const cuts = catalogue.cutsOf(id)
      try {
        return await work(partition)
      } catch (error) {
        const now = catalogue.get(id)
        if (now === undefined || now.logStart > offset) return EMPTY
        if (catalogue.cutsOf(id) === cuts) throw this.#told(error, offset)
      }
    }
  }

  #told(error: unknown, baseOffset: number): unknown {
    if (error instanceof SegmentFault) {
      this.#parts.damaged(error)
      return new StorageError({ engine: "segment", reason: new ChecksumMismatch({ baseOffset }) })
    }
    if (!(error instanceof FileError)) return error
    const fault = error.code === "not-found" ? faultOf(error, error.pathname) : undefined
    if (fault !== undefined) this.#parts.damaged(fault)
    return new StorageError({ engine: "segment", reason: new Unusable({ message: error.message }) })
  }
}

/** Where in a window the first batch of a run lies that ends behind `offset`; negative where none does. Throws `SegmentFault`. */
function firstBehind(window: Window, segment: Segment, index: SegmentIndex, run: number, offset: number): number {
  const intact = intactUntil(window, segment, index, run)
  for (let at = index.position(run) - window.position; at < intact; ) {
    if (endOffsetOf(window.bytes, at) > offset) return at
    at += recordBatch.batchSize(window.bytes, at, intact)
  }
  if (intact < endWithin(window, index, run)) throw damageAt(window, intact)
  return -1
}

interface Wanted {
  readonly window: Window
  readonly segment: Segment
  readonly index: SegmentIndex
  /** Where it begins. */
  readonly run: number
  /** The offset below which batches begin. */
  readonly below: number
  readonly bytesMax: number
}

/** The batches from `from` of the window on, as far as its runs go. */
function batchesFrom(from: number, wanted: Wanted): Uint8Array {
  const { window, segment, index, below, bytesMax } = wanted
  const { bytes } = window
  if (recordBatch.baseOffset(bytes, from) >= below) return EMPTY
  let at = from
  const bound = window.position + bytes.length
  for (let { run } = wanted; run < index.length && index.position(run) < bound; run++) {
    if (at > from && at - from >= bytesMax) break
    const intact = intactUntil(window, segment, index, run)
    while (at < intact && recordBatch.baseOffset(bytes, at) < below) {
      const size = recordBatch.batchSize(bytes, at, intact)
      if (at > from && at + size - from > bytesMax) return bytes.subarray(from, at)
      at += size
    }
    // What is whole before a damaged batch is served.
    if (at < endWithin(window, index, run)) break
  }
  return bytes.subarray(from, at)
}

function rowFrom(partition: StoredPartition | undefined): PartitionRow | undefined {
  if (partition === undefined) return undefined
  const { id, key, logStart, logEnd, leaderEpoch } = partition
  return { id, key, logStart, logEnd, leaderEpoch, bytes: storedBytes(partition) }
}
