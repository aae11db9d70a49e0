/**
 * All subscriptions of a shard in typed arrays: by topic filter, for who wants a name, and by subscriber, for what one has.
 *
 * A subscription is a record of seven words, in a ring with the others on its filter and in a ring with the others of its subscriber, and
 * found by both together in a hash table. No object stays for it, nor its filter as a string: a million of them are nothing to the garbage
 * collector.
 *
 * Invariants
 *  - A subscriber has at most one subscription on a filter.
 *  - Both rings keep the order in which their subscriptions were made.
 *  - A filter without subscriptions, and a subscriber without, take no room; numbers are used again.
 */
import { assert } from "../assert.ts"
import { IdTable } from "../collections/IdTable.ts"
import { PagedWords } from "../collections/PagedWords.ts"
import { Delivery, NO_DELIVERIES, type Subscriber, Subscription } from "./Delivery.ts"
import { FilterTable } from "./FilterTable.ts"
import { Subscribers } from "./Subscribers.ts"
import { finish } from "./seeded-hash.ts"

const WORDS = 7
/** The number of the filter; of a free record below zero: -2 less the next free record. */
const FILTER = 0
const SUBSCRIBER = 1
/** The subscription identifier times 16, and three options. */
const OPTIONS = 2
const RINGS = { filter: 3, subscriber: 5 } as const
/** Words behind that of a ring. */
const NEXT = 0
const PREVIOUS = 1

const QOS = 3
const NO_LOCAL = 4
const RETAIN_AS_PUBLISHED = 8
const IDENTIFIER_SHIFT = 4

export class SubscriptionTable {
  readonly #seed: number
  readonly #filters: FilterTable
  readonly #subscribers = new Subscribers()
  readonly #records = new PagedWords()
  readonly #pairs = new IdTable()
  /** One more than the first record on a filter, 0 = none, by half the filter's number: without a wildcard, and with one. */
  readonly #firsts = [new PagedWords(), new PagedWords()] as const
  #end = 0
  #free = -1
  readonly #matched: Array<number> = []

  /** Clients choose the filters: give the seed from a source of chance. */
  constructor(seed: number) {
    this.#seed = finish(seed)
    this.#filters = new FilterTable(seed)
  }

  get count(): number {
    return this.#pairs.count
  }

  /** Filters on which there is at least one. */
  get filterCount(): number {
    return this.#filters.count
  }

  /** Bytes of the table's buffers. */
  get sizeBytes(): number {
    const firsts = this.#firsts[0].sizeBytes + this.#firsts[1].sizeBytes + this.#subscribers.sizeBytes
    return this.#filters.sizeBytes + this.#records.sizeBytes + this.#pairs.sizeBytes + firsts
  }

