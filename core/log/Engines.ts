/**
 * The storage contract. Several engines run side by side; each registers itself under a name.
 *
 * Invariants
 *  - logStartOffset <= highWatermark <= logEndOffset; nobody reads past the high watermark.
 *  - Offsets of a partition rise by exactly the record count of each batch; no repeat within a leader epoch, gaps only where a
 *    mode lost data. A log whose records go with the process begins above those that were given out before, where core says so
 *    ({@link PartitionOptions.start}).
 *  - The leader epochs of stored batches never fall along a log: where each of them ends is read out of it (epoch-ends.ts).
 *  - What is stored is record batches (magic 2) as they came; an engine rewrites base offset and leader epoch only, both outside
 *    the CRC. Compaction replaces batches (`CompactionStore.ts`): they keep their offsets, and may have fewer records than offsets.
 *
 * Every engine, ours or a third party's, passes `engineContract` in tests/contracts/engine-contract.ts.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { CompactionStore } from "./CompactionStore.ts"
import type { ReadLease } from "./ReadLease.ts"

export class DiskFull extends Schema.TaggedError<DiskFull>()("DiskFull", { pathname: Schema.String }) {}
export class ChecksumMismatch extends Schema.TaggedError<ChecksumMismatch>()("ChecksumMismatch", {
  baseOffset: Schema.Number
}) {}
export class Unusable extends Schema.TaggedError<Unusable>()("Unusable", { message: Schema.String }) {}
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  engine: Schema.String,
  reason: Schema.Union([DiskFull, ChecksumMismatch, Unusable])
}) {
  override get message(): string {
    const { reason } = this
    if (reason._tag === "DiskFull") return `${reason.pathname}: the disk is full`
    return reason._tag === "ChecksumMismatch"
      ? `what is stored at offset ${reason.baseOffset} is damaged`
      : reason.message
  }
}

/** Why an append was refused; a base offset is never negative. */
export const BACKLOG = -1
/** What storage has no room for waits for it, as long as less than this passes without any being made; then it is refused. */
export const HELD_UP_MS_MAX = 30_000
export const READ_ONLY = -2
export const DISK_FULL = -3
export const FENCED = -4
/** The engine broke down: it threw, answered what this contract rules out, or lost what was not committed. Told by core. */
export const FAILED = -7

/** One partition's data plane. Offsets count records; positions and sizes count bytes. */
export interface Partition {
  readonly logStartOffset: number
  /** One past the last committed record. */
  readonly highWatermark: number
  /** One past the last appended record. */
  readonly logEndOffset: number
  readonly leaderEpoch: number
  /** Bytes that the partition holds now. */
  readonly sizeBytes: number
  /**
   * Appends the batch at `bytes[start, end)` (checked by the caller, copied before it returns) and gives it base offset and
   * leader epoch; returns its base offset, or why not: {@link BACKLOG}, {@link READ_ONLY}, {@link DISK_FULL}, {@link FENCED}.
   */
  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number
  /**
   * Whether so many bytes more may come in this turn. False: there is no room just now, and there will be; who can wait asks again in a
   * moment. True promises nothing: the append says. An engine whose backlog gives way by itself answers so ahead of {@link BACKLOG}, and
   * for {@link HELD_UP_MS_MAX} without any progress at most. Absent = always true.
   */
  admits?(sizeBytes: number): boolean
  /**
   * Stored batches from the one that holds `offset` on, below the high watermark, at most `maxBytes` (at least one batch): a view
   * whose bytes never change, empty at the high watermark; undefined where a disk must be read or the offset is out of range.
   */
  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined
  /**
   * The same from wherever it lies; one promise a cold read. What a `lease` holds may be written over behind its end, and only then: an engine
   * may leave it aside. Rejects with {@link StorageError}.
   */
  read(offset: number, maxBytes: number, lease?: ReadLease): Promise<Uint8Array>
  /** The first offset whose timestamp (ms) is at least `timestamp`, with that timestamp; undefined where there is none. */
  offsetForTimestamp(timestamp: number): Promise<OffsetAndTimestamp | undefined>
  /** Forgets records below `offset` (at most the high watermark); returns the new log start offset. */
  deleteBefore(offset: number): Promise<number>
  /**
   * Has other bounds from now on than it was opened with; what goes beyond them is forgotten at the next append, or soon. Absent: they hold
   * when it is opened the next time.
   */
  relimit?(limits: PartitionLimits): void
  /**
   * Cuts the log so that `offset` is the next to be written, raises the leader epoch; returns the new log end offset. A batch that
   * holds `offset` is cut whole, and the log then ends at its base offset; a log that keeps nothing starts where it ends.
   */
  truncateTo(offset: number): Promise<number>
  /**
   * Appends a stored batch of another log of the same partition as it is: with its base offset, which lies at the log end or behind it
   * (what is between is a gap), and its leader epoch, which is no later than this log's. Copied before it returns; returns the base
   * offset, or why not, as {@link Partition.tryAppendUnsafe} does. There where {@link Engine.isCopyTarget}.
   */
  tryAppendAsFollowerUnsafe?(bytes: Uint8Array, start: number, end: number): number
  /**
   * Forgets all of the log: it goes on at `offset`, above or below, under a leader epoch of at least `leaderEpoch`. Rejects with
   * {@link StorageError}. There where {@link Engine.isCopyTarget}.
   */
  truncateFullyAndStartAt?(offset: number, leaderEpoch: number): Promise<void>
}

