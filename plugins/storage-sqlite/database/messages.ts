/**
 * What is said between a shard and its storage thread. Requests are answered in the order in which they were sent; a part of a checkpoint
 * has no answer.
 */
import type {
  BatchBounds,
  CompactionSurvey,
  DeletedRange,
  Deletion,
  EpochState,
  OldestPiece,
  PartitionFigures,
  TrimTask
} from "../../../core/mod.ts"
import type { SqliteFault } from "../../../core/platform/mod.ts"

/** One row of the table `state`. */
export interface StoreState extends EpochState {
  /** Entries of the journal up to this one are in the database. */
  readonly applied: number
  readonly keys: number
}

export type Request =
  | { readonly kind: "open"; readonly pathname: string; readonly cacheBytes: number; readonly walBytes: number }
  /** Operations, each with its length before it; done within the transaction that the next "commit" ends. */
  | { readonly kind: "part"; readonly bytes: Uint8Array }
  | {
      readonly kind: "commit"
      readonly state: Omit<StoreState, "keys">
      readonly trims: ReadonlyArray<TrimTask>
      readonly deletions: ReadonlyArray<Deletion>
    }
  | {
      readonly kind: "range"
      readonly start: Uint8Array
      readonly end: Uint8Array
      readonly limit: number
      readonly bytesMax: number
    }
  /** Keys alone, in order, from `after` on. */
  | { readonly kind: "keys"; readonly start: Uint8Array; readonly limit: number }
  /** Batches from the one that holds `offset` on, of those that begin below `end`. */
  | {
      readonly kind: "read"
      readonly id: number
      readonly offset: number
      readonly end: number
      readonly bytesMax: number
    }
  /** The first batch that ends after `offset`, begins below `end` and has a timestamp of at least `timestamp`. */
  | {
      readonly kind: "time"
      readonly id: number
      readonly offset: number
      readonly end: number
      readonly timestamp: number
    }
  /** Bytes of the batches within the bounds. */
  | { readonly kind: "sum"; readonly id: number; readonly bounds: BatchBounds }
  /** What may be compacted of a partition. */
  | { readonly kind: "survey"; readonly id: number }
  /** How many batches from the one on that ends behind `from` are replaced at a time. */
  | { readonly kind: "piece"; readonly id: number; readonly from: number }
  /** Replaces a piece, in a transaction of its own: while no checkpoint is under way. */
  | {
      readonly kind: "replace"
      readonly id: number
      readonly piece: CompactionPiece
      /** The batches that are other ones now, and the base offsets of all that stay. */
      readonly changed: ReadonlyArray<Uint8Array>
      readonly kept: ReadonlyArray<number>
      readonly cleanedTo: number
    }
  | { readonly kind: "backup"; readonly pathname: string }
  | { readonly kind: "stats" }
  /** What is taken of the disk. */
  | { readonly kind: "use" }
  /** The oldest batches, of one tenant or of all, until they have so many bytes. */
  | { readonly kind: "oldest"; readonly bytesMax: number; readonly tenant: number | undefined }
  /** Forgets rows of what was removed or deleted, some at a time. */
  | { readonly kind: "sweep" }
  | { readonly kind: "close" }

/** Batches that lie behind one another: the base offset of the first, one past the last, and what tells whether they are as they were. */
export interface CompactionPiece {
  readonly from: number
  readonly end: number
  readonly fingerprint: string
}

export interface Failure {
  readonly fault: SqliteFault
  readonly message: string
}

export interface CommitAnswer {
  readonly keys: number
  /** Rows that were written or removed. */
  readonly rows: number
  /** Of the partitions that were changed. */
  readonly figures: ReadonlyArray<PartitionFigures>
  /** What retention deleted. */
  readonly deleted: ReadonlyArray<DeletedRange>
  /** There is something for "sweep". */
  readonly isSweepDue: boolean
}

export interface RangeAnswer {
  /** Key and value of each row, both with their length before them. */
  readonly bytes: Uint8Array
  readonly count: number
  /** Nothing lies behind the last row. */
  readonly isLast: boolean
  /** Bytes of the value behind the last row, where that had no room; 0 = it was the number of rows that ended the page, or nothing. */
  readonly refusedBytes: number
}

export interface StoreStats {
  readonly keys: number
  readonly partitions: number
  readonly batches: number
  readonly bytes: number
  readonly applied: number
}

export interface StoreUse {
  /** Pages that hold something, but for batches whose rows are about to go. */
  readonly usedBytes: number
  /** Pages that are written over before the file grows. */
  readonly freeBytes: number
  /** Bytes of batches by tenant. */
  readonly tenants: ReadonlyArray<readonly [tenant: number, bytes: number]>
}

export interface Answers {
  readonly open: StoreState & { readonly nextPartition: number }
  readonly part: undefined
  readonly commit: CommitAnswer
  readonly range: RangeAnswer
  readonly keys: RangeAnswer
  readonly read: { readonly bytes: Uint8Array }
  readonly time: { readonly bytes: Uint8Array }
  readonly sum: { readonly bytes: number }
  readonly survey: { readonly found: CompactionSurvey | undefined }
  readonly piece: { readonly piece: CompactionPiece | undefined }
  /** The figures that the partition has now; undefined where the log is not as it was, and nothing was done. */
  readonly replace: { readonly figures: PartitionFigures | undefined }
  readonly backup: { readonly applied: number }
  readonly stats: StoreStats
  readonly use: StoreUse
  readonly oldest: { readonly pieces: ReadonlyArray<OldestPiece> }
  readonly sweep: { readonly isSweepDue: boolean }
  readonly close: Record<string, never>
}

export type RequestOf<Kind extends Request["kind"]> = Extract<Request, { readonly kind: Kind }>

/** An answer, or why there is none. */
export type Answer = { readonly value: unknown } | { readonly failure: Failure }
