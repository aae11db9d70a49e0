/** Pauses of many clients that all end at once when the soak is over. */
export class Recess {
  isOver = false
  readonly #resting = new Set<() => void>()

  /** Settled after so long, or when it is over. */
  pause(ms: number): Promise<void> {
    if (this.isOver) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#resting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.#resting.add(wake)
    })
  }

  end(): void {
    this.isOver = true
    for (const wake of [...this.#resting]) wake()
  }
}
