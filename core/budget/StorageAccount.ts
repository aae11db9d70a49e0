/**
 * What a plugin keeps in a store, as the node that has to do with so much room sees it: how much that is, and which of it may go.
 *
 * Plain data in both directions, so that it can pass between threads. Sizes count bytes; times are milliseconds since 1970.
 *
 * Invariants
 *  - What it costs to ask is bounded, however many partitions there are, and nothing is opened for it.
 *  - Key-value state is counted and never deleted, and of each partition the newest part stays: a segment, a batch.
 */

/** What lies on disk now. */
export interface StorageUse {
  /** What is needed: without what is on its way to be removed. */
  readonly usedBytes: number
  /** Of the plugin's files, what is written over before they grow. */
  readonly freeBytes: number
  /** What batches take, by tenant. */
  readonly tenants: ReadonlyArray<readonly [tenant: number, bytes: number]>
}

/** Something that may go: so many bytes, of which the newest came then. */
export interface OldestPiece {
  readonly appendedMs: number
  readonly bytes: number
}

/** The oldest records are to go, of one tenant or of all, until so many bytes are gone. */
export interface Deletion {
  readonly bytes: number
  readonly tenant: number | undefined
  readonly reason: "budget" | "tenant"
}

export interface StorageAccount {
  /** For messages: "storage-sqlite". */
  readonly name: string
  /** Kept counters, no walk over files. Rejects where they cannot be read now. */
  measure(): Promise<StorageUse>
  /** What may go, oldest first, in some dozens of pieces that have about `bytesMax` together, or all that may go. */
  oldest(bytesMax: number, tenant: number | undefined): Promise<ReadonlyArray<OldestPiece>>
  /** Has what is oldest deleted; settled when it is gone, durably, or the store is being closed. */
  deleteOldest(deletion: Deletion): Promise<void>
}
