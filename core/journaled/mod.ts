/** What engines have in common whose partitions are fed from the journal: an engine brings the shelf and puts checkpoints there. */

export { type Batch, type Change, isBatch, type Operation } from "./Batch.ts"
export { type Checkpoint, Checkpoints, type CheckpointTarget } from "./Checkpoints.ts"
export { type EpochState, Epochs } from "./Epochs.ts"
export { HotBatches } from "./HotBatches.ts"
export { JournaledPartition } from "./JournaledPartition.ts"
export { JournaledPartitions } from "./JournaledPartitions.ts"
export { makeJournaledEngine } from "./make-engine.ts"
export {
  addRange,
  type DeletedRange,
  type RetentionReason,
  RetentionTally,
  registerRetention
} from "./RetentionTally.ts"
export type { BatchBounds, PartitionFigures, PartitionRow, Shelf, TrimTask } from "./Shelf.ts"
export { writePiece } from "./write-piece.ts"
