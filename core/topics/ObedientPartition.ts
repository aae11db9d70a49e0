/** For tests: an engine's partition that is slow, loses what it has not committed, forgets its oldest, and takes copies; all when it is told to. */
import { Effect } from "effect"
import { assert } from "../assert.ts"
import {
  BACKLOG,
  type Engine,
  type OffsetAndTimestamp,
  type Partition,
  type PartitionEvents,
  type PartitionKey,
  type PartitionOptions,
  type Reopening,
  StorageError,
  Unusable
} from "../log/Engines.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import {
  baseOffset,
  partitionLeaderEpoch,
  recordCount,
  writeBaseOffset,
  writeLeaderEpoch
} from "../log/record-batch.ts"
import type { ClockShape } from "../platform/Clock.ts"

const EMPTY = new Uint8Array(0)

export class ObedientPartition implements Partition {
  /** As stored, oldest first. */
  readonly batches: Array<Uint8Array> = []
  logStartOffset = 0
  logEndOffset = 0
  highWatermark = 0
  leaderEpoch = 1
  events: PartitionEvents | undefined
  /** Who has it open: the next one may before the last one has let go. */
  holders = 0
  /** Appends are refused with this; 0 = none is. */
  refusal = 0
  /** Appends are committed at once. */
  isPrompt = false
  /** How long a commit takes, ms; undefined = until {@link ObedientPartition.commit}. */
  commitMs: (() => number) | undefined
  /** How long a cold read takes, ms; 0 = everything is resident. */
  coldMs = 0
  readonly #clock: Pick<ClockShape, "after">

  constructor(clock: Pick<ClockShape, "after">) {
    this.#clock = clock
  }

  get sizeBytes(): number {
    return this.batches.reduce((bytes, batch) => bytes + batch.length, 0)
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, records: number): number {
    if (this.refusal !== 0) return this.refusal
    const batch = bytes.slice(start, end)
    assert(recordCount(batch, 0) === records, "an engine is told how many records there are")
    const offset = this.logEndOffset
    writeBaseOffset(batch, 0, offset)
    writeLeaderEpoch(batch, 0, this.leaderEpoch)
    this.#keep(batch)
    return offset
  }

  tryAppendAsFollowerUnsafe(bytes: Uint8Array, start: number, end: number): number {
    if (this.refusal !== 0) return this.refusal
    const batch = bytes.slice(start, end)
    assert(baseOffset(batch, 0) >= this.logEndOffset, "what is copied lies at the end of the copy or behind it")
    assert(partitionLeaderEpoch(batch, 0) <= this.leaderEpoch, "what is copied is no later than the copy")
    this.#keep(batch)
    return baseOffset(batch, 0)
  }

  async truncateFullyAndStartAt(offset: number, leaderEpoch: number): Promise<void> {
    this.batches.length = 0
    this.logStartOffset = offset
    this.logEndOffset = offset
    this.highWatermark = offset
    this.leaderEpoch = Math.max(this.leaderEpoch, leaderEpoch)
  }

  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    return this.coldMs === 0 ? this.#read(offset, maxBytes) : undefined
  }

  async read(offset: number, maxBytes: number): Promise<Uint8Array> {
    if (this.coldMs > 0) await new Promise<void>((resolve) => void this.#clock.after(this.coldMs, resolve))
    const bytes = this.#read(offset, maxBytes)
    if (bytes === undefined)
      throw new StorageError({ engine: "obedient", reason: new Unusable({ message: "out of range" }) })
    return bytes
  }

  offsetForTimestamp(): Promise<OffsetAndTimestamp | undefined> {
    return Promise.resolve(undefined)
  }

  async deleteBefore(offset: number): Promise<number> {
    this.logStartOffset = Math.max(this.logStartOffset, Math.min(offset, this.highWatermark))
    while (this.batches[0] !== undefined && endOffsetOf(this.batches[0], 0) <= this.logStartOffset) this.batches.shift()
    return this.logStartOffset
  }

  truncateTo(): Promise<number> {
    return Promise.reject(new Error("nobody asks for that here"))
  }

  /** Commits what was appended, up to the end of the batch that holds `offset - 1`. */
  commit(offset = this.logEndOffset): void {
    for (const batch of this.batches) {
      const end = endOffsetOf(batch, 0)
      if (end <= offset) this.highWatermark = Math.max(this.highWatermark, end)
    }
    this.events?.committed()
  }

  /** Loses what was not committed. */
  fail(): void {
    while (this.logEndOffset > this.highWatermark) {
      const batch = this.batches.pop()
      assert(batch !== undefined, "what was not committed is still there")
      this.logEndOffset = baseOffset(batch, 0)
    }
    this.leaderEpoch += 1
    this.events?.failed("the disk said no")
  }

  #keep(batch: Uint8Array): void {
    this.batches.push(batch)
    this.logEndOffset = endOffsetOf(batch, 0)
    if (this.isPrompt) this.commit()
    const { commitMs, leaderEpoch, logEndOffset } = this
    if (commitMs === undefined) return
    this.#clock.after(commitMs(), () => {
      if (this.leaderEpoch === leaderEpoch) this.commit(logEndOffset)
    })
  }

  #read(offset: number, maxBytes: number): Uint8Array | undefined {
    if (offset < this.logStartOffset || offset > this.highWatermark) return undefined
    const found: Array<Uint8Array> = []
    let bytes = 0
    for (const batch of this.batches) {
      if (endOffsetOf(batch, 0) <= offset || endOffsetOf(batch, 0) > this.highWatermark) continue
      if (bytes > 0 && bytes + batch.length > maxBytes) break
      found.push(batch)
      bytes += batch.length
    }
    return found.length === 0 ? EMPTY : new Uint8Array(Buffer.concat(found))
  }
}

/** An engine of such partitions, which are there until they are removed, as those on a disk are. */
export class ObedientEngine implements Engine {
  readonly modes = ["hybrid", "persistent"] as const
  readonly isCopyTarget = true
  /** By `topicId/partition`. */
  readonly partitions = new Map<string, ObedientPartition>()
  readonly reopens: Reopening
  readonly #make: () => ObedientPartition

  constructor(make: () => ObedientPartition) {
    this.#make = make
    this.reopens = {
      tryOpen: (key, { events }) => this.#opened(key, events),
      close: async (partition) => {
        if (!(partition instanceof ObedientPartition)) return
        partition.holders -= 1
        if (partition.holders === 0) partition.events = undefined
      }
    }
  }

  open(key: PartitionKey, { events }: PartitionOptions): Effect.Effect<Partition> {
    return Effect.sync(() => this.#opened(key, events))
  }

  remove({ topicId, partition }: PartitionKey): Effect.Effect<void> {
    return Effect.sync(() => void this.partitions.delete(`${topicId}/${partition}`))
  }

  #opened({ topicId, partition }: PartitionKey, events: PartitionEvents): ObedientPartition {
    const name = `${topicId}/${partition}`
    const known = this.partitions.get(name) ?? this.#make()
    known.events = events
    known.holders += 1
    this.partitions.set(name, known)
    return known
  }
}

/** What a refusal of {@link ObedientPartition} is that may be over soon. */
export const BUSY = BACKLOG
