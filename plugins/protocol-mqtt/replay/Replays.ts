/** The replays of one session, by filter. */
import type { Replay } from "./Replay.ts"

export class Replays {
  readonly #byFilter = new Map<string, Replay>()

  get count(): number {
    return this.#byFilter.size
  }

  add(filter: string, replay: Replay): void {
    this.#byFilter.set(filter, replay)
  }

  /** A subscription is taken off, or becomes another one. */
  end(filter: string): void {
    this.#byFilter.get(filter)?.end()
    this.#byFilter.delete(filter)
  }

  endAll(): void {
    for (const replay of this.#byFilter.values()) replay.end()
    this.#byFilter.clear()
  }

  /** There may be room for more. */
  go(): void {
    for (const replay of this.#byFilter.values()) replay.go()
  }
}
