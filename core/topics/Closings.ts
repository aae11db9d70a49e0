/**
 * Partitions that are being closed without anybody waiting for it: told of where that fails, or takes too long. Plain, for partitions come
 * and go by the thousand a second, and nearly all are closed when the turn ends.
 */
import type { ClockShape, Timer } from "../platform/Clock.ts"

interface Closing {
  isOver: boolean
  timer: Timer | undefined
  readonly late: () => void
}

export class Closings {
  readonly #clock: ClockShape
  readonly #limitMs: number
  #begun: Array<Closing> = []

  /** What has not closed after `limitMs` is told of and left to itself. */
  constructor(clock: ClockShape, limitMs: number) {
    this.#clock = clock
    this.#limitMs = limitMs
  }

  /** `failed` or `late` is called at most once, and never from within this call. */
  add(closing: Promise<void>, failed: (error: unknown) => void, late: () => void): void {
    const own: Closing = { isOver: false, timer: undefined, late }
    const over = (): boolean => {
      if (own.isOver) return false
      own.isOver = true
      own.timer?.cancel()
      return true
    }
    closing.then(over, (error: unknown) => {
      if (over()) failed(error)
    })
    this.#begun.push(own)
    if (this.#begun.length === 1) this.#clock.immediate(() => this.#look())
  }

  /** Those that took longer than the turn get a timer. */
  #look(): void {
    const begun = this.#begun
    this.#begun = []
    for (const each of begun) {
      if (each.isOver) continue
      each.timer = this.#clock.after(this.#limitMs, () => {
        each.isOver = true
        each.late()
      })
    }
  }
}
