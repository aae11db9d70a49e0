/**
 * How much a shard compresses in one turn of its loop: what comes beyond stays plain, so that nobody waits long for it, however much
 * comes at once and on however many topics.
 *
 * Invariant: in bytes, not in time, so that the same messages give the same batches.
 */
import type { TurnShape, TurnTask } from "../platform/Turn.ts"

/** Bytes of records that one turn compresses: some 2 ms of JSON. */
export const TURN_BYTES_MAX = 1_048_576
/** What a call costs beside its bytes, in bytes: one for each of many small batches is dearer than what is in them. */
export const CALL_BYTES = 4_096

export class CompressionBudget implements TurnTask {
  readonly #turn: Pick<TurnShape, "deferFlush">
  #spent = 0
  #isDue = false

  constructor(turn: Pick<TurnShape, "deferFlush">) {
    this.#turn = turn
  }

  /** Whether `bytes` more are within this turn's bound; they count where they are. */
  take(bytes: number): boolean {
    const spent = this.#spent + bytes + CALL_BYTES
    if (spent > TURN_BYTES_MAX) return false
    this.#spent = spent
    // When no work of the turn is left: all that it seals is sealed then.
    if (!this.#isDue) {
      this.#isDue = true
      this.#turn.deferFlush(this)
    }
    return true
  }

  endTurn(): void {
    this.#isDue = false
    this.#spent = 0
  }
}
