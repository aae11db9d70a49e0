/**
 * The router: which subscribers, and which other shards, want a topic name.
 *
 * Invariants
 *  - One copy per subscriber, however many of its filters match: highest QoS, all subscription identifiers [MQTT-3.3.4-2].
 *  - A subscription is known on every shard before `subscribe`'s ticket is committed, so a SUBACK that waits for it promises
 *    every message published afterwards.
 *  - The same holds for what durable sessions want kept, connected or not: a message that one may want is put in the queue log of its
 *    name's owner, once, whichever shard the sessions are on.
 *  - A cached resolution is used only while the versions it was made under hold: its own (exact filters), its buckets (wildcards).
 */
import { Context } from "effect"
import type { Message } from "../ingress/Message.ts"
import { TicketStream } from "../journal/Journal.ts"
import { CHANNEL_DELIVER, CHANNEL_ROUTE, CHANNEL_ROUTED, type LinkPort } from "../link/LinkPort.ts"
import { BUCKETS, bucketOf } from "./buckets.ts"
import type { Subscriber, Subscription } from "./Delivery.ts"
import { FilterIndex } from "./FilterIndex.ts"
import type { Resolution } from "./Resolution.ts"
import { SubscriptionTable } from "./SubscriptionTable.ts"
import { hasWildcard, literalPrefix } from "./topic-filter.ts"
import { WantIndex } from "./WantIndex.ts"

/** Another shard that has at least one subscription, or one durable session's wish, on a filter. */
class RemoteRoute {
  readonly shard: number
  constructor(shard: number) {
    this.shard = shard
  }
}

function isSystem(filter: string): boolean {
  return filter.startsWith("$")
}

/** What the others are told of a filter. */
const ROUTE_REMOVED = 0
const ROUTE_ADDED = 1
const WANT_REMOVED = 2
const WANT_ADDED = 3
const UNSTORED_WANT_REMOVED = 4
const UNSTORED_WANT_ADDED = 5

export interface RouterShape {
  /**
   * Adds a subscription, or puts it in the place of its subscriber's on the same filter; the ticket of {@link RouterShape.tickets} to wait
   * for, or 0 where nothing needs waiting. The object is the caller's: what it says is copied.
   */
  subscribeUnsafe(subscription: Subscription): number
  /** Removes the subscription of a subscriber on a filter; false where it was not there. */
  unsubscribeUnsafe(subscription: Pick<Subscription, "subscriber" | "filter">): boolean
  /** Removes all subscriptions of a subscriber. */
  leaveUnsafe(subscriber: Subscriber): void
  /** What a subscriber has on a filter, made for the caller. */
  subscriptionOf(subscriber: Subscriber, filter: string): Subscription | undefined
  hasSubscription(subscriber: Subscriber, filter: string): boolean
  /** All that a subscriber has, in the order in which it was made, each made for the caller. */
  subscriptionsOf(subscriber: Subscriber): Iterable<Subscription>
  subscriptionCountOf(subscriber: Subscriber): number
  /**
   * A durable session wants what is published on `filter` with QoS 1 or 2 kept for it, connected or not; counted. Returns the ticket to
   * wait for, as {@link RouterShape.subscribeUnsafe} does. With `isUnstored` only what no topic stores: for who reads topics besides.
   */
  wantUnsafe(filter: string, isUnstored?: boolean): number
  /** Takes one {@link RouterShape.wantUnsafe} back. */
  unwantUnsafe(filter: string, isUnstored?: boolean): void
  /** Filters that must be known elsewhere, in order. */
  readonly tickets: TicketStream
  readonly subscriptionCount: number
  /** Topic filters that this shard's subscribers have, each once. */
  readonly filterCount: number
  /** Whether anybody, here or elsewhere, subscribes to a filter that begins with `$`: nobody else gets what the broker says of itself. */
  readonly hasSystemFilters: boolean
}

export class Router extends Context.Service<Router, RouterShape>()("manifold/core/router/Router") {}

