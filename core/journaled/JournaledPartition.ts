/**
 * One partition on its shard: what was appended and is not put away yet, batches that are kept for readers, and figures.
 *
 * Invariants
 *  - What begins below `storedEnd` lies on the shelf, everything from there on in memory ("pinned"); batches in memory rise in offset.
 *  - An operation is submitted to the journal in the turn in which memory shows it. One that is lost is taken back; a cut that is lost
 *    stays, for what is appended behind it cuts again when it is put away.
 */
import { assert } from "../assert.ts"
import {
  BACKLOG,
  FENCED,
  type OffsetAndTimestamp,
  type Partition,
  type PartitionKey,
  type PartitionLimits,
  type PartitionOptions,
  READ_ONLY
} from "../log/Engines.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import type { ReadLease } from "../log/ReadLease.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import * as recordBatch from "../log/record-batch.ts"
import type { Batch } from "./Batch.ts"
import type { PartitionHost } from "./PartitionHost.ts"
import type { PartitionRow } from "./Shelf.ts"

const EMPTY = new Uint8Array(0)
/** A read that was overtaken by cuts so often is answered with nothing. */
const READ_ATTEMPTS = 8
const NO_BATCHES: ReadonlyArray<Batch> = []

export class JournaledPartition implements Partition {
  readonly key: PartitionKey
  /** Of its row on the shelf; 0 = it has none yet. */
  id: number
  logStartOffset: number
  highWatermark: number
  logEndOffset: number
  leaderEpoch: number
  storedEnd: number
  storedBytes: number
  pinnedBytes = 0
  /** How it was opened; undefined while nobody holds it. */
  options: PartitionOptions | undefined
  holders = 0
  isRemoved = false
  /** No leader epoch is left to append under until the next start. */
  isFenced = false
  /** When a checkpoint was told to look at the ages of its batches, ms since 1970; 0 = not since it is in memory. */
  agesLookedAtMs = 0
  /** Operations that are not put away, and of them those that are no appends. */
  pending = 0
  pendingChanges = 0
  readonly #host: PartitionHost
  #batches: Array<Batch> | undefined
  /** Where the log was cut, the lowest since a checkpoint said all of it. */
  #cutEnd = Number.POSITIVE_INFINITY

  constructor(host: PartitionHost, row: PartitionRow) {
    this.#host = host
    this.key = row.key
    this.id = row.id
    this.logStartOffset = row.logStart
    this.highWatermark = row.logEnd
    this.logEndOffset = row.logEnd
    this.storedEnd = row.logEnd
    this.storedBytes = row.bytes
    this.leaderEpoch = row.leaderEpoch
  }

  get sizeBytes(): number {
    return this.logStartOffset === this.logEndOffset ? 0 : this.storedBytes + this.pinnedBytes
  }

