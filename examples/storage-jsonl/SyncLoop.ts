/**
 * When a file is synced: one sync at a time, each for all that was written before it.
 *
 * Invariant: `work` never runs from within a call of the partition's, nor while the loop is held.
 */
import type { ClockShape, Timer } from "manifold"

export class SyncLoop {
  readonly #clock: ClockShape
  /** How long what is written waits for company, in ms; 0 = no longer than the running turn. */
  readonly #delayMs: number
  readonly #work: () => Promise<void>
  readonly #isDue: () => boolean
  #running: Promise<void> | undefined
  #timer: Timer | undefined
  #isHeld = false
  #isStopped = false

  /** `work` never rejects; afterwards `isDue` says whether there is more of it. */
  constructor(clock: ClockShape, delayMs: number, work: () => Promise<void>, isDue: () => boolean) {
    this.#clock = clock
    this.#delayMs = delayMs
    this.#work = work
    this.#isDue = isDue
  }

  /** There is something to sync. */
  soon(): void {
    if (this.#running !== undefined || this.#isHeld) return
    if (this.#delayMs === 0) this.now()
    else this.#timer ??= this.#clock.after(this.#delayMs, () => this.now())
  }

  now(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#running !== undefined || this.#isHeld || this.#isStopped) return
    // A microtask later: the appends of one turn share a sync, and nothing is told from within an append.
    this.#running = Promise.resolve()
      .then(this.#work)
      .then(() => {
        this.#running = undefined
        if (this.#isDue()) this.soon()
      })
  }

  /** Waits for what runs, and lets nothing run until {@link SyncLoop.release}. */
  async hold(): Promise<void> {
    this.#isHeld = true
    await this.#running
  }

  release(): void {
    this.#isHeld = false
    if (this.#isDue()) this.soon()
  }

  /** Waits for what runs; nothing runs after it. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#running
  }
}
