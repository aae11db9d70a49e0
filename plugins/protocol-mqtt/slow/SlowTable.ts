/**
 * The slowest of all deliveries, by client and topic name: how long a message took, at most, and where.
 *
 * Invariants
 *  - There are at most `top` entries; one that is slower takes the place of the least slow.
 *  - An entry that nothing slow was added to for a while is gone.
 */

/** One delivery, in ms. */
export interface Delay {
  /** From the broker's receipt of the message to the client's last acknowledgement, or to the write of QoS 0. */
  readonly wholeMs: number
  /** Of it, until the message was handed to the client's connection. */
  readonly insideMs: number
}

export interface SlowEntry extends Delay {
  readonly clientIdentifier: string
  readonly topic: string
  /** Deliveries above the threshold since the entry is there. */
  count: number
  /** Of the last one, wall clock, ms. */
  lastAtMs: number
}

export class SlowTable {
  /** Deliveries above the threshold. */
  slowCount = 0
  readonly #top: number
  readonly #keptMs: number
  readonly #entries = new Map<string, SlowEntry>()
  /** The least slow of a full table; 0 where there is room. */
  #floorMs = 0

  constructor(top: number, keptMs: number) {
    this.#top = top
    this.#keptMs = keptMs
  }

  /** Takes up a delivery that was slow. */
  note(clientIdentifier: string, topic: string, delay: Delay, nowMs: number): void {
    this.slowCount += 1
    const key = `${clientIdentifier}\0${topic}`
    const known = this.#entries.get(key)
    if (known !== undefined) {
      const slower = delay.wholeMs > known.wholeMs ? delay : known
      const { wholeMs, insideMs } = slower
      this.#entries.set(key, { ...known, wholeMs, insideMs, count: known.count + 1, lastAtMs: nowMs })
      if (known.wholeMs === this.#floorMs) this.#findFloor()
      return
    }
    if (delay.wholeMs <= this.#floorMs) return
    if (this.#entries.size >= this.#top) this.#makeRoom(nowMs)
    this.#entries.set(key, { clientIdentifier, topic, ...delay, count: 1, lastAtMs: nowMs })
    this.#findFloor()
  }

  /** The slowest first. */
  list(nowMs: number): ReadonlyArray<SlowEntry> {
    this.#sweep(nowMs)
    return [...this.#entries.values()].toSorted((one, other) => other.wholeMs - one.wholeMs)
  }

  clear(): void {
    this.#entries.clear()
    this.#floorMs = 0
  }

  #makeRoom(nowMs: number): void {
    this.#sweep(nowMs)
    if (this.#entries.size < this.#top) return
    for (const [key, { wholeMs }] of this.#entries) {
      if (wholeMs > this.#floorMs) continue
      this.#entries.delete(key)
      return
    }
  }

  #sweep(nowMs: number): void {
    for (const [key, { lastAtMs }] of this.#entries) if (lastAtMs + this.#keptMs <= nowMs) this.#entries.delete(key)
    this.#findFloor()
  }

  #findFloor(): void {
    this.#floorMs = 0
    if (this.#entries.size < this.#top) return
    this.#floorMs = Number.POSITIVE_INFINITY
    for (const { wholeMs } of this.#entries.values()) this.#floorMs = Math.min(this.#floorMs, wholeMs)
  }
}
