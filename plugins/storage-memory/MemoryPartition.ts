/**
 * One partition in memory: a ring of batches, the oldest forgotten first.
 *
 * Batches lie one after the other in chunks. A chunk is written once, front to back, and never reused: what was handed out stays
 * valid for whoever holds it, even after the batch was forgotten.
 *
 * Invariants
 *  - Everything appended is committed: highWatermark = logEndOffset.
 *  - `#batches` and `#chunks` rise in offset; a batch lies whole in one chunk.
 */
import {
  assert,
  type OffsetAndTimestamp,
  type Partition,
  type PartitionLimits,
  READ_ONLY,
  RecordCursor,
  recordBatch
} from "../../core/mod.ts"
import type { MemoryBudget } from "./MemoryBudget.ts"

/** A partition's first chunk; each next one is twice as large up to {@link CHUNK_BYTES_MAX}. */
const CHUNK_BYTES_MIN = 2_048
const CHUNK_BYTES_MAX = 262_144
const EMPTY = new Uint8Array(0)

interface Batch {
  readonly baseOffset: number
  readonly records: number
  readonly chunk: Chunk
  readonly start: number
  readonly end: number
  readonly maxTimestamp: number
  readonly appendedAtMs: number
}

interface Chunk {
  readonly bytes: Uint8Array
  used: number
}

export class MemoryPartition implements Partition {
  logStartOffset: number
  logEndOffset: number
  leaderEpoch = 0
  sizeBytes = 0
  #records = 0
  /** Places before `#head` are empty: a batch that is forgotten must not keep its chunk alive. */
  #batches: Array<Batch | undefined> = []
  #head = 0
  #chunk: Chunk | undefined
  #chunkBytes = CHUNK_BYTES_MIN
  #closed = false
  readonly #limits: PartitionLimits
  readonly #budget: MemoryBudget
  readonly #nowMs: () => number

  constructor(limits: PartitionLimits, budget: MemoryBudget, nowMs: () => number, startOffset = 0) {
    this.#limits = limits
    this.#budget = budget
    this.#nowMs = nowMs
    this.logStartOffset = startOffset
    this.logEndOffset = startOffset
  }