export class ShardRouter implements RouterShape {
  readonly tickets = new TicketStream()
  readonly #port: LinkPort
  readonly #local: SubscriptionTable
  readonly #remote: FilterIndex<RemoteRoute>
  readonly #wants: WantIndex
  /** What is wanted of names that have no home. */
  readonly #unstoredWants: WantIndex
  readonly #routes: ReadonlyArray<RemoteRoute>
  readonly #routed: Array<number>
  readonly #bucketVersions = new Float64Array(BUCKETS)
  /** Versions of names with exact filters are kept by the resolution table. */
  readonly #invalidateName: (name: string) => void
  /** Filters that begin with `$`: of this shard each once, of others once for each shard. */
  #systemFilters = 0
  readonly #matchedRoutes: Array<RemoteRoute> = []

  /** `seed` keeps clients from aiming at collisions in the tables of filters. */
  constructor(port: LinkPort, seed: number, invalidateName: (name: string) => void) {
    this.#port = port
    this.#local = new SubscriptionTable(seed)
    this.#remote = new FilterIndex(seed)
    this.#wants = new WantIndex(seed, port.shards)
    this.#unstoredWants = new WantIndex(seed, port.shards)
    this.#invalidateName = invalidateName
    this.#routes = Array.from({ length: port.shards }, (_, shard) => new RemoteRoute(shard))
    this.#routed = Array.from({ length: port.shards }, () => 0)
    port.handle(CHANNEL_ROUTE, (from, reader) => {
      const ticket = reader.uint53()
      const kind = reader.uint8()
      this.#setRoute(from, reader.text(), kind)
      const outbox = port.begin(from, CHANNEL_ROUTED)
      outbox.uint53(ticket)
      port.end(outbox)
    })
    port.handle(CHANNEL_ROUTED, (from, reader) => {
      this.#routed[from] = reader.uint53()
      let lowest = this.tickets.issued
      for (let shard = 0; shard < port.shards; shard++) {
        if (shard !== port.shard) lowest = Math.min(lowest, this.#routed[shard] ?? 0)
      }
      this.tickets.commit(lowest)
    })
  }

  get hasSystemFilters(): boolean {
    return this.#systemFilters > 0
  }

  get subscriptionCount(): number {
    return this.#local.count
  }

  get filterCount(): number {
    return this.#local.filterCount
  }

  /** Whether any subscription, here or elsewhere, exists at all. */
  get isEmpty(): boolean {
    return this.#local.count === 0 && this.#remote.valueCount === 0 && this.isUnwanted
  }

  /** Whether no durable session of any shard wants anything kept. */
  get isUnwanted(): boolean {
    return this.#wants.isEmpty && this.#unstoredWants.isEmpty
  }

  subscribeUnsafe(subscription: Subscription): number {
    const isNew = this.#local.put(subscription)
    this.#invalidate(subscription.filter)
    if (isNew) {
      if (isSystem(subscription.filter)) this.#systemFilters += 1
      return this.#tell(subscription.filter, ROUTE_ADDED)
    }
    // Somebody else's filter: the others may not know it yet.
    return this.tickets.issued > this.tickets.committed ? this.tickets.issued : 0
  }

  wantUnsafe(filter: string, isUnstored = false): number {
    const wants = isUnstored ? this.#unstoredWants : this.#wants
    if (wants.add(filter)) {
      this.#invalidate(filter)
      return this.#tell(filter, isUnstored ? UNSTORED_WANT_ADDED : WANT_ADDED)
    }
    return this.tickets.issued > this.tickets.committed ? this.tickets.issued : 0
  }

  unwantUnsafe(filter: string, isUnstored = false): void {
    const wants = isUnstored ? this.#unstoredWants : this.#wants
    if (!wants.remove(filter)) return
    this.#invalidate(filter)
    this.#tell(filter, isUnstored ? UNSTORED_WANT_REMOVED : WANT_REMOVED)
  }

  /** Filters that durable sessions of this shard want kept, each once. */
  get wantCount(): number {
    return this.#wants.filterCount + this.#unstoredWants.filterCount
  }

  unsubscribeUnsafe({ subscriber, filter }: Pick<Subscription, "subscriber" | "filter">): boolean {
    const removed = this.#local.remove(subscriber, filter)
    if (removed === "none") return false
    this.#removed(filter, removed === "last")
    return true
  }

  leaveUnsafe(subscriber: Subscriber): void {
    this.#local.removeAll(subscriber, (filter, wasLast) => this.#removed(filter, wasLast))
  }

  #removed(filter: string, wasLast: boolean): void {
    this.#invalidate(filter)
    if (!wasLast) return
    if (isSystem(filter)) this.#systemFilters -= 1
    this.#tell(filter, ROUTE_REMOVED)
  }

