/** What is known of segments and partitions without a look at their files: as the manifest has it. */
import type { PartitionKey } from "../../core/mod.ts"
import { FOOTER_BYTES, HEADER_BYTES, INDEX_ENTRY_BYTES } from "./segment-format.ts"

/** A segment, never changed: a checkpoint makes a new one in its place. Positions and sizes are bytes, times milliseconds. */
export interface Segment {
  /** Offset of the first record, and one past that of the last. */
  readonly base: number
  readonly end: number
  /** Header and batches: where the next batch goes, or the footer lies. All of it is synced. */
  readonly bytes: number
  readonly isSealed: boolean
  /** The first record's own time, and the latest of all. */
  readonly firstTimestamp: number
  readonly maxTimestamp: number
  readonly firstAppendedMs: number
  readonly lastAppendedMs: number
  readonly batches: number
  readonly records: number
  /** CRC-32C over the headers of all batches, in order. */
  readonly headersCrc: number
  /**
   * Entries of the index's file with CRC-32C over them, and what of the segment they cover; the first offset behind that, and the latest
   * time there. That file is not synced: a crash may leave one that was whole at another time.
   */
  readonly indexEntries: number
  readonly indexCrc: number
  readonly indexedBytes: number
  readonly indexedEnd: number
  readonly tailMaxTimestamp: number
  /** Which compaction of its partition wrote it, part of its files' names; absent = none did. */
  readonly generation?: number
}

/** A partition and its segments, oldest first: what the last checkpoint left. Never changed. */
export interface StoredPartition {
  readonly id: number
  readonly key: PartitionKey
  readonly logStart: number
  readonly logEnd: number
  readonly leaderEpoch: number
  readonly segments: ReadonlyArray<Segment>
  /** Where in the first segment the first batch lies that ends behind the log's start. */
  readonly startPosition: number
  /** Up to where the log is compacted; absent = it never was. */
  readonly cleanedTo?: number
}

/** Bytes of all batches that end behind the log's start. */
export function storedBytes({ segments, startPosition }: StoredPartition): number {
  let bytes = HEADER_BYTES - startPosition
  for (const segment of segments) bytes += segment.bytes - HEADER_BYTES
  return segments.length === 0 ? 0 : bytes
}

/** Bytes of a segment's two files. */
export function fileBytes({ bytes, isSealed, indexEntries }: Segment): number {
  return bytes + (isSealed ? FOOTER_BYTES : 0) + indexEntries * INDEX_ENTRY_BYTES
}

/** Index of the first segment that ends behind `offset`. */
export function findSegment(segments: ReadonlyArray<Segment>, offset: number): number {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((segments[middle]?.end ?? 0) <= offset) low = middle + 1
    else high = middle
  }
  return low
}
