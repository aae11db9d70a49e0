/**
 * The partitions of a store: which are in use, what was done to them and is not put away yet, who waits for a commit.
 *
 * Invariants
 *  - Operations stand in the order of the journal's entries; each is put away once, or was lost.
 *  - A partition's row comes with the first thing that is done to it; until then it costs nothing but memory.
 */
import { assert } from "../assert.ts"
import type { Durability, JournalShape } from "../journal/Journal.ts"
import { ByteWriter } from "../link/bytes.ts"
import {
  DISK_FULL,
  type PartitionKey,
  type PartitionLimits,
  type PartitionOptions,
  StorageError,
  Unusable
} from "../log/Engines.ts"
import {
  APPEND_HEAD_BYTES,
  BATCH_APPENDED,
  endOffsetOf,
  writeBegun,
  writeCut,
  writeDeleted,
  writeMade,
  writePartitionRemoved
} from "../log/partition-operations.ts"
import * as recordBatch from "../log/record-batch.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { BATCH_BYTES, BacklogRoom } from "./BacklogRoom.ts"
import { type Batch, type Change, isBatch, makeBatch, type Operation } from "./Batch.ts"
import type { Epochs } from "./Epochs.ts"
import type { HotBatches } from "./HotBatches.ts"
import type { JournaledPartition } from "./JournaledPartition.ts"
import { Line } from "./Line.ts"
import type { PartitionHost } from "./PartitionHost.ts"
import { PartitionTable } from "./PartitionTable.ts"
import type { ReplayedOperation } from "./replayed-operation.ts"
import type { PartitionFigures, Shelf, TrimTask } from "./Shelf.ts"
import { ticketCommitted } from "./ticket-committed.ts"

const NOTHING = new Uint8Array(0)

export interface PartitionsParts {
  /** For messages: "sqlite". */
  readonly engine: string
  /** Of its operations in the journal. */
  readonly kind: number
  readonly journal: JournalShape
  readonly shelf: Shelf
  readonly epochs: Epochs
  readonly hot: HotBatches
  readonly nextPartition: number
  /** Bytes that may wait to be put away, before those who append have to wait. */
  readonly residentBytesMax: number
  readonly clock: ClockShape
  /** More has to be put away before more is taken. */
  readonly full: () => void
}

export class JournaledPartitions implements PartitionHost {
  readonly journal: JournalShape
  readonly shelf: Shelf
  readonly hot: HotBatches
  readonly room: BacklogRoom
  readonly #parts: PartitionsParts
  readonly #table: PartitionTable
  readonly #operations = new Line<Operation>()
  readonly #uncommitted = { hybrid: new Line<Batch>(), persistent: new Line<Batch>() }
  readonly #committed = { hybrid: 0, persistent: 0 }
  readonly #head = new Uint8Array(APPEND_HEAD_BYTES)
  #settling: Array<() => boolean> = []

  constructor(parts: PartitionsParts) {
    const { journal, shelf, hot } = parts
    this.#parts = parts
    this.journal = journal
    this.shelf = shelf
    this.hot = hot
    this.#table = new PartitionTable(this, parts.nextPartition)
    this.#head[0] = BATCH_APPENDED
    const { residentBytesMax: bytesMax, clock, full } = parts
    this.room = new BacklogRoom({ bytesMax, journal, monotonicMs: () => clock.monotonicMs(), full })
  }

  /** Bytes that wait to be put away, about. */
  get pendingBytes(): number {
    return this.room.bytes
  }

  /** Partitions in memory. */
  get size(): number {
    return this.#table.size
  }

  /** Something is to be put away, committed or not. */
  get hasOperations(): boolean {
    return this.#operations.length > 0
  }

  /** Some batches are to be forgotten for their age. */
  get hasAges(): boolean {
    return this.#table.hasAges
  }

  /** The partition of a key, held until {@link JournaledPartitions.release}. */
  acquire(key: PartitionKey, options: PartitionOptions): JournaledPartition {
    const { epochs } = this.#parts
    epochs.resolve()
    const partition = this.#table.find(key) ?? this.#table.add(key)
    // Who holds it already is about to let it go: what happens from now on is told to who opens it now.
    partition.options = options
    partition.holders += 1
    partition.leaderEpoch = Math.max(partition.leaderEpoch, epochs.base)
    return partition
  }

