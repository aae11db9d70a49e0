/**
 * Another client of the broker while something big goes on: one QoS 1 pair on a fixed schedule, from the first moment to the last.
 *
 * Invariants
 *  - Message k is due at start + k / rate; its latency counts from then to its arrival, however late it could leave (no coordinated
 *    omission). The driver's own share of that is its lateness.
 *  - What has not arrived when a window is read counts up to that moment.
 */
import { MessageRun, type RunOptions } from "./message-run.ts"
import { type Percentiles, percentilesOf, type Verdict } from "./report.ts"

/** Nothing here lasts longer; beyond it the schedule ends. */
const SECONDS_MAX = 900
const NOT_THERE = -1

export class Probe {
  readonly #messages: MessageRun
  readonly #intervalMs: number
  /** Moment of arrival and of departure by sequence number. */
  readonly #arrivedMs: Float64Array
  readonly #leftMs: Float64Array
  #startMs = 0
  #next = 0
  #isOver = false

  private constructor(messages: MessageRun, rate: number) {
    this.#messages = messages
    this.#intervalMs = 1000 / rate
    this.#arrivedMs = new Float64Array(rate * SECONDS_MAX).fill(NOT_THERE)
    this.#leftMs = new Float64Array(rate * SECONDS_MAX)
    messages.run.onDelivery = (_publisher, sequence, atMs) => {
      this.#arrivedMs[sequence] = atMs
    }
  }

  /** Connects the pair and begins its schedule of `rate` messages a second. */
  static async open(name: string, options: RunOptions, rate: number): Promise<Probe> {
    const topology = { name, qos: 1, topics: "pair", publishers: 1, subscribers: 1, window: 1 } as const
    const probe = new Probe(new MessageRun(topology, options), rate)
    await probe.#messages.open()
    probe.#startMs = performance.now()
    probe.#turn()
    return probe
  }

  /** Latencies of the messages that were due in [fromMs, toMs) of one of `windows` (performance.now()). */
  latency(windows: readonly Window[]): Percentiles {
    const now = performance.now()
    return this.#over(windows, (sequence, dueMs) => {
      const arrivedMs = this.#arrivedMs[sequence] as number
      return (arrivedMs === NOT_THERE ? now : arrivedMs) - dueMs
    })
  }

  /** How late the driver itself sent them. */
  lateness(windows: readonly Window[]): Percentiles {
    const now = performance.now()
    return this.#over(
      windows,
      (sequence, dueMs) => ((sequence < this.#next ? this.#leftMs[sequence] : now) as number) - dueMs
    )
  }

  /** Ends the schedule, waits for what is on its way, and says how exact it was. */
  close(): Promise<Verdict> {
    this.#isOver = true
    return this.#messages.close()
  }

  #over(windows: readonly Window[], value: (sequence: number, dueMs: number) => number): Percentiles {
    const values: number[] = []
    for (const { fromMs, toMs } of windows) {
      const first = Math.max(0, Math.ceil((fromMs - this.#startMs) / this.#intervalMs))
      for (let sequence = first; ; sequence++) {
        const dueMs = this.#startMs + sequence * this.#intervalMs
        if (dueMs >= toMs || sequence >= this.#arrivedMs.length) break
        values.push(value(sequence, dueMs))
      }
    }
    return percentilesOf(Float64Array.from(values), values.length)
  }

  #turn(): void {
    if (this.#isOver) return
    const publisher = this.#messages.publishers[0]
    for (let now = performance.now(); this.#startMs + this.#next * this.#intervalMs <= now; now = performance.now()) {
      if (publisher === undefined || publisher.isBroken || publisher.blocked) break
      if (this.#next === this.#arrivedMs.length) return
      this.#leftMs[this.#next++] = now
      publisher.send(1)
    }
    setImmediate(() => this.#turn())
  }
}

/** Two moments by performance.now(), the later one excluded. */
export interface Window {
  readonly fromMs: number
  readonly toMs: number
}
