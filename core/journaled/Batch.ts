/** What was done to partitions and is not put away yet, and batches that are kept in memory. */
import type { Durability } from "../journal/Journal.ts"
import type { JournaledPartition } from "./JournaledPartition.ts"

/** A batch in memory: on its way to where it is stored, or kept for who reads it soon. */
export interface Batch {
  readonly partition: JournaledPartition
  readonly base: number
  readonly next: number
  /** The batch alone; never changed. */
  readonly bytes: Uint8Array
  /** The entry of the journal that holds it. */
  readonly index: number
  readonly durability: Durability
  readonly appendedAtMs: number
  /** The log was cut below it: it is put away, and cut there too. */
  isCut: boolean
  /** It counts in the size of its partition. */
  isCounted: boolean
  /** Its neighbours in the order of use, while it is kept for readers ({@link HotBatches}). */
  isHot: boolean
  older: Batch | undefined
  newer: Batch | undefined
}

/** What a batch is, when it comes. */
type NewBatch = Pick<Batch, "partition" | "base" | "next" | "bytes" | "index" | "durability" | "appendedAtMs">

export function makeBatch({ partition, base, next, bytes, index, durability, appendedAtMs }: NewBatch): Batch {
  return {
    partition,
    base,
    next,
    bytes,
    index,
    durability,
    appendedAtMs,
    isCut: false,
    isCounted: true,
    isHot: false,
    older: undefined,
    newer: undefined
  }
}

/** An operation that is no append. */
export interface Change {
  readonly partition: JournaledPartition
  readonly kind: "made" | "cut" | "deleted" | "removed" | "begun"
  readonly index: number
  readonly durability: Durability
  /** As it stands in the journal. */
  readonly body: Uint8Array
}

export type Operation = Batch | Change

export function isBatch(operation: Operation): operation is Batch {
  return "bytes" in operation
}
