/** Who has subscriptions: subscribers as numbers, which are used again. */
import { assert } from "../assert.ts"
import { PagedWords } from "../collections/PagedWords.ts"
import type { Delivery, Subscriber } from "./Delivery.ts"

/** A delivery by the options of the subscription that it is for. */
interface Known {
  readonly options: number
  readonly delivery: Delivery
}

export class Subscribers {
  readonly #numbers = new Map<Subscriber, number>()
  readonly #subscribers: Array<Subscriber | undefined> = []
  /** By which name it publishes itself, where one of its subscriptions leaves that out. */
  readonly #publishers: Array<string> = []
  readonly #free: Array<number> = []
  /** One more than the first record of each. */
  readonly firsts = new PagedWords()
  readonly counts = new PagedWords()
  /** The delivery that each had last: most have the same options on all their filters. */
  readonly deliveries: Array<Known | undefined> = []

  /** Bytes of what there is by number. */
  get sizeBytes(): number {
    return this.firsts.sizeBytes + this.counts.sizeBytes + 32 * this.#subscribers.length
  }

  /** The number of a subscriber; -1 where it has none. */
  find(subscriber: Subscriber): number {
    return this.#numbers.get(subscriber) ?? -1
  }

  /** The number of a subscriber, given to it where it has none. `publisher` is the same, or "", for all its subscriptions. */
  hold(subscriber: Subscriber, publisher: string): number {
    const number = this.#numbers.get(subscriber) ?? this.#add(subscriber)
    if (publisher !== "") {
      const known = this.#publishers[number]
      assert(known === "" || known === publisher, "a subscriber publishes by one name")
      this.#publishers[number] = publisher
    }
    return number
  }

  of(number: number): Subscriber {
    const subscriber = this.#subscribers[number]
    assert(subscriber !== undefined, "a subscription has a subscriber")
    return subscriber
  }

  publisherOf(number: number): string {
    return this.#publishers[number] ?? ""
  }

  /** Its last subscription is gone. */
  release(number: number): void {
    this.#numbers.delete(this.of(number))
    this.#subscribers[number] = undefined
    this.#publishers[number] = ""
    this.deliveries[number] = undefined
    this.#free.push(number)
    if (this.#numbers.size === 0) this.#reset()
  }

  /** Nobody is left: gives up what was needed for more. */
  #reset(): void {
    this.#subscribers.length = 0
    this.#publishers.length = 0
    this.deliveries.length = 0
    this.#free.length = 0
    this.firsts.reset()
    this.counts.reset()
  }

  #add(subscriber: Subscriber): number {
    const number = this.#free.pop() ?? this.#subscribers.length
    this.#numbers.set(subscriber, number)
    this.#subscribers[number] = subscriber
    this.#publishers[number] = ""
    this.deliveries[number] = undefined
    this.firsts.reserve(number + 1)
    this.counts.reserve(number + 1)
    return number
  }
}
