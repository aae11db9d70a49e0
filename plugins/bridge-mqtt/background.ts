/** What goes on beside everything else: its waits, and its end. */
import { Effect, type Scope } from "effect"
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

/** Runs it for the life of the scope. A defect ends the process, thrown where nothing catches it: a fiber that dies tells nobody. */
export function inBackground(running: Effect.Effect<void>, clock: ClockShape): Effect.Effect<void, never, Scope.Scope> {
  return running.pipe(
    Effect.catchDefect((defect) =>
      Effect.sync(() =>
        clock.immediate(() => {
          throw defect
        })
      )
    ),
    Effect.forkScoped,
    Effect.asVoid
  )
}
