/** Wakes whoever waits for a time of the wall clock. */
import type { WheelTask } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"

/** The wall clock may jump: it is looked at as often as this, ms. */
const LOOK_MS_MAX = 60_000

export class DueTimer {
  readonly #task: WheelTask
  readonly #broker: Broker
  /** When the wheel calls next, monotonic ms; 0 = not at all. */
  #nextLookMs = 0

  constructor(task: WheelTask, broker: Broker) {
    this.#task = task
    this.#broker = broker
  }

  /** Has the task called when that time (ms since 1970) has come, or earlier: who finds nothing due asks again. */
  lookAt(dueAtMs: number): void {
    const { wheel, clock } = this.#broker.services
    const inMs = Math.min(Math.max(0, dueAtMs - clock.nowMs()), LOOK_MS_MAX)
    const lookMs = clock.monotonicMs() + inMs + 1
    if (this.#nextLookMs !== 0 && this.#nextLookMs <= lookMs) return
    this.#nextLookMs = lookMs
    wheel.set(this.#task, lookMs)
  }

  /** The task was called. */
  called(): void {
    this.#nextLookMs = 0
  }
}
