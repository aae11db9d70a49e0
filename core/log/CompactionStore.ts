/**
 * What an engine offers so that topics of it can be compacted: core decides which records stay (`core/compaction`), the engine replaces
 * batches by others that hold less.
 *
 * Invariants
 *  - A replacement happens as a whole or not at all, over a crash at any instant; who reads meanwhile gets what was there before or what is
 *    there now, whole batches in the order of their offsets.
 *  - A batch that replaces another has its base offset, its last offset delta and its leader epoch, so no offset ever changes.
 *  - What an engine calls the active part is never replaced: the batches that came last.
 */
import type { PartitionKey } from "./Engines.ts"

/** When an engine that writes in segments ends the one that is being written, so that it can be compacted; undefined = as it likes. */
export interface SegmentLimits {
  readonly ageMsMax: number | undefined
  readonly sizeBytesMax: number | undefined
}

/** A partition as compaction sees it: `logStart` <= `cleanedTo` <= `activeFrom`. Offsets count records, sizes bytes. */
export interface CompactionSurvey {
  readonly logStart: number
  /** Up to where the last round went, as {@link Replacement.commit} was told. */
  readonly cleanedTo: number
  /** From here on nothing may be replaced. */
  readonly activeFrom: number
  /** Bytes of the batches before `cleanedTo`, and of those from there to `activeFrom`. */
  readonly cleanBytes: number
  readonly dirtyBytes: number
}

/** Batches that lie behind one another, on their way to be replaced. To be ended by `commit` or `abort`, once. */
export interface Replacement {
  /** Those that begin from where it was asked for on and below this offset are replaced. */
  readonly end: number
  /** The next batch that stays, in the order of offsets; the engine's from then on. Rejects with `StorageError`. */
  add(batch: Uint8Array, isChanged: boolean): Promise<void>
  /**
   * Puts what was added in the place of what was there, and notes that the log is compacted up to `cleanedTo`; returns how many bytes were
   * written, or undefined where the log has changed meanwhile, and nothing was done. Rejects with `StorageError`, and nothing was done.
   */
  commit(cleanedTo: number): Promise<number | undefined>
  /** Nothing is replaced. */
  abort(): Promise<void>
}

export interface CompactionStore {
  /** What may be compacted of a partition, open or not; undefined where nothing of it is stored. Rejects with `StorageError`. */
  survey(key: PartitionKey, limits: SegmentLimits): Promise<CompactionSurvey | undefined>
  /**
   * Batches from the one that holds `offset` on, of those that begin below `end`, at most `bytesMax` (at least one batch); empty where
   * there is none. Checked; never changed afterwards. Rejects with `StorageError`, where a batch is damaged, too.
   */
  read(key: PartitionKey, offset: number, end: number, bytesMax: number): Promise<Uint8Array>
  /**
   * Begins to replace batches from `from` on, where a survey or the replacement before began or ended; as far as the engine likes, and not
   * into the active part. Undefined where the log has changed. One at a time for all partitions. Rejects with `StorageError`.
   */
  replace(key: PartitionKey, from: number): Promise<Replacement | undefined>
}
