/**
 * The subscriptions of a durable session as rows: each with the offset in every queue log from which on it gets messages, and what all
 * of them together want to read there.
 *
 * Invariants
 *  - Holds exactly the session's own subscriptions, by filter: neither shared ones nor replays.
 *  - What was published before is not for a new subscription. For one that is replaced or taken off, it is delivered as was asked then.
 *  - The row of a new one says where it begins, and a SUBACK speaks of the row: both wait until every queue log has told its end.
 *
 * Source: MQTT 5.0 sections 3.8.4, 3.10.4.
 */
import {
  Delivery,
  type KeyValueWrite,
  type Message,
  matches,
  type QueueSelection,
  type Subscription,
  type TicketStream
} from "../../core/mod.ts"
import type { DurableSession } from "./DurableSession.ts"
import type { Flow } from "./Flow.ts"
import { OrderedTickets } from "./OrderedTickets.ts"
import { PastSubscriptions } from "./PastSubscriptions.ts"
import type { OwnSubscriptions, Subscribed, Wish } from "./SubscribingSession.ts"
import * as rows from "./session-rows.ts"

/** What matches no topic name: for a session that wants nothing kept. */
const NO_FILTERS: ReadonlyArray<string> = ["$"]

interface Kept {
  readonly subscription: Subscription
  /** The first offset that is for it, by queue log; infinite where that is not known yet. */
  readonly since: Array<number>
  /** What its row says instead: of one that was replaced, where the first one began. */
  readonly inRow: ReadonlyArray<number>
}

export class KeptSubscriptions implements OwnSubscriptions {
  readonly #session: DurableSession
  readonly #flows: ReadonlyArray<Flow>
  readonly #kept = new Map<string, Kept>()
  readonly #past = new PastSubscriptions()
  #selection: QueueSelection | undefined
  /** Subscriptions whose rows wait for other shards to say where their queue logs end. */
  #waiting: OrderedTickets | undefined

  constructor(session: DurableSession, flows: ReadonlyArray<Flow>) {
    this.#session = session
    this.#flows = flows
  }

  /** What SUBACKs wait for; undefined where none ever did. */
  get waiting(): TicketStream | undefined {
    return this.#waiting?.stream
  }

  get count(): number {
    return this.#kept.size
  }

  has(filter: string): boolean {
    return this.#kept.has(filter)
  }

  get(filter: string): Subscription | undefined {
    return this.#kept.get(filter)?.subscription
  }

  *all(): Iterable<Subscription> {
    for (const { subscription } of this.#kept.values()) yield subscription
  }

  get hasPast(): boolean {
    return !this.#past.isEmpty
  }

  /** Puts in what a row says. */
  restore(subscription: Subscription, since: ReadonlyArray<number>): void {
    const own = [...since]
    this.#keep(subscription, own, own)
  }

  #keep(subscription: Subscription, since: Array<number>, inRow: ReadonlyArray<number>): void {
    this.#kept.set(subscription.filter, { subscription, since, inRow })
  }