  /** Adds a subscription, or puts it in the place of its subscriber's on the same filter; whether the filter is new here. */
  put(subscription: Subscription): boolean {
    const subscriber = this.#subscribers.hold(subscription.subscriber, subscription.noLocal)
    const filter = this.#filters.hold(subscription.filter)
    const known = this.#find(filter, subscriber)
    if (known >= 0) {
      this.#records.set(known * WORDS + OPTIONS, optionsOf(subscription))
      return false
    }
    const firsts = this.#firstsOf(filter)
    firsts.reserve((filter >>> 1) + 1)
    const first = firsts.get(filter >>> 1) - 1
    const record = this.#take()
    this.#records.set(record * WORDS + FILTER, filter)
    this.#records.set(record * WORDS + SUBSCRIBER, subscriber)
    this.#records.set(record * WORDS + OPTIONS, optionsOf(subscription))
    this.#pairs.add(this.#hash(filter, subscriber), record)
    if (this.#enter(RINGS.filter, first, record)) firsts.set(filter >>> 1, record + 1)
    const { firsts: firstOf, counts } = this.#subscribers
    if (this.#enter(RINGS.subscriber, firstOf.get(subscriber) - 1, record)) firstOf.set(subscriber, record + 1)
    counts.add(subscriber, 1)
    return first < 0
  }

  /** Removes a subscription: whether it was there, and whether it was the last on its filter. */
  remove(subscriber: Subscriber, filter: string): "last" | "one" | "none" {
    const record = this.#recordOf(subscriber, filter)
    if (record < 0) return "none"
    return this.#remove(record) ? "last" : "one"
  }

  /** Removes all of a subscriber; `visit` is told of each filter, and whether that was the last on it. */
  removeAll(subscriber: Subscriber, visit: (filter: string, wasLast: boolean) => void): void {
    for (;;) {
      const number = this.#subscribers.find(subscriber)
      if (number < 0) return
      const record = this.#subscribers.firsts.get(number) - 1
      const filter = this.#filters.text(this.#records.get(record * WORDS + FILTER))
      visit(filter, this.#remove(record))
    }
  }

  countOf(subscriber: Subscriber): number {
    const number = this.#subscribers.find(subscriber)
    return number < 0 ? 0 : this.#subscribers.counts.get(number)
  }

  has(subscriber: Subscriber, filter: string): boolean {
    return this.#recordOf(subscriber, filter) >= 0
  }

  /** A subscriber's subscription on a filter, made for the caller. */
  get(subscriber: Subscriber, filter: string): Subscription | undefined {
    const record = this.#recordOf(subscriber, filter)
    return record < 0 ? undefined : this.#subscription(record, filter)
  }

  /** All of a subscriber, each made for the caller. One that goes while the caller has another is not met. */
  *of(subscriber: Subscriber): Iterable<Subscription> {
    const number = this.#subscribers.find(subscriber)
    if (number < 0) return
    const records = this.#ring(RINGS.subscriber, this.#subscribers.firsts.get(number) - 1)
    for (const record of records) {
      const isStill = this.#isHeld(record) && this.#subscribers.of(this.#subscriberOf(record)) === subscriber
      if (isStill) yield this.#subscription(record)
    }
  }

  /** What its subscribers are to get of a valid topic name: one delivery for each. */
  deliveriesOf(name: string): ReadonlyArray<Delivery> {
    const matched = this.#matched
    this.#filters.matchInto(name, matched)
    if (matched.length === 0) return NO_DELIVERIES
    const deliveries: Array<Delivery> = []
    if (matched.length === 1) {
      // No subscriber stands twice on one filter.
      const first = this.#firstOn(matched[0]!)
      let record = first
      do {
        deliveries.push(this.#alone(record))
        record = this.#records.get(record * WORDS + RINGS.filter + NEXT)
      } while (record !== first)
    } else this.#gather(matched, deliveries)
    matched.length = 0
    return deliveries
  }

  #gather(filters: ReadonlyArray<number>, out: Array<Delivery>): void {
    /** Records by subscriber, in the order in which they first matched. */
    const groups = new Map<number, number | Array<number>>()
    for (const filter of filters) {
      const first = this.#firstOn(filter)
      let record = first
      do {
        const subscriber = this.#subscriberOf(record)
        const group = groups.get(subscriber)
        if (group === undefined) groups.set(subscriber, record)
        else if (typeof group === "number") groups.set(subscriber, [group, record])
        else group.push(record)
        record = this.#records.get(record * WORDS + RINGS.filter + NEXT)
      } while (record !== first)
    }
    for (const group of groups.values()) {
      if (typeof group === "number") out.push(this.#alone(group))
      // Of what several subscriptions make together nobody asks for a filter: none is made a string.
      else out.push(Delivery.merge(group.map((record) => this.#subscription(record, ""))))
    }
  }

  /** The delivery of a subscription alone; the same for all of its subscriber with the same options. */
  #alone(record: number): Delivery {
    const { deliveries } = this.#subscribers
    const subscriber = this.#subscriberOf(record)
    const options = this.#records.get(record * WORDS + OPTIONS)
    const known = deliveries[subscriber]
    if (known !== undefined && known.options === options) return known.delivery
    const made = { options, delivery: this.#subscription(record, "").alone }
    deliveries[subscriber] = made
    return made.delivery
  }

  #subscription(record: number, filter = this.#filters.text(this.#records.get(record * WORDS + FILTER))): Subscription {
    const subscriber = this.#subscriberOf(record)
    const options = this.#records.get(record * WORDS + OPTIONS)
    return new Subscription(
      this.#subscribers.of(subscriber),
      filter,
      options & QOS,
      (options & NO_LOCAL) === 0 ? "" : this.#subscribers.publisherOf(subscriber),
      (options & RETAIN_AS_PUBLISHED) !== 0,
      options >>> IDENTIFIER_SHIFT
    )
  }

  #recordOf(subscriber: Subscriber, filter: string): number {
    const number = this.#subscribers.find(subscriber)
    if (number < 0) return -1
    const filterNumber = this.#filters.find(filter)
    return filterNumber < 0 ? -1 : this.#find(filterNumber, number)
  }

  #find(filter: number, subscriber: number): number {
    const hash = this.#hash(filter, subscriber)
    const segment = this.#pairs.segment(hash)
    const { words } = segment
    for (let slot = segment.first(hash); ; slot = segment.next(slot)) {
      const record = words[2 * slot + 1]! - 1
      if (record < 0) return -1
      if (words[2 * slot] !== hash || this.#records.get(record * WORDS + FILTER) !== filter) continue
      if (this.#subscriberOf(record) === subscriber) return record
    }
  }

  #remove(record: number): boolean {
    const filter = this.#records.get(record * WORDS + FILTER)
    const subscriber = this.#subscriberOf(record)
    this.#pairs.remove(this.#hash(filter, subscriber), record)
    const firsts = this.#firstsOf(filter)
    const first = this.#leave(RINGS.filter, firsts.get(filter >>> 1) - 1, record)
    firsts.set(filter >>> 1, first + 1)
    if (first < 0) this.#filters.release(filter)
    const { firsts: firstOf, counts } = this.#subscribers
    firstOf.set(subscriber, this.#leave(RINGS.subscriber, firstOf.get(subscriber) - 1, record) + 1)
    if (counts.add(subscriber, -1) === 0) this.#subscribers.release(subscriber)
    this.#records.set(record * WORDS + FILTER, -2 - this.#free)
    this.#free = record
    if (this.count === 0) this.#reset()
    return first < 0
  }

  /** Nothing is left: gives up what was needed for more. */
  #reset(): void {
    this.#records.reset()
    for (const firsts of this.#firsts) firsts.reset()
    this.#end = 0
    this.#free = -1
  }

  /** A free record. */
  #take(): number {
    const record = this.#free
    if (record < 0) {
      this.#records.reserve((this.#end + 1) * WORDS)
      return this.#end++
    }
    this.#free = -2 - this.#records.get(record * WORDS + FILTER)
    return record
  }

  /** Puts a record at the end of a ring, -1 = an empty one; true where it is the ring's first. */
  #enter(ring: number, first: number, record: number): boolean {
    const records = this.#records
    const last = first < 0 ? record : records.get(first * WORDS + ring + PREVIOUS)
    const next = first < 0 ? record : first
    records.set(record * WORDS + ring + NEXT, next)
    records.set(record * WORDS + ring + PREVIOUS, last)
    records.set(last * WORDS + ring + NEXT, record)
    records.set(next * WORDS + ring + PREVIOUS, record)
    return first < 0
  }

  /** Takes a record out of its ring; the ring's first after that, -1 = none is left. */
  #leave(ring: number, first: number, record: number): number {
    const records = this.#records
    const next = records.get(record * WORDS + ring + NEXT)
    if (next === record) return -1
    const previous = records.get(record * WORDS + ring + PREVIOUS)
    records.set(previous * WORDS + ring + NEXT, next)
    records.set(next * WORDS + ring + PREVIOUS, previous)
    return first === record ? next : first
  }

  /** The records of a ring, -1 = of none. */
  #ring(ring: number, first: number): ReadonlyArray<number> {
    const found: Array<number> = []
    for (let record = first; record >= 0; ) {
      found.push(record)
      record = this.#records.get(record * WORDS + ring + NEXT)
      if (record === first) break
    }
    return found
  }

  #isHeld(record: number): boolean {
    return record < this.#end && this.#records.get(record * WORDS + FILTER) >= 0
  }

  #subscriberOf(record: number): number {
    return this.#records.get(record * WORDS + SUBSCRIBER)
  }

  #firstsOf(filter: number): PagedWords {
    return this.#firsts[(filter & 1) as 0 | 1]
  }

  #firstOn(filter: number): number {
    const first = this.#firstsOf(filter).get(filter >>> 1) - 1
    assert(first >= 0, "a filter with a number has a subscription")
    return first
  }

  #hash(filter: number, subscriber: number): number {
    return finish(Math.imul(filter, 0x9e3779b1) ^ Math.imul(subscriber, 0x85ebca77) ^ this.#seed)
  }
}

function optionsOf({ qos, noLocal, retainAsPublished, identifier }: Subscription): number {
  const flags = (noLocal === "" ? 0 : NO_LOCAL) | (retainAsPublished ? RETAIN_AS_PUBLISHED : 0)
  return (identifier << IDENTIFIER_SHIFT) | flags | qos
}
