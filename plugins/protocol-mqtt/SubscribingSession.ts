/**
 * What a session subscribes to: ordinary topic filters, those it shares, those that read what is stored, and by which names its client asked
 * for them.
 *
 * Source: MQTT 5.0 sections 3.8.4, 3.10.4.
 */
import { type Delivery, type Message, type Subscriber, Subscription } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import type { HeldFilters } from "./exclusive/HeldFilters.ts"
import type { RetainedReplays } from "./RetainedReplays.ts"
import type { Replays } from "./replay/Replays.ts"
import { AskedNames } from "./rewrite/AskedNames.ts"
import type { Memberships } from "./shared/Memberships.ts"

/** What a SUBSCRIBE asks for one filter. */
export interface Wish {
  readonly filter: string
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifier: number
  /** Whether no other client may have it. */
  readonly exclusive: boolean
}

/** What came of it. */
export interface Subscribed {
  /** The router's ticket to wait for; 0 = none. */
  readonly ticket: number
  readonly isNew: boolean
  readonly subscription: Subscription
}

const NO_NAMES: ReadonlyArray<string> = []

/** The subscriptions of a session that are neither shared nor replays. */
export interface OwnSubscriptions {
  readonly count: number
  has(filter: string): boolean
  get(filter: string): Subscription | undefined
  /** In the order in which they were made. */
  all(): Iterable<Subscription>
}

export abstract class SubscribingSession implements Subscriber {
  readonly clientIdentifier: string
  readonly broker: Broker
  /** Its subscriptions whose messages go by way of another subscriber: replays. */
  protected apart: Map<string, Subscription> | undefined
  /** Its shared subscriptions; undefined where there never was one. */
  shares: Memberships | undefined
  /** What its new subscriptions are owed; undefined where they are owed nothing. */
  protected retained: RetainedReplays | undefined
  /** Its subscriptions that read what is stored; undefined where there never was one. */
  replays: Replays | undefined
  /** Its exclusive filters; undefined where there never was one. */
  exclusive: HeldFilters | undefined
  /** By which names it asked for what it has, where rules made others of them; undefined where they never did. */
  asked: AskedNames | undefined
  /** Characters of all topic filters. */
  filterSize = 0

  constructor(broker: Broker, clientIdentifier: string) {
    this.broker = broker
    this.clientIdentifier = clientIdentifier
  }

  abstract deliverUnsafe(message: Message, delivery: Delivery): void

  protected abstract readonly own: OwnSubscriptions

  get subscriptionCount(): number {
    return this.own.count + (this.apart?.size ?? 0) + (this.shares?.count ?? 0)
  }

  hasSubscription(filter: string): boolean {
    return this.own.has(filter) || this.apart?.has(filter) === true || this.shares?.has(filter) === true
  }

  subscriptionOf(filter: string): Subscription | undefined {
    return this.own.get(filter) ?? this.apart?.get(filter)
  }

  /** Adds or replaces a subscription. */
  subscribe(
    { filter, qos, noLocal, retainAsPublished, identifier, exclusive }: Wish,
    subscriber: Subscriber = this
  ): Subscribed {
    const before = this.subscriptionOf(filter)
    const publisher = noLocal ? this.clientIdentifier : ""
    this.replays?.end(filter)
    const made = new Subscription(subscriber, filter, qos, publisher, retainAsPublished, identifier)
    const { router } = this.broker.services
    const ticket = router.subscribeUnsafe(made)
    if (before === undefined) this.filterSize += filter.length
    else if (before.subscriber !== subscriber) router.unsubscribeUnsafe(before)
    this.apart?.delete(filter)
    if (subscriber !== this) (this.apart ??= new Map()).set(filter, made)
    if (exclusive) this.exclusive?.keep(filter)
    else this.exclusive?.release(filter)
    return { ticket, isNew: before === undefined, subscription: made }
  }

  /** All its subscriptions but the shared ones. */
  protected *unshared(): Iterable<Subscription> {
    yield* this.own.all()
    yield* this.apart?.values() ?? []
  }

  /** All its subscriptions, the shared ones last. */
  *wishes(): Iterable<Wish> {
    for (const made of this.unshared()) {
      const exclusive = this.exclusive?.has(made.filter) === true
      const { filter, qos, noLocal, retainAsPublished, identifier } = made
      yield { filter, qos, noLocal: noLocal !== "", retainAsPublished, identifier, exclusive }
    }
    yield* this.shares?.wishes() ?? []
  }

  /**
   * Is about to subscribe to a filter that rules made of what its client says, the same or another one: notes that, and lets go of what the
   * same words stood for before.
   */
  ask(name: string, filter: string): void {
    if (name === filter && this.asked === undefined) return
    const earlier = this.#filterOf(name)
    if (earlier === filter) return
    if (earlier !== undefined) this.#letGo(name, earlier)
    const hasNames = this.asked?.has(filter) === true
    if (name === filter && !hasNames) return
    // So far it was asked for by its own name alone.
    if (!hasNames && this.hasSubscription(filter)) this.#name(filter, filter)
    this.#name(name, filter)
  }

  /** By which names its client asked for a subscription; none = by its own. */
  namesOf(filter: string): ReadonlyArray<string> {
    return this.asked?.namesOf(filter) ?? NO_NAMES
  }

  /** Removes what its client asked for by a name; false where that is nothing. */
  unsubscribeAsked(name: string): boolean {
    const filter = this.#filterOf(name)
    if (filter === undefined) return false
    this.#letGo(name, filter)
    return true
  }

  #filterOf(name: string): string | undefined {
    const filter = this.asked?.filterOf(name)
    if (filter !== undefined) return filter
    return this.hasSubscription(name) && this.asked?.has(name) !== true ? name : undefined
  }

  /** Puts in what a row says of a subscription. */
  protected restoreNames(filter: string, names: ReadonlyArray<string>): void {
    for (const name of names) this.#name(name, filter)
  }

  #name(name: string, filter: string): void {
    this.asked ??= new AskedNames()
    this.asked.add(name, filter)
    this.filterSize += name.length
  }

  /** A name stands for a subscription no more, which goes with its last one. */
  #letGo(name: string, filter: string): void {
    if (this.asked?.filterOf(name) === undefined) {
      this.unsubscribe(filter)
      return
    }
    this.filterSize -= name.length
    if (this.asked.remove(name)) this.renamed(filter)
    else this.unsubscribe(filter)
  }

  /** A subscription that stays has other names. */
  protected renamed(_filter: string): void {}

  /** Removes a subscription; false where there was none. */
  unsubscribe(filter: string): boolean {
    if (this.asked?.has(filter) === true) {
      for (const name of this.asked.namesOf(filter)) this.filterSize -= name.length
      this.asked.forget(filter)
    }
    if (this.shares?.remove(filter) === true) {
      this.filterSize -= filter.length
      return true
    }
    const subscription = this.subscriptionOf(filter)
    if (subscription === undefined) return false
    this.apart?.delete(filter)
    this.replays?.end(filter)
    this.retained?.forget(filter)
    this.filterSize -= filter.length
    this.broker.services.router.unsubscribeUnsafe(subscription)
    this.exclusive?.release(filter)
    return true
  }

  /** Takes all its subscriptions off the router. */
  protected leaveRouter(): void {
    const { router } = this.broker.services
    router.leaveUnsafe(this)
    for (const subscription of this.apart?.values() ?? []) router.unsubscribeUnsafe(subscription)
  }
}
