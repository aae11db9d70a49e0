/** What goes on beside everything else: its waits. */
import { Effect } from "effect"
import type { ClockShape } from "../../core/mod.ts"

/** How often it is asked whether the node serves, ms. */
const ASK_MS = 20

/** Waits `ms` milliseconds. */
export function sleep(clock: ClockShape, ms: number): Effect.Effect<void> {
  return Effect.callback<void>((resume) => {
    const timer = clock.after(ms, () => resume(Effect.void))
    return Effect.sync(() => timer.cancel())
  })
}

/** Waits until the node serves. */
export function untilServing(clock: ClockShape, isServing: () => boolean): Effect.Effect<void> {
  return Effect.gen(function* () {
    while (!isServing()) yield* sleep(clock, ASK_MS)
  })
}
