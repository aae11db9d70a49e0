/**
 * One partition in memory: a ring of batches, the oldest forgotten first: where there are more bytes or records than its limits allow,
 * where they have reached their age ({@link Ages} where nobody writes), and where the {@link MemoryBudget} of all partitions has it pay.
 *
 * Batches lie one after the other in chunks. A chunk is written once, front to back, and never reused: what was handed out stays
 * valid for whoever holds it, even after the batch was forgotten. Its memory counts until the last of its batches was.
 *
 * Invariants
 *  - Everything appended is committed: highWatermark = logEndOffset.
 *  - Batches rise in offset and in the time of their append; a batch lies whole in one chunk.
 *  - A partition without batches holds no chunk and takes nothing of the budget.
 *  - The batch that was appended last is forgotten for its age, or for another partition's sake, never by its own append.
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
import type { AgedMember, Ages } from "./Ages.ts"
import { type BudgetMember, type MemoryBudget, NO_LINE, type TrimReason } from "./MemoryBudget.ts"

/** A chunk is an eighth of what its partition holds, within these: what lies free or forgotten in the first and the last is little then. */
const CHUNK_BYTES_MIN = 2_048
const CHUNK_BYTES_MAX = 262_144
const CHUNKS_A_PARTITION = 8
/** What a batch takes beside its bytes, about. */
export const BATCH_BYTES = 100
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
  /** Batches in it that are not forgotten. */
  batches: number
}

/** What a partition shares with the others of its engine. */
export interface MemoryPartitionParts {
  readonly budget: MemoryBudget
  readonly ages: Ages
  /** Milliseconds that never go back; ages are told by them. */
  readonly monotonicMs: () => number
  /** Bytes of a partition at most, whatever its topic says; absent = any. */
  readonly sizeBytesMax?: number
}

/** Where a log begins that holds nothing. */
export interface MemoryPartitionStart {
  readonly offset: number
  readonly leaderEpoch: number
}

export class MemoryPartition implements Partition, BudgetMember, AgedMember {
  logStartOffset: number
  logEndOffset: number
  leaderEpoch: number
  /** Bytes of its batches. */
  sizeBytes = 0
  /** Bytes of memory that it takes: chunks, and {@link BATCH_BYTES} a batch. */
  heldBytes = 0
  budgetLine = NO_LINE
  budgetFloor = 0
  budgetCeiling = 1
  budgetBefore: BudgetMember | undefined
  budgetAfter: BudgetMember | undefined
  dueMs = 0
  agesIndex = -1
  #records = 0
  /** Places before `#head` are empty: a batch that is forgotten must not keep its chunk alive. */
  #batches: Array<Batch | undefined> = []
  #head = 0
  #chunk: Chunk | undefined
  #closed = false
  #limits: PartitionLimits
  readonly #sizeBytesMax: number
  readonly #budget: MemoryBudget
  readonly #ages: Ages
  readonly #monotonicMs: () => number

  constructor(limits: PartitionLimits, parts: MemoryPartitionParts, start: MemoryPartitionStart) {
    this.#sizeBytesMax = parts.sizeBytesMax ?? Number.POSITIVE_INFINITY
    this.#limits = { ...limits, sizeBytesMax: Math.min(limits.sizeBytesMax, this.#sizeBytesMax) }
    this.#budget = parts.budget
    this.#ages = parts.ages
    this.#monotonicMs = parts.monotonicMs
    this.logStartOffset = start.offset
    this.logEndOffset = start.offset
    this.leaderEpoch = start.leaderEpoch
  }

