/**
 * How much of what was appended may wait in memory until it is put away.
 *
 * Two bounds. At the first one who can wait does: appends that are asked for ahead ({@link BacklogRoom.admits}) stop, until a checkpoint
 * has made room again. Appends that come all the same are refused at the second one.
 *
 * Invariants
 *  - What waits never takes more than the second bound and one batch.
 *  - Nobody is made to wait for longer than {@link HELD_UP_MS_MAX} without a checkpoint that was put away meanwhile.
 */
import type { JournalShape } from "../journal/Journal.ts"
import { HELD_UP_MS_MAX } from "../log/Engines.ts"

/** What a batch that is not put away takes beside its bytes, about. */
export const BATCH_BYTES = 200
/** The second bound lies this share of the first one above it: for what is gathered when the first one is reached. */
const SLACK = 0.25
/** Who waits goes on when so much of the first bound is free again. */
const FREE = 0.25

export interface BacklogRoomParts {
  readonly bytesMax: number
  readonly journal: Pick<JournalShape, "refusal" | "isHeldUp" | "nextIndex">
  readonly monotonicMs: () => number
  /** More has to be put away before more is taken. */
  readonly full: () => void
}

export class BacklogRoom {
  /** Bytes that wait to be put away, about. */
  bytes = 0
  readonly #parts: BacklogRoomParts
  /** Bytes that were admitted in the present turn and may not have been appended yet; over, where some have. */
  #admitted = 0
  /** The entry of that turn. */
  #admittedIn = 0
  /** When the bound was reached, or what waits last became less; undefined while there is room. */
  #fullSinceMs: number | undefined

  constructor(parts: BacklogRoomParts) {
    this.#parts = parts
  }

  /** No more is taken from anybody. */
  get isOverfull(): boolean {
    return this.#isAbove(this.#parts.bytesMax * (1 + SLACK))
  }

  /** No more is taken from who tries again. */
  get isFull(): boolean {
    return this.#isAbove(this.#parts.bytesMax)
  }

  /** See {@link Partition.admits}. */
  admits(sizeBytes: number): boolean {
    const { journal, bytesMax, monotonicMs, full } = this.#parts
    if (journal.refusal !== 0) return journal.isHeldUp !== true
    if (journal.nextIndex !== this.#admittedIn) {
      this.#admittedIn = journal.nextIndex
      this.#admitted = 0
    }
    const before = this.bytes + this.#admitted
    const more = sizeBytes + BATCH_BYTES
    if (this.#fullSinceMs === undefined) {
      // One that is larger than all there is has it for itself.
      if (before === 0 || before + more <= bytesMax) {
        this.#admitted += more
        return true
      }
      this.#fullSinceMs = monotonicMs()
    }
    full()
    return monotonicMs() - this.#fullSinceMs >= HELD_UP_MS_MAX
  }

  /** Less waits than before. */
  madeRoom(): void {
    this.#admitted = 0
    if (this.#fullSinceMs === undefined) return
    const isFree = this.bytes <= this.#parts.bytesMax * (1 - FREE)
    this.#fullSinceMs = isFree ? undefined : this.#parts.monotonicMs()
  }

  #isAbove(bytes: number): boolean {
    if (this.bytes <= bytes) return false
    this.#parts.full()
    return true
  }
}