export interface OffsetAndTimestamp {
  readonly offset: number
  readonly timestamp: number
}

/** A topic's identity in storage. */
export interface PartitionKey {
  readonly tenant: number
  readonly topicId: string
  readonly partition: number
}

/** Bounds of one partition; what goes beyond is forgotten from the old end. */
export interface PartitionLimits {
  readonly sizeBytesMax: number
  readonly recordsMax: number
  /**
   * Milliseconds since a batch was appended; 0 = for ever. Not by the records' own timestamps: what a producer sends of long ago was
   * acknowledged just now.
   */
  readonly ageMsMax: number
}

/** Where a log begins that holds nothing: its first offset and its leader epoch. */
export interface LogStart {
  readonly offset: number
  readonly leaderEpoch: number
}

export type Mode = "memory" | "hybrid" | "persistent"

/** How a partition is to be kept, and whom its engine tells. */
export interface PartitionOptions {
  readonly limits: PartitionLimits
  /** What an acknowledgement promises: one of the engine's modes. */
  readonly mode: Mode
  readonly events: PartitionEvents
  /**
   * Where a log in mode memory begins, told where core keeps over restarts which offsets were given out. An engine that does not heed it
   * begins anew, with a line in the log. Absent = at 0.
   */
  readonly start?: LogStart
}

/**
 * What an engine tells of a partition whose appends are committed later than {@link Partition.tryAppendUnsafe} returns; never called
 * from within one of the partition's own calls.
 */
export interface PartitionEvents {
  /** The high watermark has risen. */
  committed(): void
  /**
   * A write or a sync failed: what lay above the high watermark is lost, the log ends there again and its leader epoch has risen.
   * `reason` is for a person; `refusal` is {@link DISK_FULL} where that is why, and told to who waits for the records.
   */
  failed(reason: string, refusal?: number): void
}

/** How partitions that come and go by the thousand are opened and closed: plainly, without a scope for each. */
export interface Reopening {
  /**
   * As {@link Engine.open}, at once; undefined where that cannot be done, or not at once: then `open` is asked. Never throws.
   */
  tryOpen(key: PartitionKey, options: PartitionOptions): Partition | undefined
  /** One that {@link Reopening.tryOpen} gave is not used any more. Settled when all that was appended is committed or lost; never rejects. */
  close(partition: Partition): Promise<void>
}

export interface Engine {
  /** The modes that this engine can promise. */
  readonly modes: ReadonlyArray<Mode>
  /**
   * Whether an append stands in the journal's entry of the turn it came in, and so happens together with the rest of what its client did.
   * Absent or false: the engine commits by itself, and what else belongs to a message is kept when that is done; a QoS 2 message whose
   * sender is cut off by a crash just then may be stored twice, and so may a will or a delayed message that a crash meets.
   */
  readonly isJournaled?: boolean
  /**
   * There where a partition that was closed is found as it was when it is opened again, at little cost. Core opens one of those when it is
   * used first, and may close it when nobody has used it for a while. Absent: all are open as long as their topics are there.
   */
  readonly reopens?: Reopening
  /**
   * Whether its partitions take batches of another log as they are, so that topics can be moved to it. Absent or false: it keeps only
   * what was appended to it first.
   */
  readonly isCopyTarget?: boolean
  /** There where topics can be compacted (cleanup.policy of Kafka). Absent: such topics are refused. */
  readonly compaction?: CompactionStore
  /** Opens a partition for the life of the surrounding scope; the same key gives the same log again. */
  open(key: PartitionKey, options: PartitionOptions): Effect.Effect<Partition, StorageError, Scope.Scope>
  /**
   * Applies bounds to a partition that is not open, soon. Core names each of those now and then, whether or not it is there and holds
   * anything. For engines that {@link Engine.reopens}; must not throw.
   */
  trim?(key: PartitionKey, limits: PartitionLimits): void
  /** Forgets a partition and what it holds. A key that is not there is no error. */
  remove(key: PartitionKey): Effect.Effect<void, StorageError>
}

export class Engines extends Context.Service<
  Engines,
  {
    /** Makes an engine known for the life of the surrounding scope; a second one of the same name is a defect. */
    register(name: string, engine: Engine): Effect.Effect<void, never, Scope.Scope>
    readonly get: (name: string) => Engine | undefined
    readonly names: () => ReadonlyArray<string>
  }
>()("manifold/core/log/Engines") {}