  get highWatermark(): number {
    return this.logEndOffset
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    if (this.#closed) return READ_ONLY
    const length = end - start
    const chunk = this.#room(length)
    const at = chunk.used
    chunk.bytes.set(bytes.subarray(start, end), at)
    const baseOffset = this.logEndOffset
    recordBatch.writeBaseOffset(chunk.bytes, at, baseOffset)
    recordBatch.writeLeaderEpoch(chunk.bytes, at, this.leaderEpoch)
    chunk.used += length
    this.#batches.push({
      baseOffset,
      records: recordCount,
      chunk,
      start: at,
      end: at + length,
      maxTimestamp: recordBatch.maxTimestamp(chunk.bytes, at),
      appendedAtMs: this.#nowMs()
    })
    this.logEndOffset += recordCount
    this.sizeBytes += length
    this.#records += recordCount
    this.#budget.used += length
    this.#trim()
    return baseOffset
  }

  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    if (offset < this.logStartOffset || offset > this.logEndOffset) return undefined
    if (offset === this.logEndOffset) return EMPTY
    let index = this.#find(offset)
    const first = this.#batches[index]
    if (first === undefined) return EMPTY
    let end = first.end
    for (index += 1; index < this.#batches.length; index++) {
      const next = this.#batches[index]
      if (next === undefined || next.chunk !== first.chunk || next.start !== end) break
      if (next.end - first.start > maxBytes) break
      end = next.end
    }
    return first.chunk.bytes.subarray(first.start, end)
  }

  read(offset: number, maxBytes: number): Promise<Uint8Array> {
    return Promise.resolve(this.readUnsafe(offset, maxBytes) ?? EMPTY)
  }

  offsetForTimestamp(timestamp: number): Promise<OffsetAndTimestamp | undefined> {
    const cursor = new RecordCursor()
    for (let index = this.#head; index < this.#batches.length; index++) {
      const batch = this.#batches[index]
      if (batch === undefined || batch.maxTimestamp < timestamp) continue
      cursor.reset(batch.chunk.bytes, batch.start, batch.end)
      while (cursor.next()) {
        if (cursor.timestamp >= timestamp && cursor.offset >= this.logStartOffset) {
          return Promise.resolve({ offset: cursor.offset, timestamp: cursor.timestamp })
        }
      }
    }
    return Promise.resolve(undefined)
  }

  deleteBefore(offset: number): Promise<number> {
    const target = Math.min(offset, this.logEndOffset)
    for (;;) {
      const oldest = this.#batches[this.#head]
      if (oldest === undefined || oldest.baseOffset + oldest.records > target) break
      this.#forgetOldest()
    }
    this.logStartOffset = Math.max(this.logStartOffset, target)
    return Promise.resolve(this.logStartOffset)
  }

  truncateTo(offset: number): Promise<number> {
    while (this.#batches.length > this.#head) {
      const newest = this.#batches[this.#batches.length - 1]
      if (newest === undefined || newest.baseOffset + newest.records <= offset) break
      this.#batches.pop()
      this.#release(newest)
      this.logEndOffset = newest.baseOffset
    }
    if (this.#batches.length === this.#head) this.logEndOffset = Math.min(this.logEndOffset, offset)
    // The cut-off bytes may be in a reader's hands: what follows goes to a chunk of its own.
    this.#chunk = undefined
    this.logStartOffset = Math.min(this.logStartOffset, this.logEndOffset)
    this.leaderEpoch += 1
    return Promise.resolve(this.logEndOffset)
  }

  /** Refuses everything from now on and gives its bytes back to the budget. */
  close(): void {
    this.#closed = true
    this.#budget.used -= this.sizeBytes
    this.sizeBytes = 0
    this.#batches = []
    this.#head = 0
    this.#chunk = undefined
  }

  #room(length: number): Chunk {
    const current = this.#chunk
    if (current !== undefined && current.bytes.length - current.used >= length) return current
    const bytes = new Uint8Array(Math.max(length, Math.min(this.#chunkBytes, CHUNK_BYTES_MAX)))
    this.#chunkBytes = Math.min(this.#chunkBytes * 2, CHUNK_BYTES_MAX)
    this.#chunk = { bytes, used: 0 }
    return this.#chunk
  }

  #trim(): void {
    const limits = this.#limits
    const oldestMs = limits.ageMsMax === 0 ? Number.NEGATIVE_INFINITY : this.#nowMs() - limits.ageMsMax
    for (;;) {
      const oldest = this.#batches[this.#head]
      // The newest batch stays, whatever the bounds say.
      if (oldest === undefined || this.#head === this.#batches.length - 1) break
      const over =
        this.sizeBytes > limits.sizeBytesMax ||
        this.#records > limits.recordsMax ||
        oldest.appendedAtMs < oldestMs ||
        (this.#budget.used > this.#budget.max && this.sizeBytes > this.#budget.share)
      if (!over) break
      this.#forgetOldest()
      this.logStartOffset = Math.max(this.logStartOffset, oldest.baseOffset + oldest.records)
    }
  }

  #forgetOldest(): void {
    const oldest = this.#batches[this.#head]
    assert(oldest !== undefined, "there is a batch to forget")
    this.#release(oldest)
    this.#batches[this.#head] = undefined
    this.#head += 1
    if (this.#head > 256 && this.#head * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#head)
      this.#head = 0
    }
  }

  #release(batch: Batch): void {
    const length = batch.end - batch.start
    this.sizeBytes -= length
    this.#records -= batch.records
    this.#budget.used -= length
  }

  /** Index of the batch that holds `offset`, or of the first one after it. */
  #find(offset: number): number {
    let low = this.#head
    let high = this.#batches.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      const batch = this.#batches[middle]
      if (batch !== undefined && batch.baseOffset + batch.records <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
