/** What a partition asks of those around it. */
import type { JournalShape } from "../journal/Journal.ts"
import type { BacklogRoom } from "./BacklogRoom.ts"
import type { Batch } from "./Batch.ts"
import type { HotBatches } from "./HotBatches.ts"
import type { JournaledPartition } from "./JournaledPartition.ts"
import type { Shelf } from "./Shelf.ts"

export interface PartitionHost {
  readonly journal: JournalShape
  readonly shelf: Shelf
  readonly hot: HotBatches
  /** For what waits to be put away. */
  readonly room: BacklogRoom
  /** The partition has other bounds: they are applied soon. */
  relimited(partition: JournaledPartition): void
  /** Submits a batch, which has its offset and epoch; `bytes` are the host's from then on. */
  append(partition: JournaledPartition, bytes: Uint8Array, base: number, next: number): Batch
  /**
   * Submits a change: the log starts, or ends, at `offset`; a cut raises the partition's leader epoch. Settled when it is committed;
   * throws, or rejects with, `StorageError`.
   */
  change(partition: JournaledPartition, kind: "cut" | "deleted", offset: number): Promise<void>
  /** Submits that the log holds nothing and goes on at `offset` under that leader epoch at least; settled as a change is. */
  begin(partition: JournaledPartition, offset: number, leaderEpoch: number): Promise<void>
}
