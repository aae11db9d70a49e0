/**
 * Where batches lie that were put away: rows of a database, files of segments. What an engine that is fed from the journal has to bring;
 * everything above the last checkpoint is kept by core.
 *
 * Offsets count records, sizes and `bytes` count bytes; a partition goes by its row's number here, which is never 0 and never another's.
 */
import type { PartitionKey } from "../log/Engines.ts"
import type { ReadLease } from "../log/ReadLease.ts"

/** A partition as the last checkpoint left it. */
export interface PartitionRow {
  readonly id: number
  readonly key: PartitionKey
  readonly logStart: number
  readonly logEnd: number
  readonly leaderEpoch: number
  /** Of its batches. */
  readonly bytes: number
}

/** Bounds of a partition, for who trims it. */
export interface TrimTask {
  readonly id: number
  readonly sizeBytesMax: number
  readonly recordsMax: number
  /** Batches appended before this are forgotten; 0 = none. */
  readonly appendedBeforeMs: number
}

/** Where a partition's stored log starts and what it holds. */
export interface PartitionFigures {
  readonly id: number
  readonly logStart: number
  readonly bytes: number
}

/** Batches that end behind `nextAfter` and up to `nextUpTo`, and begin from `baseFrom` on and below `baseBelow`. */
export interface BatchBounds {
  readonly nextAfter: number
  readonly nextUpTo: number
  readonly baseFrom: number
  readonly baseBelow: number
}

export interface Shelf {
  /** The partition of a key. Plain: it is asked when one is opened. */
  rowOf(key: PartitionKey): PartitionRow | undefined
  /** The partition of a row; asked at recovery. */
  rowById(id: number): PartitionRow | undefined
  /**
   * Batches from the one that holds `offset` on, of those that begin below `end`, at most `bytesMax` (at least one batch); empty where there
   * is none. Each has been checked; the bytes never change, or not before the end of the `lease`. Rejects with `StorageError`.
   */
  read(id: number, offset: number, end: number, bytesMax: number, lease?: ReadLease): Promise<Uint8Array>
  /** The first batch that ends after `offset`, begins below `end` and has a timestamp of at least `timestamp`; or empty. The same holds. */
  batchAt(id: number, offset: number, end: number, timestamp: number): Promise<Uint8Array>
  /** Bytes of the batches within the bounds. Rejects with `StorageError`. */
  sum(id: number, bounds: BatchBounds): Promise<number>
  /** The same on the loop, at recovery. */
  sumUnsafe(id: number, bounds: BatchBounds): number
  /** The base offset of the first batch that ends behind `offset` and begins below `end`. On the loop: somebody cuts a log. */
  baseBehind(id: number, offset: number, end: number): number | undefined
}
