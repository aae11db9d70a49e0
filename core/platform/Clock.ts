/**
 * Time and the order of work in one event loop. Everything that waits, waits through this service, so that a simulated clock
 * and one seed replay a whole run.
 */
import { Context } from "effect"

/** A pending timer. Cancelling one that has fired does nothing. */
export interface Timer {
  cancel(): void
}

export interface ClockShape {
  /** Wall clock, milliseconds since 1970. May jump; never used for durations. */
  nowMs(): number
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number
  /** Runs `task` once, `delayMs` or a little more from now. */
  after(delayMs: number, task: () => void): Timer
  /** Runs `task` before the loop looks at the network again. */
  microtask(task: () => void): void
  /** Runs `task` after the network events that are already waiting. */
  immediate(task: () => void): void
}

export class Clock extends Context.Service<Clock, ClockShape>()("manifold/core/platform/Clock") {}
