/** How long and how deep a topic name or filter may be where that is less than MQTT and the router allow. */
import { TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX } from "../../core/mod.ts"
import type { Settings } from "./Settings.ts"

const SLASH = 0x2f

export class TopicBounds {
  /** Topics over the bounds that were refused. */
  refused = 0
  readonly #bytesMax: number
  readonly #levelsMax: number
  /** Whether anything is refused here that is not refused elsewhere. */
  readonly #isNarrow: boolean

  constructor({ topic_bytes_max, topic_levels_max }: Pick<Settings, "topic_bytes_max" | "topic_levels_max">) {
    this.#bytesMax = topic_bytes_max
    this.#levelsMax = topic_levels_max
    this.#isNarrow = topic_bytes_max < TOPIC_BYTES_MAX || topic_levels_max < TOPIC_LEVELS_MAX
  }

  /** Whether the name in `bytes[start, end)` is over a bound; one that is is counted. */
  isOver(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#isNarrow) return false
    let levels = 1
    for (let at = start; at < end; at++) if (bytes[at] === SLASH) levels += 1
    if (end - start <= this.#bytesMax && levels <= this.#levelsMax) return false
    this.refused += 1
    return true
  }

  /** The same of a text. */
  isTextOver(text: string): boolean {
    if (!this.#isNarrow) return false
    const bytes = new TextEncoder().encode(text)
    return this.isOver(bytes, 0, bytes.length)
  }
}