  /** Has the next checkpoint apply bounds to a partition that nobody holds. */
  trimLater(key: PartitionKey, limits: PartitionLimits): void {
    this.#table.trimLater(key, limits)
  }

  /** Settled when everything that was appended is committed or lost. */
  async release(partition: JournaledPartition): Promise<void> {
    const isSettled = (): boolean => partition.isRemoved || partition.highWatermark === partition.logEndOffset
    if (!isSettled()) {
      await new Promise<void>((resolve) => {
        this.#settling.push(() => {
          if (isSettled()) resolve()
          return isSettled()
        })
      })
    }
    partition.holders -= 1
    if (partition.holders > 0) return
    partition.options = undefined
    partition.dropHot()
    this.#table.forgetIdle(partition)
  }

  async remove(key: PartitionKey): Promise<void> {
    const partition = this.#table.find(key)
    if (partition === undefined) return
    const { refusal } = this.journal
    if (partition.id !== 0 && refusal !== 0) throw this.#refused()
    const { id } = partition
    let committed: Promise<void> | undefined
    if (id !== 0) {
      const durability = durabilityOf(partition)
      committed = this.#submit(partition, "removed", durability, (writer) => writePartitionRemoved(writer, id))
    }
    this.#table.remove(partition)
    await committed
  }

  relimited(partition: JournaledPartition): void {
    this.#table.relimited(partition)
  }

  append(partition: JournaledPartition, bytes: Uint8Array, base: number, next: number): Batch {
    const durability = durabilityOf(partition)
    if (partition.id === 0) this.#make(partition, durability)
    const appendedAtMs = this.#parts.clock.nowMs()
    recordBatch.writeInt64(this.#head, 1, partition.id)
    recordBatch.writeInt64(this.#head, 9, appendedAtMs)
    const index = this.journal.nextIndex
    this.journal.submitOperation(this.#parts.kind, durability, this.#head, bytes, 0, bytes.length)
    const batch = makeBatch({ partition, base, next, bytes, index, durability, appendedAtMs })
    this.#operations.push(batch)
    this.#uncommitted[durability].push(batch)
    this.room.bytes += bytes.length + BATCH_BYTES
    return batch
  }

  change(partition: JournaledPartition, kind: "cut" | "deleted", offset: number): Promise<void> {
    if (this.journal.refusal !== 0) throw this.#refused()
    const durability = durabilityOf(partition)
    if (kind === "cut") {
      const epoch = this.#parts.epochs.next()
      if (epoch === undefined) throw this.#refused()
      partition.leaderEpoch = epoch
      if (partition.id === 0) this.#make(partition, durability)
      return this.#submit(partition, kind, durability, (writer) => writeCut(writer, partition.id, offset, epoch))
    }
    return this.#submit(partition, kind, durability, (writer) => writeDeleted(writer, partition.id, offset))
  }

  begin(partition: JournaledPartition, offset: number, leaderEpoch: number): Promise<void> {
    if (this.journal.refusal !== 0) throw this.#refused()
    if (this.#parts.epochs.raise(leaderEpoch)) this.#parts.full()
    partition.leaderEpoch = Math.max(partition.leaderEpoch, leaderEpoch)
    const durability = durabilityOf(partition)
    if (partition.id === 0) this.#make(partition, durability)
    return this.#submit(partition, "begun", durability, (writer) =>
      writeBegun(writer, partition.id, offset, partition.leaderEpoch)
    )
  }

  /** Operations of this durability in entries up to `index` are committed. */
  committed(index: number, durability: Durability): void {
    this.#committed[durability] = Math.max(this.#committed[durability], index)
    const line = this.#uncommitted[durability]
    const risen = new Set<JournaledPartition>()
    for (let batch = line.first; batch !== undefined && batch.index <= index; batch = line.first) {
      line.shift()
      const { partition, next, isCut } = batch
      if (isCut || partition.isRemoved || next <= partition.highWatermark) continue
      partition.highWatermark = next
      risen.add(partition)
    }
    for (const partition of risen) partition.options?.events.committed()
    this.#settle()
  }

  /** Takes back what was submitted in entries from `index` on and not told as committed. */
  lost(index: number, refusal: number): void {
    const reason = refusal === DISK_FULL ? "the disk is full" : "a write to the journal failed"
    const isLost = ({ index: own, durability }: Operation): boolean => own >= index && own > this.#committed[durability]
    const hit = new Set<JournaledPartition>()
    for (const operation of this.#operations.removeFromEnd(index, isLost)) {
      const { partition } = operation
      if (isBatch(operation)) {
        this.room.bytes -= operation.bytes.length + BATCH_BYTES
        hit.add(partition)
      } else {
        partition.pendingChanges -= 1
        if (operation.kind === "made") {
          this.#table.takeRow(partition)
        } else if (operation.kind === "cut" || operation.kind === "begun") hit.add(partition)
      }
      partition.pending -= 1
    }
    for (const durability of ["hybrid", "persistent"] as const) {
      this.#uncommitted[durability].removeFromEnd(index, isLost)
    }
    this.room.madeRoom()
    const { epochs } = this.#parts
    const epoch = hit.size === 0 ? undefined : epochs.next()
    if (epoch !== undefined) epochs.base = epoch
    for (const partition of hit) {
      if (partition.isRemoved) continue
      partition.cutTo(partition.highWatermark)
      // Without a new epoch nothing may be appended: offsets would name two contents.
      if (epoch === undefined) partition.isFenced = true
      else partition.leaderEpoch = epoch
      partition.options?.events.failed(reason, refusal)
      this.#table.forgetIdle(partition)
    }
    this.#settle()
  }

  /** Recovery: what stands in an entry was done. */
  replayed(index: number, body: ReplayedOperation): void {
    const { epochs } = this.#parts
    epochs.replayed(0)
    const partition = this.#replayedPartition(body)
    if (partition === undefined) return
    const base = { partition, index, durability: "persistent" as const }
    if (body.kind === "appended") {
      const { bytes, appendedAtMs } = body
      const next = endOffsetOf(bytes, 0)
      const first = recordBatch.baseOffset(bytes, 0)
      partition.leaderEpoch = Math.max(partition.leaderEpoch, recordBatch.partitionLeaderEpoch(bytes, 0))
      epochs.replayed(partition.leaderEpoch)
      if (first < partition.logEndOffset) this.#cutReplayed(partition, first)
      if (partition.logStartOffset === partition.logEndOffset) partition.logStartOffset = first
      const batch = makeBatch({ ...base, base: first, next, bytes, appendedAtMs })
      partition.addBatch(batch)
      partition.highWatermark = next
      this.#operations.push(batch)
      this.room.bytes += bytes.length + BATCH_BYTES
      return
    }
    if (body.kind === "cut") {
      partition.leaderEpoch = Math.max(partition.leaderEpoch, body.leaderEpoch)
      epochs.replayed(body.leaderEpoch)
      this.#cutReplayed(partition, body.offset)
    } else if (body.kind === "begun") {
      partition.leaderEpoch = Math.max(partition.leaderEpoch, body.leaderEpoch)
      epochs.replayed(body.leaderEpoch)
      partition.beginAt(body.offset)
    } else if (body.kind === "deleted") {
      partition.storedBytes -= this.#storedBytes(partition, 0, body.offset)
      partition.forgetBelow(body.offset)
    } else if (body.kind === "removed") this.#table.remove(partition)
    this.#note({ ...base, kind: body.kind, body: body.body })
  }

  /** What is to be put away: operations of entries up to `index`. */
  operationsUpTo(index: number): ReadonlyArray<Operation> {
    return this.#operations.firstWhile((operation) => operation.index <= index)
  }

  /** Bounds of the partitions that these operations touch, and of some whose batches grow old. */
  trimTasks(operations: ReadonlyArray<Operation>): ReadonlyArray<TrimTask> {
    const touched = new Set<JournaledPartition>()
    for (const { partition } of operations) touched.add(partition)
    return this.#table.trimTasks(touched, this.#parts.clock.nowMs())
  }

  /** These operations, the first of the line, lie on the shelf, and this is how it left their partitions. */
  putAway(operations: ReadonlyArray<Operation>, figures: ReadonlyArray<PartitionFigures>): void {
    for (const operation of operations) {
      assert(this.#operations.first === operation, "what is put away is the oldest")
      this.#operations.shift()
      const { partition } = operation
      partition.pending -= 1
      if (isBatch(operation)) {
        this.room.bytes -= operation.bytes.length + BATCH_BYTES
        partition.putAway(operation)
      } else {
        partition.pendingChanges -= 1
        if (operation.kind === "removed") this.#table.removalStored(partition.id)
      }
    }
    this.room.madeRoom()
    for (const { id, logStart, bytes } of figures) {
      const partition = this.#table.resident(id)
      if (partition !== undefined && !partition.isRemoved) partition.stored(logStart, bytes)
    }
    for (const { partition } of operations) this.#table.forgetIdle(partition)
  }

  /** A compaction has left a log so; what begins below `end` of it is another. Not while a checkpoint is put away. */
  compacted({ id, logStart, bytes }: PartitionFigures, end: number): void {
    const partition = this.#table.resident(id)
    if (partition !== undefined && !partition.isRemoved) partition.compacted(logStart, bytes, end)
  }

  #make(partition: JournaledPartition, durability: Durability): void {
    const { tenant, topicId, partition: place } = partition.key
    this.#table.giveRow(partition)
    // Nothing in it is older than now.
    partition.agesLookedAtMs = this.#parts.clock.nowMs()
    // Nobody waits for it alone.
    this.#submit(partition, "made", durability, (writer) =>
      writeMade(writer, partition.id, tenant, topicId, place)
    ).catch(() => {})
  }

  #submit(
    partition: JournaledPartition,
    kind: Change["kind"],
    durability: Durability,
    write: (writer: ByteWriter) => void
  ): Promise<void> {
    const writer = new ByteWriter()
    write(writer)
    const body = writer.bytes.slice(0, writer.length)
    const index = this.journal.nextIndex
    const ticket = this.journal.submitOperation(this.#parts.kind, durability, body, NOTHING, 0, 0)
    this.#note({ partition, kind, index, durability, body })
    return ticketCommitted(this.#parts.engine, this.journal.ticketsOf(durability), ticket)
  }

  #note(change: Change): void {
    this.#operations.push(change)
    change.partition.pending += 1
    change.partition.pendingChanges += 1
  }

  #cutReplayed(partition: JournaledPartition, end: number): void {
    partition.storedBytes -= this.#storedBytes(partition, end, Number.MAX_SAFE_INTEGER)
    partition.cutTo(end)
  }

  /** Bytes of a log's stored batches that begin from `baseFrom` on and end up to `nextUpTo`. Reads on the loop. */
  #storedBytes({ id, storedEnd, logStartOffset }: JournaledPartition, baseFrom: number, nextUpTo: number): number {
    if (baseFrom >= storedEnd) return 0
    return this.shelf.sumUnsafe(id, { baseFrom, baseBelow: storedEnd, nextAfter: logStartOffset, nextUpTo })
  }

  #replayedPartition(body: ReplayedOperation): JournaledPartition | undefined {
    // No row of the shelf has a number that was given out later.
    const isOnShelf = body.id < this.#parts.nextPartition
    const known = isOnShelf ? this.#table.ofRow(body.id) : this.#table.resident(body.id)
    if (known !== undefined || body.kind !== "made") return known
    const made = this.#table.add(body.key)
    this.#table.giveRow(made, body.id)
    return made
  }

  #refused(): StorageError {
    const reason = new Unusable({ message: "the journal takes nothing now" })
    return new StorageError({ engine: this.#parts.engine, reason })
  }

  #settle(): void {
    if (this.#settling.length > 0) this.#settling = this.#settling.filter((isDone) => !isDone())
  }
}

function durabilityOf({ options }: JournaledPartition): Durability {
  return options?.mode === "hybrid" ? "hybrid" : "persistent"
}
