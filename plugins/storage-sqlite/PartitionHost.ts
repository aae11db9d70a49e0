/** What a partition asks of those around it. */
import type { JournalShape } from "../../core/mod.ts"
import type { Batch } from "./Batch.ts"
import type { HotBatches } from "./HotBatches.ts"
import type { SqlitePartition } from "./SqlitePartition.ts"
import type { StoreThread } from "./StoreThread.ts"

export interface PartitionHost {
  readonly journal: JournalShape
  readonly thread: StoreThread
  readonly hot: HotBatches
  /** Too much waits to be put away. */
  readonly isFull: boolean
  /** Submits a batch, which has its offset and epoch; `bytes` are the host's from then on. */
  append(partition: SqlitePartition, bytes: Uint8Array, base: number, next: number): Batch
  /**
   * Submits a change: the log starts, or ends, at `offset`; a cut raises the partition's leader epoch. Settled when it is committed;
   * throws, or rejects with, `StorageError`.
   */
  change(partition: SqlitePartition, kind: "cut" | "deleted", offset: number): Promise<void>
  /** The base offset of the first stored batch that ends behind `offset` and begins below `end`. Reads on the loop. */
  baseBehind(id: number, offset: number, end: number): number | undefined
}
