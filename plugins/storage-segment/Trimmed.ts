/** What went because partitions keep nothing older, or no more: counted, and told once a minute at most. */
import type { ClockShape, LogShape } from "../../core/mod.ts"
import type { PlannedPartition } from "./CheckpointPlan.ts"

const TOLD_EVERY_MS = 60_000

export class Trimmed {
  /** Bytes since the start, by why they went. */
  forAge = 0
  forSize = 0
  readonly #clock: ClockShape
  readonly #log: LogShape
  #told = { forAge: 0, forSize: 0, atMs: Number.NEGATIVE_INFINITY }

  constructor(clock: ClockShape, log: LogShape) {
    this.#clock = clock
    this.#log = log
  }

  /** A checkpoint has let go of what its plans say. */
  add(planned: Iterable<PlannedPartition>): void {
    for (const { trimmedForAge, trimmedForSize } of planned) {
      this.forAge += trimmedForAge
      this.forSize += trimmedForSize
    }
    const { forAge, forSize } = this
    const atMs = this.#clock.monotonicMs()
    const isNew = forAge > this.#told.forAge || forSize > this.#told.forSize
    if (!isNew || atMs - this.#told.atMs < TOLD_EVERY_MS) return
    const fields = { for_age_bytes: forAge - this.#told.forAge, for_size_bytes: forSize - this.#told.forSize }
    this.#told = { forAge, forSize, atMs }
    this.#log.info("storage-segment", "records went that their topics keep no longer", fields)
  }
}
