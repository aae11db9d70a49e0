/** What a partition is built from: core's services, and bounds from the plugin's options. */
import type { ClockShape, FilesShape, LogShape } from "manifold"

export interface PartitionParts {
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  /** Bytes of the newest batches that are kept in memory. */
  readonly tailBytesMax: number
  /** Bytes that may wait for a sync in mode persistent; beyond them batches are refused. */
  readonly unsyncedBytesMax: number
  /** A file is not rewritten to save less than this. */
  readonly deadBytesMin: number
  /** How long mode hybrid lets what was written wait for a sync, in ms. */
  readonly flushMs: number
}