  admits(sizeBytes: number): boolean {
    // Where it takes nothing in any case the append says why.
    return this.isRemoved || this.isFenced || this.options === undefined || this.#host.room.admits(sizeBytes)
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    const refusal = this.#refusal
    if (refusal !== 0) return refusal
    if (this.#host.room.isOverfull) return BACKLOG
    const base = this.logEndOffset
    const copy = bytes.slice(start, end)
    recordBatch.writeBaseOffset(copy, 0, base)
    recordBatch.writeLeaderEpoch(copy, 0, this.leaderEpoch)
    this.addBatch(this.#host.append(this, copy, base, base + recordCount))
    return base
  }

  tryAppendAsFollowerUnsafe(bytes: Uint8Array, start: number, end: number): number {
    const base = recordBatch.baseOffset(bytes, start)
    assert(base >= this.logEndOffset, "what is copied lies behind what is there")
    assert(
      recordBatch.partitionLeaderEpoch(bytes, start) <= this.leaderEpoch,
      "no batch is of a later epoch than its log"
    )
    const refusal = this.#refusal
    if (refusal !== 0) return refusal
    if (this.#host.room.isFull) return BACKLOG
    // As at recovery: a log that keeps nothing starts where its first batch does.
    if (this.logStartOffset === this.logEndOffset) this.logStartOffset = base
    const copy = bytes.slice(start, end)
    this.addBatch(this.#host.append(this, copy, base, endOffsetOf(copy, 0)))
    return base
  }

  async truncateFullyAndStartAt(offset: number, leaderEpoch: number): Promise<void> {
    const committed = this.#host.begin(this, offset, leaderEpoch)
    this.beginAt(offset)
    await committed
  }

  /** Why nothing is appended now; 0 = it may be. */
  get #refusal(): number {
    if (this.isRemoved || this.options === undefined) return READ_ONLY
    if (this.isFenced) return FENCED
    return this.#host.journal.refusal
  }

  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    const { highWatermark } = this
    if (offset < this.logStartOffset || offset > highWatermark) return undefined
    if (offset === highWatermark) return EMPTY
    const batches = this.#batches
    if (batches === undefined) return undefined
    let index = this.#find(offset)
    const first = batches[index]
    if (first === undefined || first.next > highWatermark) return undefined
    // Between two batches there may be some that lie on the shelf alone.
    if (first.base > offset && offset < this.storedEnd) return undefined
    this.#host.hot.touch(first)
    let size = first.bytes.length
    let last = first
    const from = index
    for (index += 1; index < batches.length; index++) {
      const batch = batches[index]
      if (batch === undefined || batch.next > highWatermark || size + batch.bytes.length > maxBytes) break
      if (batch.base !== last.next && last.next < this.storedEnd) break
      this.#host.hot.touch(batch)
      size += batch.bytes.length
      last = batch
    }
    if (index === from + 1) return first.bytes
    const joined = new Uint8Array(size)
    let at = 0
    for (let each = from; each < index; each++) {
      const piece = batches[each]?.bytes ?? EMPTY
      joined.set(piece, at)
      at += piece.length
    }
    return joined
  }

  async read(offset: number, maxBytes: number, lease?: ReadLease): Promise<Uint8Array> {
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const resident = this.readUnsafe(offset, maxBytes)
      if (resident !== undefined) return resident
      if (this.isRemoved || offset < this.logStartOffset || offset > this.highWatermark) return EMPTY
      const { leaderEpoch, id } = this
      const end = Math.min(this.storedEnd, this.highWatermark)
      const bytes = await this.#host.shelf.read(id, offset, end, maxBytes, lease)
      if (this.isRemoved || offset < this.logStartOffset) return EMPTY
      // What was cut meanwhile, and perhaps written anew, is read again.
      if (leaderEpoch !== this.leaderEpoch) continue
      if (bytes.length > 0) return bytes
      if (end >= this.highWatermark) return EMPTY
      return this.readUnsafe(end, maxBytes) ?? EMPTY
    }
    return EMPTY
  }

  async offsetForTimestamp(timestamp: number): Promise<OffsetAndTimestamp | undefined> {
    let from = this.logStartOffset
    while (from < Math.min(this.storedEnd, this.highWatermark) && !this.isRemoved) {
      const { id, leaderEpoch } = this
      const end = Math.min(this.storedEnd, this.highWatermark)
      const bytes = await this.#host.shelf.batchAt(id, from, end, timestamp)
      if (this.isRemoved) return undefined
      if (leaderEpoch !== this.leaderEpoch) from = this.logStartOffset
      else if (bytes.length === 0) from = end
      else {
        const found = firstAt(bytes, timestamp, this.logStartOffset)
        if (found !== undefined) return found
        from = endOffsetOf(bytes, 0)
      }
    }
    for (const { bytes, base, next } of this.#batches ?? NO_BATCHES) {
      if (base < this.storedEnd || next > this.highWatermark) continue
      if (recordBatch.maxTimestamp(bytes, 0) < timestamp) continue
      const found = firstAt(bytes, timestamp, this.logStartOffset)
      if (found !== undefined) return found
    }
    return undefined
  }

  async deleteBefore(offset: number): Promise<number> {
    const target = Math.min(offset, this.highWatermark)
    const from = this.logStartOffset
    if (this.isRemoved || target <= from) return from
    const committed = this.#host.change(this, "deleted", target)
    this.forgetBelow(target)
    const { id, storedEnd } = this
    const bounds = { nextAfter: from, nextUpTo: target, baseFrom: 0, baseBelow: storedEnd }
    const bytes = await this.#host.shelf.sum(id, bounds)
    this.storedBytes = Math.max(0, this.storedBytes - bytes)
    await committed
    return this.logStartOffset
  }

  /** The next checkpoint applies them. */
  relimit(limits: PartitionLimits): void {
    if (this.options === undefined) return
    this.options = { ...this.options, limits }
    this.#host.relimited(this)
  }

  async truncateTo(offset: number): Promise<number> {
    if (this.isRemoved) return this.logEndOffset
    const end = Math.min(this.logEndOffset, this.#cutAt(Math.max(0, offset)))
    const { storedEnd, logStartOffset } = this
    const committed = this.#host.change(this, "cut", end)
    this.cutTo(end)
    if (end < storedEnd) {
      const behind = Number.MAX_SAFE_INTEGER
      const bounds = { nextAfter: logStartOffset, nextUpTo: behind, baseFrom: end, baseBelow: storedEnd }
      const bytes = await this.#host.shelf.sum(this.id, bounds)
      this.storedBytes = Math.max(0, this.storedBytes - bytes)
    }
    await committed
    return end
  }

  /** Takes a batch that was submitted, or replayed. */
  addBatch(batch: Batch): void {
    if (this.#batches === undefined) this.#batches = [batch]
    else this.#batches.push(batch)
    this.logEndOffset = batch.next
    this.pinnedBytes += batch.bytes.length
    this.pending += 1
  }

  /** The log ends at `end`, in memory; the epoch is the caller's to raise. */
  cutTo(end: number): void {
    this.#cutEnd = Math.min(this.#cutEnd, end)
    this.logEndOffset = Math.min(this.logEndOffset, end)
    this.highWatermark = Math.min(this.highWatermark, end)
    this.logStartOffset = Math.min(this.logStartOffset, end)
    this.storedEnd = Math.min(this.storedEnd, end)
    for (let last = this.#batches?.at(-1); last !== undefined && last.next > end; last = this.#batches?.at(-1)) {
      this.#batches?.pop()
      last.isCut = true
      this.#uncount(last)
      this.#host.hot.remove(last)
    }
    this.#trimArray()
  }

  /** The log holds nothing and goes on at `offset`, in memory. */
  beginAt(offset: number): void {
    this.cutTo(0)
    this.logStartOffset = offset
    this.highWatermark = offset
    this.logEndOffset = offset
    this.storedEnd = offset
    this.storedBytes = 0
  }

  /** The log starts at `offset`, in memory. */
  forgetBelow(offset: number): void {
    this.logStartOffset = Math.max(this.logStartOffset, Math.min(offset, this.logEndOffset))
    const batches = this.#batches
    if (batches === undefined) return
    let count = 0
    while (count < batches.length && (batches[count]?.next ?? 0) <= this.logStartOffset) {
      const batch = batches[count]
      if (batch === undefined || batch.next > this.highWatermark) break
      this.#uncount(batch)
      this.#host.hot.remove(batch)
      count += 1
    }
    batches.splice(0, count)
    this.#trimArray()
  }

  /** The batch lies on the shelf. */
  putAway(batch: Batch): void {
    // One that was cut or forgotten meanwhile says nothing of where the log is stored now.
    if (!batch.isCounted) return
    this.#uncount(batch)
    this.storedBytes += batch.bytes.length
    this.storedEnd = Math.max(this.storedEnd, batch.next)
    if (this.holders > 0) this.#host.hot.add(batch)
    else this.evicted(batch)
  }

  /** A checkpoint has left the log with this start and size; what was done since comes on top. */
  stored(logStart: number, bytes: number): void {
    // A log that was cut below its start begins where it was cut.
    this.forgetBelow(Math.min(logStart, this.#cutEnd))
    if (this.pendingChanges > 0) return
    this.storedBytes = bytes
    this.#cutEnd = Number.POSITIVE_INFINITY
  }

  /** What begins below `end` lies on the shelf otherwise than it came: what is kept of it for readers goes. */
  compacted(logStart: number, bytes: number, end: number): void {
    this.stored(logStart, bytes)
    const isReplaced = ({ isCounted, base }: Batch): boolean => !isCounted && base < end
    for (const batch of this.#batches ?? NO_BATCHES) if (isReplaced(batch)) this.#host.hot.remove(batch)
    this.#batches = this.#batches?.filter((batch) => !isReplaced(batch))
    this.#trimArray()
  }

  /** The batch is not kept in memory any more. */
  evicted(batch: Batch): void {
    const batches = this.#batches
    if (batches === undefined) return
    // The oldest in most cases.
    const index = batches[0] === batch ? 0 : batches.indexOf(batch)
    if (index >= 0) batches.splice(index, 1)
    this.#trimArray()
  }

  /** Nobody holds it: what is kept for readers goes. */
  dropHot(): void {
    for (const batch of this.#batches ?? NO_BATCHES) this.#host.hot.remove(batch)
    if (this.#batches !== undefined) this.#batches = this.#batches.filter(({ isCounted }) => isCounted)
    this.#trimArray()
  }

  #uncount(batch: Batch): void {
    if (!batch.isCounted) return
    batch.isCounted = false
    this.pinnedBytes -= batch.bytes.length
  }

  #trimArray(): void {
    if (this.#batches?.length === 0) this.#batches = undefined
  }

  /** Index of the first batch in memory that ends behind `offset`. */
  #find(offset: number): number {
    const batches = this.#batches ?? NO_BATCHES
    let low = 0
    let high = batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((batches[middle]?.next ?? 0) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Where the log ends if it is cut at `offset`. */
  #cutAt(offset: number): number {
    if (offset >= this.logEndOffset) return this.logEndOffset
    const { logStartOffset, storedEnd } = this
    const reachable = Math.max(offset, logStartOffset)
    let base: number | undefined
    if (reachable < storedEnd) base = this.#host.shelf.baseBehind(this.id, reachable, storedEnd)
    if (base === undefined) {
      const batches = this.#batches ?? NO_BATCHES
      for (let index = this.#find(reachable); index < batches.length && base === undefined; index++) {
        const batch = batches[index]
        if (batch !== undefined && batch.base >= storedEnd) base = batch.base
      }
    }
    const end = base ?? this.logEndOffset
    // A log that keeps nothing ends where it was asked to.
    return end <= logStartOffset || logStartOffset === this.logEndOffset ? Math.min(end, offset) : end
  }
}

/** The first record of a batch from `start` on with a timestamp of at least `timestamp`. */
function firstAt(bytes: Uint8Array, timestamp: number, start: number): OffsetAndTimestamp | undefined {
  const cursor = new RecordCursor()
  cursor.reset(bytes, 0, bytes.length)
  while (cursor.next()) {
    if (cursor.timestamp >= timestamp && cursor.offset >= start) {
      return { offset: cursor.offset, timestamp: cursor.timestamp }
    }
  }
  return undefined
}