  get highWatermark(): number {
    return this.logEndOffset
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    if (this.#closed) return READ_ONLY
    return this.#append(bytes, start, end, this.logEndOffset, this.leaderEpoch, recordCount)
  }

  tryAppendAsFollowerUnsafe(bytes: Uint8Array, start: number, end: number): number {
    if (this.#closed) return READ_ONLY
    const base = recordBatch.baseOffset(bytes, start)
    assert(base >= this.logEndOffset, "what is copied lies behind what is there")
    if (this.#batches.length === this.#head) this.logStartOffset = base
    this.logEndOffset = base
    const epoch = recordBatch.partitionLeaderEpoch(bytes, start)
    // A compacted batch has more offsets than records.
    return this.#append(bytes, start, end, base, epoch, recordBatch.lastOffsetDelta(bytes, start) + 1)
  }

  truncateFullyAndStartAt(offset: number, leaderEpoch: number): Promise<void> {
    while (this.#head < this.#batches.length) this.#removeOldest()
    // What was handed out stays as it is.
    this.#leaveChunk()
    this.logStartOffset = offset
    this.logEndOffset = offset
    this.leaderEpoch = Math.max(this.leaderEpoch, leaderEpoch)
    return Promise.resolve()
  }

  #append(
    bytes: Uint8Array,
    start: number,
    end: number,
    baseOffset: number,
    leaderEpoch: number,
    recordCount: number
  ): number {
    const length = end - start
    const { ageMsMax } = this.#limits
    // Also where nothing grows too old: it may have to later.
    const nowMs = this.#monotonicMs()
    const chunk = this.#room(length)
    const at = chunk.used
    chunk.bytes.set(bytes.subarray(start, end), at)
    recordBatch.writeBaseOffset(chunk.bytes, at, baseOffset)
    recordBatch.writeLeaderEpoch(chunk.bytes, at, leaderEpoch)
    chunk.used += length
    chunk.batches += 1
    this.#batches.push({
      baseOffset,
      records: recordCount,
      chunk,
      start: at,
      end: at + length,
      maxTimestamp: recordBatch.maxTimestamp(chunk.bytes, at),
      appendedAtMs: nowMs
    })
    this.logEndOffset += recordCount
    this.sizeBytes += length
    this.#records += recordCount
    this.#hold(BATCH_BYTES)
    this.#trim(nowMs - ageMsMax)
    if (ageMsMax !== 0 && this.agesIndex < 0) this.#ages.add(this, nowMs + ageMsMax)
    if (this.#budget.used > this.#budget.max) this.#budget.settle(this)
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
      this.#removeOldest()
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
    this.#leaveChunk()
    this.logStartOffset = Math.min(this.logStartOffset, this.logEndOffset)
    this.leaderEpoch += 1
    return Promise.resolve(this.logEndOffset)
  }

  relimit(limits: PartitionLimits): void {
    this.#ages.remove(this)
    this.#limits = { ...limits, sizeBytesMax: Math.min(limits.sizeBytesMax, this.#sizeBytesMax) }
    const { ageMsMax } = this.#limits
    this.#trim(this.#monotonicMs() - ageMsMax)
    const oldest = this.#batches[this.#head]
    if (oldest !== undefined && ageMsMax !== 0) this.#ages.add(this, oldest.appendedAtMs + ageMsMax)
  }

  /** Refuses everything from now on and gives its bytes back to the budget. */
  close(): void {
    this.#closed = true
    this.#ages.remove(this)
    this.#batches = []
    this.#head = 0
    this.#chunk = undefined
    this.sizeBytes = 0
    this.#records = 0
    this.#hold(-this.heldBytes)
  }

  payOldest(keepsNewest: boolean): boolean {
    const left = this.#batches.length - this.#head
    if (left === 0 || (keepsNewest && left === 1)) return false
    this.#forgetOldest("budget")
    return true
  }

  forgetAged(nowMs: number, max: number): number {
    const { ageMsMax } = this.#limits
    let count = 0
    for (;;) {
      const oldest = this.#batches[this.#head]
      if (oldest === undefined) {
        this.dueMs = Number.POSITIVE_INFINITY
        return count
      }
      this.dueMs = oldest.appendedAtMs + ageMsMax
      if (this.dueMs > nowMs || count === max) return count
      this.#forgetOldest("age")
      count += 1
    }
  }

  #room(length: number): Chunk {
    const current = this.#chunk
    if (current !== undefined && current.bytes.length - current.used >= length) return current
    this.#leaveChunk()
    const wished = Math.floor(this.sizeBytes / CHUNKS_A_PARTITION)
    const size = Math.max(length, Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, wished)))
    this.#chunk = { bytes: new Uint8Array(size), used: 0, batches: 0 }
    this.#hold(size)
    return this.#chunk
  }

  /** Nothing more is written to the chunk; where all that was in it is forgotten its memory counts no longer. */
  #leaveChunk(): void {
    const chunk = this.#chunk
    this.#chunk = undefined
    if (chunk !== undefined && chunk.batches === 0) this.#hold(-chunk.bytes.length)
  }

  #hold(bytes: number): void {
    this.heldBytes += bytes
    this.#budget.used += bytes
    if (this.heldBytes >= this.budgetCeiling || this.heldBytes < this.budgetFloor) this.#budget.moved(this)
  }

  /** Forgets what the limits do not allow; `agedMs` is when a batch was appended that has just reached its age. */
  #trim(agedMs: number): void {
    const { sizeBytesMax, recordsMax, ageMsMax } = this.#limits
    // The newest batch stays, whatever the bounds say.
    while (this.#head < this.#batches.length - 1) {
      const oldest = this.#batches[this.#head]
      if (this.sizeBytes > sizeBytesMax) this.#forgetOldest("size")
      else if (this.#records > recordsMax) this.#forgetOldest("records")
      else if (ageMsMax !== 0 && oldest !== undefined && oldest.appendedAtMs <= agedMs) this.#forgetOldest("age")
      else return
    }
  }

  #forgetOldest(reason: TrimReason): void {
    const oldest = this.#removeOldest()
    this.#budget.trimmed[reason] += oldest.end - oldest.start
    this.logStartOffset = Math.max(this.logStartOffset, oldest.baseOffset + oldest.records)
  }

  #removeOldest(): Batch {
    const oldest = this.#batches[this.#head]
    assert(oldest !== undefined, "there is a batch to forget")
    this.#batches[this.#head] = undefined
    this.#head += 1
    this.#release(oldest)
    if (this.#head === this.#batches.length) {
      this.#batches = []
      this.#head = 0
    } else if (this.#head > 256 && this.#head * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#head)
      this.#head = 0
    }
    return oldest
  }

  #release({ chunk, start, end, records }: Batch): void {
    this.sizeBytes -= end - start
    this.#records -= records
    chunk.batches -= 1
    this.#hold(chunk.batches > 0 || chunk === this.#chunk ? -BATCH_BYTES : -BATCH_BYTES - chunk.bytes.length)
    if (this.#head === this.#batches.length) this.#leaveChunk()
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
