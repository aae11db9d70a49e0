/**
 * Topic names of one direction: which rule a message comes under, and what it is called on the other side.
 *
 * As mosquitto's bridges have it: a rule is a filter without prefixes; the prefix of the side that a message comes from is in front of the
 * filter and is taken off, that of the other side is put in its place.
 */
import { matches, TOPIC_BYTES_MAX } from "../../core/mod.ts"

export interface TopicRule {
  readonly filter: string
  readonly qos: number
  /** Prefixes on the side that messages come from, and on the one they go to. */
  readonly from: string
  readonly to: string
}

/** Names that are kept once they were worked out. */
const NAMES_MAX = 10_000
/** Names of one message's topic that are longer are worked out each time. */
const NAME_KEPT_MAX = 512
const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

interface Mapped {
  readonly topic: Uint8Array
  readonly qos: number
}
/** No rule is for it, or there is no such name. */
const NONE: Mapped = { topic: new Uint8Array(0), qos: 0 }

export class TopicMap {
  /** The highest QoS of the rule that the last name came under. */
  qos = 0
  readonly #rules: ReadonlyArray<TopicRule>
  readonly #names = new Map<string, Mapped>()

  constructor(rules: ReadonlyArray<TopicRule>) {
    this.#rules = rules
  }

  /** What a topic name is on the other side, by the first rule for it; undefined where there is none. */
  map(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const name = decoder.decode(bytes.subarray(start, end))
    const known = this.#names.get(name)
    const mapped = known ?? this.#mapName(name)
    if (known === undefined && name.length <= NAME_KEPT_MAX) {
      if (this.#names.size >= NAMES_MAX) this.#names.clear()
      this.#names.set(name, mapped)
    }
    this.qos = mapped.qos
    return mapped === NONE ? undefined : mapped.topic
  }

  #mapName(name: string): Mapped {
    for (const { filter, qos, from, to } of this.#rules) {
      if (!matches(from + filter, name)) continue
      // "a/#" is for "a", too: the prefix "a/" without its end.
      const other = name.startsWith(from) ? to + name.slice(from.length) : to.replace(/\/$/, "")
      const topic = encoder.encode(other)
      return topic.length > TOPIC_BYTES_MAX || topic.length === 0 ? NONE : { topic, qos }
    }
    return NONE
  }
}
