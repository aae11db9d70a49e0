/**
 * The log that a partition is to have when its topic has been moved: filled with the batches of the one in use, as they are.
 *
 * Invariant: it is nobody's to read or append to before it takes the place of the other one.
 */
import type { StorageBudgetShape } from "../budget/StorageBudget.ts"
import { BACKLOG, FAILED, type Partition } from "../log/Engines.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import type { OffsetReservation } from "../log/ReservedOffsets.ts"

export class FutureLog {
  readonly partition: Partition
  readonly reservation: OffsetReservation | undefined
  readonly #room: Pick<StorageBudgetShape, "refusal"> | undefined

  constructor(
    partition: Partition,
    reservation: OffsetReservation | undefined,
    room: Pick<StorageBudgetShape, "refusal"> | undefined
  ) {
    this.partition = partition
    this.reservation = reservation
    this.#room = room
  }

  /** One past the last record that was copied. */
  get endOffset(): number {
    return this.partition.logEndOffset
  }

  /** All that was copied is committed. */
  get isCommitted(): boolean {
    return this.partition.highWatermark === this.partition.logEndOffset
  }

  /** Forgets what was copied and goes on at `offset`, under a leader epoch of at least `leaderEpoch`. */
  begin(offset: number, leaderEpoch: number): Promise<void> {
    return this.partition.truncateFullyAndStartAt?.(offset, leaderEpoch) ?? Promise.reject(new Error("no copies"))
  }

  /** Appends the stored batch at `bytes[start, end)`, which is copied; 0, or why not: BACKLOG may be over soon. */
  copyUnsafe(bytes: Uint8Array, start: number, end: number): number {
    const full = this.#room?.refusal ?? 0
    if (full !== 0) return full
    const { partition, reservation } = this
    if (reservation !== undefined && !reservation.admits(endOffsetOf(bytes, start), partition.leaderEpoch))
      return BACKLOG
    return Math.min(0, partition.tryAppendAsFollowerUnsafe?.(bytes, start, end) ?? FAILED)
  }
}
