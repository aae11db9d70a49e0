/**
 * Keeps a journal within its bounds: asks consumers that hold segments back to put away what they have, and says when there is so much
 * that nothing more may be taken.
 */
import { HELD_UP_MS_MAX } from "../log/Engines.ts"
import type { ClockShape, Timer } from "../platform/Clock.ts"
import type { Consumers } from "./Consumers.ts"
import { BACKLOG_FACTOR } from "./disk-journal-parts.ts"
import type { Segments } from "./Segments.ts"

/** Between two times that consumers are asked while nothing is taken. */
const REMIND_MS = 1_000

export class Backlog {
  readonly #clock: ClockShape
  readonly #consumers: Consumers
  readonly #segments: Segments
  readonly #bytesMax: number
  readonly #remind: () => void
  #timer: Timer | undefined
  /** When there was more than may be, or last became less; undefined = there is not. */
  #sinceMs: number | undefined
  #bytes = 0

  /** `look` is called now and then while there is a backlog; it is to call {@link Backlog.isOver}. */
  constructor(clock: ClockShape, consumers: Consumers, segments: Segments, bytesMax: number, look: () => void) {
    this.#clock = clock
    this.#consumers = consumers
    this.#segments = segments
    this.#bytesMax = bytesMax
    this.#remind = () => {
      this.#timer = undefined
      consumers.remind()
      look()
    }
  }

  /** It has become less a moment ago, or was not there. */
  get givesWay(): boolean {
    return this.#sinceMs === undefined || this.#clock.monotonicMs() - this.#sinceMs < HELD_UP_MS_MAX
  }

  /** Whether nothing more may be taken, with `waitingBytes` that are in memory only. */
  isOver(waitingBytes: number): boolean {
    const { live, liveBytes } = this.#segments
    if (liveBytes > this.#bytesMax) this.#consumers.ask(live[0]?.lastIndex ?? 0, live.at(-1)?.number ?? 0)
    // What they could put away at once is gone by now.
    const { backlogBytes } = this.#segments
    const isOver = backlogBytes > BACKLOG_FACTOR * this.#bytesMax || waitingBytes > this.#bytesMax
    if (isOver) this.#timer ??= this.#clock.after(REMIND_MS, this.#remind)
    const bytes = backlogBytes + waitingBytes
    if (!isOver) this.#sinceMs = undefined
    else if (this.#sinceMs === undefined || bytes < this.#bytes) this.#sinceMs = this.#clock.monotonicMs()
    this.#bytes = bytes
    return isOver
  }

  close(): void {
    this.#timer?.cancel()
  }
}
