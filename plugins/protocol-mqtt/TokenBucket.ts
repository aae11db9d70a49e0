/**
 * A rate that may be used up in bursts of one second: tokens come evenly and are spent at will.
 *
 * Invariant: from any moment on at most the rate times the time, and a second's worth, is spent, and the last thing that was begun.
 */
export class TokenBucket {
  readonly #perSecond: number
  #tokens: number
  /** Monotonic ms; 0 = it was never asked. */
  #atMs = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#tokens = perSecond
  }

  /** Takes `count` where there is a token, and goes below zero for it; else the milliseconds until there is one. */
  take(count: number, nowMs: number): number {
    const wait = this.waitMs(nowMs)
    if (wait === 0) this.#tokens -= count
    return wait
  }

  /** Spends `count` that cannot be put off; the milliseconds until there is a token again, 0 = there is one. */
  spend(count: number, nowMs: number): number {
    this.#fill(nowMs)
    this.#tokens -= count
    return this.waitMs(nowMs)
  }

  /** Milliseconds until there is a token; 0 = there is one. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#tokens > 0 ? 0 : Math.max(1, Math.ceil((-this.#tokens / this.#perSecond) * 1_000))
  }

  #fill(nowMs: number): void {
    if (this.#atMs !== 0) {
      const come = ((nowMs - this.#atMs) / 1_000) * this.#perSecond
      this.#tokens = Math.min(this.#perSecond, this.#tokens + come)
    }
    this.#atMs = nowMs
  }
}
