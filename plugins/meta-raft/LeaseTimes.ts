/**
 * When leases end, by the leader's clock. What follows from it is a command like any other, so that the state knows no time.
 *
 * Invariant: a lease never ends before its time is over since it was granted, kept alive or, after a restart, found again.
 */
import type { ClockShape, Timer } from "../../core/mod.ts"

/** An ending that could not be stored is tried again after so long. */
const AGAIN_MS = 1_000
/** The longest that a timer is set for; it is set again then. */
const TIMER_MS_MAX = 86_400_000
/** Leases that one command ends, at most. */
export const EXPIRED_MAX = 1_000

export class LeaseTimes {
  readonly #clock: ClockShape
  readonly #ended: (leases: ReadonlyArray<number>) => void
  readonly #endsAtMs = new Map<number, number>()
  #timer: Timer | undefined
  #timerAtMs = Number.POSITIVE_INFINITY

  /** `ended` is called with leases whose time is over; again later with those that were not forgotten. */
  constructor(clock: ClockShape, ended: (leases: ReadonlyArray<number>) => void) {
    this.#clock = clock
    this.#ended = ended
  }

  /** A lease runs anew, `ttlMs` from now. */
  renew(lease: number, ttlMs: number): void {
    const endsAtMs = this.#clock.monotonicMs() + ttlMs
    this.#endsAtMs.set(lease, endsAtMs)
    this.#arm(endsAtMs)
  }

  /** The lease has ended. */
  forget(lease: number): void {
    this.#endsAtMs.delete(lease)
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAtMs = Number.POSITIVE_INFINITY
    this.#endsAtMs.clear()
  }

  #arm(atMs: number): void {
    if (atMs >= this.#timerAtMs) return
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, atMs - this.#clock.monotonicMs()))
    this.#timer = this.#clock.after(delayMs, () => this.#look())
  }

  #look(): void {
    const now = this.#clock.monotonicMs()
    this.#timer = undefined
    this.#timerAtMs = Number.POSITIVE_INFINITY
    const due: Array<number> = []
    let next = Number.POSITIVE_INFINITY
    for (const [lease, endsAtMs] of this.#endsAtMs) {
      if (endsAtMs <= now && due.length < EXPIRED_MAX) {
        due.push(lease)
        next = Math.min(next, now + AGAIN_MS)
      } else next = Math.min(next, Math.max(endsAtMs, now))
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next)
    if (due.length > 0) this.#ended(due)
  }
}
