/** What sessions of a shard have asked groups, and who is told of the answer. */
export class GroupAsks {
  readonly #asks = new Map<number, (outcome: number) => void>()
  #last = 0

  /** The number of a question; 0 = nobody asks. */
  add(answered: ((outcome: number) => void) | undefined): number {
    if (answered === undefined) return 0
    this.#last += 1
    this.#asks.set(this.#last, answered)
    return this.#last
  }

  answer(ask: number, outcome: number): void {
    const answered = this.#asks.get(ask)
    this.#asks.delete(ask)
    answered?.(outcome)
  }
}
