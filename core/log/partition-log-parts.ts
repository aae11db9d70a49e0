/** What a partition's log is given, and whom it tells. */
import type { StorageBudgetShape } from "../budget/StorageBudget.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TurnShape } from "../platform/Turn.ts"
import type { ShardProducers } from "../producers/ShardProducers.ts"
import type { BatchCompressor } from "./BatchCompressor.ts"
import type { PartitionLog } from "./PartitionLog.ts"
import type { OffsetReservation } from "./ReservedOffsets.ts"

/** Told when records became readable, and when none will be any more, or none under this leader epoch. */
export interface PartitionWaiter {
  partitionAdvanced(log: PartitionLog): void
  partitionClosed?(): void
}

export interface PartitionLogParts {
  readonly clock: ClockShape
  readonly turn: TurnShape
  /** See {@link Engine.isJournaled}. */
  readonly isJournaled?: boolean
  /** Counts for others, too; one of its own where it is left out. Used where the topic is compressed. */
  readonly compressor?: BatchCompressor
  /** Of a log in memory whose offsets never repeat: it gives out no others. */
  readonly reservation?: OffsetReservation | undefined
  /** Whether there is room for more, of a log that is kept on disk. Absent = always. */
  readonly room?: Pick<StorageBudgetShape, "refusal"> | undefined
  /** Absent = sequences of idempotent producers are not looked at. */
  readonly producers?: ShardProducers | undefined
}