  /** A subscription was added or replaced; with the router's ticket to wait for. In the entry of its row `alongside` happens, too. */
  add(wish: Wish, made: Subscribed, alongside?: KeyValueWrite): Subscribed {
    const before = this.#kept.get(wish.filter)
    this.#selection = undefined
    const session = this.#session
    const { router, queueLogs, journal } = session.broker.services
    // What was published before is not for a new subscription. For one that is replaced it is delivered as was asked then, and after a
    // crash, which forgets what that was, as is asked now.
    const wasKept = before !== undefined && before.subscription.qos > 0
    const since = wasKept ? before.since : this.#flows.map((flow) => flow.position)
    const inRow = wasKept ? before.inRow : since
    const isSame = wasKept && isSameSubscription(before.subscription, made.subscription)
    // Also where all has been read: something may be on its way from another shard.
    if (wasKept && !isSame) this.#keepPast(before)
    this.#keep(made.subscription, since, inRow)
    let ticket = made.ticket
    if (wish.qos > 0 && !wasKept) ticket = Math.max(ticket, router.wantUnsafe(wish.filter))
    else if (wish.qos === 0 && wasKept) router.unwantUnsafe(wish.filter)
    const write = (from: ReadonlyArray<number>): void => {
      const value = rows.encodeSubscription({
        ...wish,
        replay: false,
        asked: session.namesOf(wish.filter),
        since: this.#sinceInRow(from)
      })
      const write = { key: rows.subscriptionKey(session.number, wish.filter), value }
      journal.submit({ writes: alongside === undefined ? [write] : [alongside, write] })
      session.mark()
    }
    if (wasKept) write(inRow)
    if (isSame) return { ...made, ticket }
    // Asked behind the wish, so that what each log answers lies after what it had before it knew of this.
    const from = since.map(() => Number.POSITIVE_INFINITY)
    this.#keep(made.subscription, from, wasKept ? inRow : from)
    let waiting = queueLogs.count
    let late = 0
    const isKnown = (): void => {
      if (!wasKept && this.#kept.get(wish.filter)?.subscription === made.subscription) write(from)
      if (late > 0) session.broker.whenCommitted((outcome) => this.#waiting?.done(late, outcome))
    }
    for (let log = 0; log < queueLogs.count; log++) {
      queueLogs.end(log, {
        received: (end) => {
          from[log] = Math.min(from[log] ?? end, end)
          // As was asked then: none of it is read again, least of all as is asked now.
          if (wasKept) session.feed.passed(log, end, 1)
          waiting -= 1
          if (waiting === 0) isKnown()
        },
        // A shard that does not answer is on its way out, and the node with it.
        failed: () => {}
      })
    }
    if (waiting > 0) {
      // Its row says where it begins, so it is written when that is known; a SUBACK speaks of the row.
      this.#waiting ??= new OrderedTickets()
      late = this.#waiting.stream.issue()
    }
    return { ...made, ticket }
  }

  /** A subscription was taken off. */
  remove(filter: string): void {
    const kept = this.#kept.get(filter)
    if (kept === undefined) return
    this.#selection = undefined
    // What was not read yet is delivered all the same.
    if (kept.subscription.qos > 0 && this.#flows.some(({ isBehind }) => isBehind)) this.#keepPast(kept)
    this.#kept.delete(filter)
    const session = this.#session
    const { router, journal } = session.broker.services
    if (kept.subscription.qos > 0) router.unwantUnsafe(filter)
    journal.submit({ writes: [{ key: rows.subscriptionKey(session.number, filter), value: undefined }] })
    session.mark()
  }

  /** Its session ends: nothing is stored for it any more. */
  end(): void {
    const { router } = this.#session.broker.services
    for (const { subscription } of this.#kept.values()) {
      if (subscription.qos > 0) router.unwantUnsafe(subscription.filter)
    }
    this.#kept.clear()
  }

  /** All its rows. */
  collect(writes: Array<KeyValueWrite>): void {
    const { number } = this.#session
    for (const kept of this.#kept.values()) {
      const key = rows.subscriptionKey(number, kept.subscription.filter)
      writes.push({ key, value: rows.encodeSubscription(this.#rowOf(kept)) })
    }
  }

  /** The row of a subscription that stays says something else. */
  changed(filter: string): void {
    const kept = this.#kept.get(filter)
    if (kept === undefined) return
    const { number, broker } = this.#session
    const write = { key: rows.subscriptionKey(number, filter), value: rows.encodeSubscription(this.#rowOf(kept)) }
    broker.services.journal.submit({ writes: [write] })
    this.#session.mark()
  }

  #rowOf({ subscription, inRow }: Kept): rows.SubscriptionRow {
    const { filter, qos, noLocal, retainAsPublished, identifier } = subscription
    const exclusive = this.#session.exclusive?.has(filter) === true
    const asked = this.#session.namesOf(filter)
    const options = { qos, noLocal: noLocal !== "", retainAsPublished, identifier, exclusive, asked, replay: false }
    return { ...options, since: this.#sinceInRow(inRow) }
  }

  /** What they want of the queue logs; the same object until a subscription changes. */
  get selection(): QueueSelection {
    if (this.#selection === undefined) {
      const filters: Array<string> = []
      for (const { subscription } of this.#kept.values()) if (subscription.qos > 0) filters.push(subscription.filter)
      this.#past.filtersInto(filters)
      this.#selection = { tenant: this.#session.tenant, filters: filters.length === 0 ? NO_FILTERS : filters }
    }
    return this.#selection
  }

  /** What those that were there when it was published make of a message that was read. */
  deliveryOf(message: Message): Delivery | undefined {
    const matched: Array<Subscription> = []
    for (const { subscription, since } of this.#kept.values()) {
      const from = since[message.queue] ?? 0
      if (message.queueOffset >= from && matches(subscription.filter, message.name)) matched.push(subscription)
    }
    if (!this.#past.isEmpty) this.#past.matchedInto(message, matches, matched)
    return Delivery.gather(matched)[0]
  }

  /** A message has come live: it is for what has replaced another one by now, also where it has to be read again. */
  cameLive({ queue, queueOffset }: Message): void {
    if (this.#past.isEmpty || queue < 0) return
    this.#past.cameLive(queue, queueOffset)
    for (const { since, inRow } of this.#kept.values()) {
      if (since !== inRow && queueOffset < (since[queue] ?? 0)) since[queue] = queueOffset
    }
  }

  /** Forgets those that were taken off where all has been read that was published for them. */
  forgetRead(): void {
    const { connection } = this.#session
    if (this.#past.isEmpty || !this.#past.isKnown || connection === undefined) return
    if (this.#flows.some(({ isBehind }) => isBehind)) return
    this.#past.clear()
    this.#selection = undefined
  }

  #keepPast({ subscription, since }: Kept): void {
    this.#past.add(subscription, since, this.#session.broker.services.queueLogs, () => this.forgetRead())
  }

  /** A log that has not said yet where it ends: from here on is not too late. */
  #sinceInRow(since: ReadonlyArray<number>): ReadonlyArray<number> {
    return since.map((offset, log) => (Number.isFinite(offset) ? offset : (this.#flows[log]?.position ?? 0)))
  }
}

function isSameSubscription(one: Subscription, other: Subscription): boolean {
  return (
    one.qos === other.qos &&
    one.noLocal === other.noLocal &&
    one.retainAsPublished === other.retainAsPublished &&
    one.identifier === other.identifier
  )
}
