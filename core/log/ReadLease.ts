/**
 * A reading whose memory goes back to who gave it: the reader says when nothing of it is used any more, and it can be written over then.
 *
 * Who reads without a lease gets memory that never changes and lasts as long as anybody refers to it; it is made anew for each reading, which
 * for large streams costs as much as the reading itself.
 *
 * Invariant: what is held by a lease stays as it is until its end. A lease that nobody ends keeps nothing alive: its memory is not used again.
 */

/** Memory that counts its users. */
export interface LeasedMemory {
  /** One user less. */
  release(): void
}

export class ReadLease {
  #held: Array<LeasedMemory> = []
  #isOver = false

  /** Takes over one use of some memory; gives it back at once where the reader has gone. */
  hold(memory: LeasedMemory): void {
    if (this.#isOver) memory.release()
    else this.#held.push(memory)
  }

  /** Nothing that was read is used any more. */
  end(): void {
    this.#isOver = true
    const held = this.#held
    this.#held = []
    for (const memory of held) memory.release()
  }
}
