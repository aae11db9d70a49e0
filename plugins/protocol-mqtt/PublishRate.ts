/** How fast one client may publish: over its rate its connection is not read until it is below it, and nothing is lost. */
import type { Settings } from "./Settings.ts"
import { TokenBucket } from "./TokenBucket.ts"

export class PublishRate {
  readonly #messages: TokenBucket | undefined
  readonly #bytes: TokenBucket | undefined
  #heldUntilMs = 0

  private constructor(messages: number, bytes: number) {
    this.#messages = messages === 0 ? undefined : new TokenBucket(messages)
    this.#bytes = bytes === 0 ? undefined : new TokenBucket(bytes)
  }

  /** Undefined where there is no limit: most brokers have none, and their connections need not ask. */
  static of(settings: Pick<Settings, "publish_rate_max" | "publish_bytes_rate_max">): PublishRate | undefined {
    const { publish_rate_max: messages, publish_bytes_rate_max: bytes } = settings
    return messages + bytes === 0 ? undefined : new PublishRate(messages, bytes)
  }

  /** Counts a PUBLISH of `size` bytes; milliseconds for which nothing more is to be read. `nowMs` is monotonic. */
  spend(size: number, nowMs: number): number {
    const waitMs = Math.max(this.#messages?.spend(1, nowMs) ?? 0, this.#bytes?.spend(size, nowMs) ?? 0)
    this.#heldUntilMs = nowMs + waitMs
    return waitMs
  }

  /** Whether nothing is to be read yet, whatever else lets reading go on. */
  isHeld(nowMs: number): boolean {
    return nowMs < this.#heldUntilMs
  }
}
