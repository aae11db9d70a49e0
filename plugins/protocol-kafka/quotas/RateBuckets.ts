/**
 * How much of their byte rates clients have used: a bucket for each, which fills at the rate and holds what it brings in
 * {@link WINDOW_MS}, as much as Kafka lets a client take at once (quota.window.num times quota.window.size.seconds).
 *
 * Invariant: over any long time a client gets its rate; what it took too much it waits for. There are at most {@link BUCKETS_MAX}.
 */

/** What may be taken at once: as much as the rate brings in so many milliseconds. */
export const WINDOW_MS = 10_000
/** A client waits at most so long at once, as long as clients wait for an answer; what is left it waits for the next time. */
export const THROTTLE_MS_MAX = 30_000
/** The one used longest ago is forgotten, and is full when it comes again. */
export const BUCKETS_MAX = 10_000

interface Bucket {
  /** Bytes; negative = they were taken too early. */
  tokens: number
  filledMs: number
}

export class RateBuckets {
  readonly #buckets = new Map<string, Bucket>()

  get size(): number {
    return this.#buckets.size
  }

  /** Takes `bytes`; returns the milliseconds after which more may be taken, 0 = at once. */
  take(name: string, bytesPerSecond: number, bytes: number, nowMs: number): number {
    const capacity = (bytesPerSecond * WINDOW_MS) / 1_000
    const bucket = this.#buckets.get(name) ?? { tokens: capacity, filledMs: nowMs }
    // Behind all others: the first is the one used longest ago.
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    const filled = bucket.tokens + ((nowMs - bucket.filledMs) * bytesPerSecond) / 1_000
    bucket.tokens = Math.min(filled, capacity) - bytes
    bucket.filledMs = nowMs
    if (this.#buckets.size > BUCKETS_MAX) {
      const oldest = this.#buckets.keys().next().value
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    if (bucket.tokens >= 0) return 0
    return Math.min(THROTTLE_MS_MAX, Math.ceil((-bucket.tokens / bytesPerSecond) * 1_000))
  }
}
