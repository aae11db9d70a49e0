/**
 * The requests under way: how many at a time, and for how long each.
 *
 * Invariants
 *  - At most `requestsMax` at a time, beyond what is exempt; each is answered within `timeoutMs`.
 *  - What works for a request is told to stop when the caller has gone, when its time is over and when all are stopped.
 */
import type { ClockShape } from "../../core/mod.ts"
import { Problem } from "./problems.ts"

/** One request while it is under way. */
export interface Work {
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** Whether it waits for its body. */
  isReading: boolean
}

export class UnderWay {
  readonly #clock: ClockShape
  readonly #requestsMax: number
  readonly #timeoutMs: number
  readonly #running = new Set<AbortController>()

  constructor(clock: ClockShape, requestsMax: number, timeoutMs: number) {
    this.#clock = clock
    this.#requestsMax = requestsMax
    this.#timeoutMs = timeoutMs
  }

  get count(): number {
    return this.#running.size
  }

  /** Runs `handle`; throws the problem where there are too many or it took too long. `isExempt` passes the bound. */
  async run(
    request: Request,
    isExempt: boolean,
    handle: (work: Work) => Response | Promise<Response>
  ): Promise<Response> {
    if (this.#running.size >= this.#requestsMax && !isExempt) {
      const detail = `${this.#requestsMax} requests are under way`
      throw new Problem("busy", detail, { headers: { "retry-after": "1" } })
    }
    const controller = new AbortController()
    const work: Work = { signal: controller.signal, isReading: false }
    const giveUp = (): void => controller.abort()
    this.#running.add(controller)
    request.signal.addEventListener("abort", giveUp, { once: true })
    let timer = { cancel: () => {} }
    const timedOut = new Promise<never>((_, reject) => {
      timer = this.#clock.after(this.#timeoutMs, () => {
        reject(new Problem(work.isReading ? "body-timeout" : "timed-out", `not done after ${this.#timeoutMs} ms`))
        controller.abort()
      })
    })
    try {
      return await Promise.race([handle(work), timedOut])
    } finally {
      timer.cancel()
      request.signal.removeEventListener("abort", giveUp)
      this.#running.delete(controller)
    }
  }

  /** Gives up everything that is under way. */
  stop(): void {
    for (const controller of this.#running) controller.abort()
  }
}
