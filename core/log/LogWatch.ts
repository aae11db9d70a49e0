/** One waiting for a log to grow past an offset, or to be another one: told once, then over. */
import type { PartitionLog, PartitionWaiter } from "./PartitionLog.ts"

export class LogWatch implements PartitionWaiter {
  readonly log: PartitionLog
  readonly offset: number
  readonly advanced: () => void
  #isOver = false
  constructor(log: PartitionLog, offset: number, advanced: () => void) {
    this.log = log
    this.offset = offset
    this.advanced = advanced
  }
  partitionAdvanced(log: PartitionLog): void {
    if (this.#isOver || log.highWatermark() <= this.offset) return
    this.partitionClosed()
  }
  /** Whoever waits looks again, and finds the log gone, or under another epoch. */
  partitionClosed(): void {
    if (this.#isOver) return
    this.cancel()
    this.advanced()
  }
  cancel(): void {
    this.#isOver = true
    this.log.unwatch(this)
  }
}
