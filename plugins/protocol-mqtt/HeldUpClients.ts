/**
 * Clients whose next PUBLISH storage has no room for: it is not taken, nothing behind it is read, and it is offered again in a moment. So what
 * storage does not keep up with waits where it costs nothing here: with its publisher, who gets no acknowledgement and is slowed by TCP.
 *
 * Invariants
 *  - Those that wait the longest come first. A look ends with the first that is held up again; that one comes last then.
 *  - While a client is not read its keep alive stands still (`Connection.timeout`).
 */
import type { ClockShape, Timer } from "../../core/mod.ts"

/** Between two looks. */
export const LOOK_INTERVAL_MS = 10

/** A client, as far as its being read goes. */
export interface HeldUpClient {
  readonly isClosed: boolean
  /** Offers again what was not taken, and reads on behind it. */
  readOn(): void
}

export class HeldUpClients {
  /** Times that a client was held up. */
  count = 0
  readonly #clock: ClockShape
  readonly #waiting = new Set<HeldUpClient>()
  #timer: Timer | undefined

  constructor(clock: ClockShape) {
    this.#clock = clock
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Its PUBLISH was not taken. */
  add(client: HeldUpClient): void {
    if (this.#waiting.has(client)) return
    this.count += 1
    this.#waiting.add(client)
    this.#timer ??= this.#clock.after(LOOK_INTERVAL_MS, () => this.#look())
  }

  #look(): void {
    for (const client of this.#waiting) {
      this.#waiting.delete(client)
      if (client.isClosed) continue
      client.readOn()
      if (this.#waiting.has(client)) break
    }
    this.#timer = this.#waiting.size === 0 ? undefined : this.#clock.after(LOOK_INTERVAL_MS, () => this.#look())
  }
}
