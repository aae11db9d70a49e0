/** What one publisher has sent to one subscriber, both connected all the time: each message once, in order, and how long it took. */
import type { Faults } from "./Faults.ts"

export class Ledger {
  readonly #name: string
  readonly #faults: Faults
  readonly #latencies: Array<number>
  #sent = 0
  #next = 0

  /** How long messages took goes to `latencies`, ms. */
  constructor(name: string, faults: Faults, latencies: Array<number>) {
    this.#name = name
    this.#faults = faults
    this.#latencies = latencies
  }

  /** The payload of the next message. */
  send(nowMs: number): string {
    this.#sent += 1
    return `${this.#sent - 1} ${nowMs}`
  }

  received(payload: string, nowMs: number): void {
    const [number = -1, sentMs = 0] = payload.split(" ").map(Number)
    if (number < this.#next) this.#faults.add("a message came again, or too late", `${this.#name}, ${number}`)
    else if (number > this.#next) {
      this.#faults.add("messages are missing", `${this.#name}, ${this.#next} to ${number - 1}`)
    }
    this.#next = Math.max(this.#next, number + 1)
    this.#latencies.push(nowMs - sentMs)
  }

  /** Whether all has come that was sent. */
  get isComplete(): boolean {
    return this.#next === this.#sent
  }

  /** No more comes: what has not come is lost. */
  close(): void {
    if (!this.isComplete) {
      this.#faults.add("messages were lost", `${this.#name}, ${this.#next} to ${this.#sent - 1}`)
    }
  }
}

/** The value below which `share` of the numbers lie. */
export function quantile(numbers: ReadonlyArray<number>, share: number): number {
  const sorted = Float64Array.from(numbers).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
