/**
 * Holds whoever reads or writes much to so many bytes a second, so that the disk is left to others.
 *
 * Invariant: over any time since the first piece no more than the rate, and one piece, has been let through.
 */
import type { ClockShape } from "./Clock.ts"

/** Settles when the next piece may be moved, after `bytes` were. */
export type Pace = (bytes: number) => Promise<void>

/** Waits shorter than this are put together. */
const WAIT_MS_MIN = 5

/** `bytesPerSecond` may be infinite; the loop is left to others between two pieces all the same. */
export function makePace(bytesPerSecond: number, clock: Pick<ClockShape, "monotonicMs" | "after" | "immediate">): Pace {
  const fromMs = clock.monotonicMs()
  let moved = 0
  return (bytes) => {
    moved += bytes
    const waitMs = fromMs + (moved / bytesPerSecond) * 1_000 - clock.monotonicMs()
    return new Promise((resolve) => {
      if (waitMs >= WAIT_MS_MIN) clock.after(waitMs, resolve)
      else clock.immediate(resolve)
    })
  }
}