  subscriptionOf(subscriber: Subscriber, filter: string): Subscription | undefined {
    return this.#local.get(subscriber, filter)
  }

  hasSubscription(subscriber: Subscriber, filter: string): boolean {
    return this.#local.has(subscriber, filter)
  }

  subscriptionsOf(subscriber: Subscriber): Iterable<Subscription> {
    return this.#local.of(subscriber)
  }

  subscriptionCountOf(subscriber: Subscriber): number {
    return this.#local.countOf(subscriber)
  }

  /** The sum of the versions of the buckets that can hold a filter matching `resolution`'s name; it only rises. */
  versionOf(resolution: Resolution): number {
    const versions = this.#bucketVersions
    return (versions[0] ?? 0) + (versions[resolution.bucketOne] ?? 0) + (versions[resolution.bucketTwo] ?? 0)
  }

  /** Fills in who wants the resolution's topic name, whose home is known by then. */
  resolve(resolution: Resolution): void {
    resolution.deliveries = this.#local.deliveriesOf(resolution.name)
    const routes = this.#matchedRoutes
    routes.length = 0
    if (this.#remote.valueCount > 0) this.#remote.matchInto(resolution.name, routes)
    const shards: Array<number> = []
    for (const route of routes) if (!shards.includes(route.shard)) shards.push(route.shard)
    routes.length = 0
    resolution.remoteShards = shards
    resolution.queued =
      this.#wants.matches(resolution.name) ||
      (resolution.home === undefined && this.#unstoredWants.matches(resolution.name))
  }

  /** Delivers to this shard's subscribers and hands a copy to each other shard that has some. */
  dispatchUnsafe(message: Message, resolution: Resolution): void {
    this.deliverLocalUnsafe(message, resolution)
    const shards = resolution.remoteShards
    for (let index = 0; index < shards.length; index++) {
      const outbox = this.#port.begin(shards[index] ?? 0, CHANNEL_DELIVER)
      message.encode(outbox)
      this.#port.end(outbox)
    }
  }

  /** Delivers to this shard's subscribers. */
  deliverLocalUnsafe(message: Message, resolution: Resolution): void {
    const deliveries = resolution.deliveries
    for (let index = 0; index < deliveries.length; index++) {
      const delivery = deliveries[index]
      if (delivery !== undefined) delivery.subscriber.deliverUnsafe(message, delivery)
    }
  }

  #setRoute(shard: number, filter: string, kind: number): void {
    const route = this.#routes[shard]
    if (route === undefined) return
    if (isSystem(filter)) this.#systemFilters += kind === ROUTE_ADDED ? 1 : kind === ROUTE_REMOVED ? -1 : 0
    if (kind === ROUTE_ADDED) this.#remote.add(filter, route)
    else if (kind === ROUTE_REMOVED) this.#remote.remove(filter, route)
    else if (kind >= UNSTORED_WANT_REMOVED) this.#unstoredWants.set(shard, filter, kind === UNSTORED_WANT_ADDED)
    else this.#wants.set(shard, filter, kind === WANT_ADDED)
    this.#invalidate(filter)
  }

  #tell(filter: string, kind: number): number {
    if (this.#port.shards === 1) return 0
    const ticket = this.tickets.issue()
    for (let shard = 0; shard < this.#port.shards; shard++) {
      if (shard === this.#port.shard) continue
      const outbox = this.#port.begin(shard, CHANNEL_ROUTE)
      outbox.uint53(ticket)
      outbox.uint8(kind)
      outbox.text(filter)
      this.#port.end(outbox)
    }
    return ticket
  }

  #invalidate(filter: string): void {
    if (hasWildcard(filter)) {
      const bucket = bucketOf(literalPrefix(filter, 2))
      this.#bucketVersions[bucket] = (this.#bucketVersions[bucket] ?? 0) + 1
    } else this.#invalidateName(filter)
  }
}
