/** Topics by their ids. A million take 20 bytes each, where a map takes 70. */
import { IdTable } from "../collections/IdTable.ts"
import { textHash } from "../collections/text-hash.ts"
import type { TopicInfo } from "./TopicInfo.ts"

export class TopicIds {
  readonly #table = new IdTable()
  readonly #topics: Array<TopicInfo | undefined> = []
  /** Places of topics that are gone. */
  readonly #free: Array<number> = []

  get size(): number {
    return this.#table.count
  }

  get(id: string): TopicInfo | undefined {
    return this.#topics[this.#placeOf(id, textHash(id))]
  }

  /** Adds a topic whose id is not there. */
  add(topic: TopicInfo): void {
    const place = this.#free.pop() ?? this.#topics.length
    this.#topics[place] = topic
    this.#table.add(textHash(topic.id) | 0, place)
  }

  /** False where it was not there. */
  delete(id: string): boolean {
    const hash = textHash(id)
    const place = this.#placeOf(id, hash)
    if (place < 0) return false
    this.#table.remove(hash | 0, place)
    this.#topics[place] = undefined
    this.#free.push(place)
    return true
  }

  /** All topics; they may come and go meanwhile. */
  *values(): Generator<TopicInfo, void> {
    for (let place = 0; place < this.#topics.length; place++) {
      const topic = this.#topics[place]
      if (topic !== undefined) yield topic
    }
  }

  #placeOf(id: string, hash: number): number {
    const segment = this.#table.segment(hash | 0)
    const { words } = segment
    for (let slot = segment.first(hash | 0); ; slot = segment.next(slot)) {
      const place = (words[2 * slot + 1] ?? 0) - 1
      if (place < 0) return -1
      if (words[2 * slot] === (hash | 0) && this.#topics[place]?.id === id) return place
    }
  }
}
