/** Waiting for what may never end: code of plugins that opens and closes. */
import { type Cause, Effect, Exit } from "effect"
import type { ClockShape } from "./Clock.ts"

/** How an effect that was waited for came out. */
export interface Outcomes {
  /** It failed, was interrupted or died. */
  readonly failed: (cause: Cause.Cause<unknown>) => void
  /** It had not ended in time. */
  readonly late: () => void
}

/**
 * Runs `effect` in a fiber of its own and waits for it `limitMs` at most; then it is interrupted and left to itself: what cannot be
 * interrupted (a finalizer) must not hold up whoever waits.
 */
export function atMost(
  effect: Effect.Effect<unknown, unknown>,
  limitMs: number,
  clock: ClockShape,
  { failed, late }: Outcomes
): Effect.Effect<void> {
  return Effect.callback<void>((resume) => {
    const fiber = Effect.runFork(effect)
    let isOver = false
    const timer = clock.after(limitMs, () => {
      isOver = true
      late()
      fiber.interruptUnsafe()
      resume(Effect.void)
    })
    fiber.addObserver((exit) => {
      if (isOver) return
      timer.cancel()
      if (Exit.isFailure(exit)) failed(exit.cause)
      resume(Effect.void)
    })
    return Effect.sync(() => {
      isOver = true
      timer.cancel()
      fiber.interruptUnsafe()
    })
  })
}
