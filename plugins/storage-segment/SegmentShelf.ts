/** Partitions as they lie in segments: what the core asks of them below the last checkpoint. */
import {
  type BatchBounds,
  ChecksumMismatch,
  endOffsetOf,
  FileError,
  type PartitionKey,
  type PartitionRow,
  recordBatch,
  type Shelf,
  StorageError,
  Unusable
} from "../../core/mod.ts"
import type { Catalogue } from "./Catalogue.ts"
import { type ColdReads, checkRun, type Window } from "./ColdReads.ts"
import type { Indexes } from "./Indexes.ts"
import type { Positions } from "./Positions.ts"
import { findSegment, type Segment, type StoredPartition, storedBytes } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import type { SegmentIndex } from "./SegmentIndex.ts"

const EMPTY = new Uint8Array(0)

export interface ShelfParts {
  readonly catalogue: Catalogue
  readonly indexes: Indexes
  readonly reads: ColdReads
  readonly positions: Positions
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

  read(id: number, offset: number, end: number, bytesMax: number): Promise<Uint8Array> {
    return this.#guarded(id, offset, async (partition) => {
      const segment = partition.segments[findSegment(partition.segments, offset)]
      if (segment === undefined || segment.base >= end) return EMPTY
      const index = await this.#parts.indexes.load(id, segment)
      let run = index.runOfOffset(Math.max(0, offset - segment.base))
      let window = await this.#parts.reads.window(id, segment, index, run)
      let from = firstBehind(window, index, run, offset)
      // Offsets that a mode lost lie between two runs.
      while (from < 0 && ++run < index.length) {
        window = await this.#parts.reads.window(id, segment, index, run)
        from = firstBehind(window, index, run, offset)
      }
      if (from < 0 || recordBatch.baseOffset(window.bytes, from) >= end) return EMPTY
      let at = from
      const bound = window.position + window.bytes.length
      for (; run < index.length && index.endOf(run) <= bound; run++) {
        const runEnd = index.endOf(run) - window.position
        if (at > from && at - from >= bytesMax) break
        checkRun(window, index, run)
        while (at < runEnd && recordBatch.baseOffset(window.bytes, at) < end) {
          const size = recordBatch.batchSize(window.bytes, at, runEnd)
          if (at > from && at + size - from > bytesMax) return window.bytes.subarray(from, at)
          at += size
        }
        if (at < runEnd) break
      }
      return window.bytes.subarray(from, at)
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

  sumUnsafe(id: number, { baseFrom, baseBelow, nextAfter, nextUpTo }: BatchBounds): number {
    const partition = this.#parts.catalogue.get(id)
    if (partition === undefined) return 0
    const { positions } = this.#parts
    return this.#plain(nextAfter, () => {
      let bytes = 0
      for (const segment of partition.segments) {
        if (segment.end <= nextAfter || segment.end <= baseFrom || segment.base >= baseBelow) continue
        const from = Math.max(
          positions.endingBehind(id, segment, nextAfter).position,
          positions.beginningFrom(id, segment, baseFrom).position
        )
        const to = Math.min(
          positions.endingBehind(id, segment, nextUpTo).position,
          positions.beginningFrom(id, segment, baseBelow).position
        )
        bytes += Math.max(0, to - from)
      }
      return bytes
    })
  }

  baseBehind(id: number, offset: number, end: number): number | undefined {
    const partition = this.#parts.catalogue.get(id)
    const segment = partition?.segments[findSegment(partition.segments, offset)]
    if (segment === undefined) return undefined
    const { base } = this.#plain(offset, () => this.#parts.positions.endingBehind(id, segment, offset))
    return base < end ? base : undefined
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
      checkRun(window, index, run)
      const { bytes } = window
      const runEnd = index.endOf(run) - window.position
      for (let at = index.position(run) - window.position; at < runEnd; ) {
        const size = recordBatch.batchSize(bytes, at, runEnd)
        if (recordBatch.baseOffset(bytes, at) >= end) return EMPTY
        if (endOffsetOf(bytes, at) > offset && recordBatch.maxTimestamp(bytes, at) >= timestamp) {
          return bytes.subarray(at, at + size)
        }
        at += size
      }
    }
    return undefined
  }

  /** Runs a read; where a checkpoint took what is read away meanwhile there is nothing, else a fault is told as the contract has it. */
  async #guarded(
    id: number,
    offset: number,
    work: (partition: StoredPartition) => Promise<Uint8Array>
  ): Promise<Uint8Array> {
    const { catalogue } = this.#parts
    const partition = catalogue.get(id)
    if (partition === undefined) return EMPTY
    try {
      return await work(partition)
    } catch (error) {
      const now = catalogue.get(id)
      if (now === undefined || now.logStart > offset || now.logEnd < partition.logEnd) return EMPTY
      throw this.#told(error, offset)
    }
  }

  #told(error: unknown, baseOffset: number): unknown {
    if (error instanceof SegmentFault) {
      this.#parts.damaged(error)
      return new StorageError({ engine: "segment", reason: new ChecksumMismatch({ baseOffset }) })
    }
    if (!(error instanceof FileError)) return error
    return new StorageError({ engine: "segment", reason: new Unusable({ message: error.message }) })
  }

  #plain<Value>(offset: number, work: () => Value): Value {
    try {
      return work()
    } catch (error) {
      throw this.#told(error, offset)
    }
  }
}

/** Where in a window the first batch of a run lies that ends behind `offset`; negative where none does. */
function firstBehind(window: Window, index: SegmentIndex, run: number, offset: number): number {
  checkRun(window, index, run)
  const end = index.endOf(run) - window.position
  for (let at = index.position(run) - window.position; at < end; ) {
    if (endOffsetOf(window.bytes, at) > offset) return at
    at += recordBatch.batchSize(window.bytes, at, end)
  }
  return -1
}

function rowFrom(partition: StoredPartition | undefined): PartitionRow | undefined {
  if (partition === undefined) return undefined
  const { id, key, logStart, logEnd, leaderEpoch } = partition
  return { id, key, logStart, logEnd, leaderEpoch, bytes: storedBytes(partition) }
}
