/** The last so many distinct values that were added, for questions like "was it here lately?". */
export class RecentSet<T> {
  readonly #values = new Set<T>()
  readonly #max: number

  /** `max`: values that are remembered, at least 1. */
  constructor(max: number) {
    this.#max = max
  }

  has(value: T): boolean {
    return this.#values.has(value)
  }

  /** Remembers a value as the last one; the oldest is forgotten where there are too many. */
  add(value: T): void {
    this.#values.delete(value)
    this.#values.add(value)
    if (this.#values.size <= this.#max) return
    for (const oldest of this.#values) {
      this.#values.delete(oldest)
      return
    }
  }
}
