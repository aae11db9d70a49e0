/**
 * The shared subscriptions of one session: what its groups give it, until it is acknowledged.
 *
 * Source: MQTT 5.0 section 4.8.2.
 * Invariants
 *  - Every message that a group gives is answered once: acknowledged, kept, or given back.
 *  - With the end of the connection all goes back that was not acknowledged, but what a durable session keeps of QoS 2.
 */
import type { KeyValueWrite, Message } from "../../../core/mod.ts"
import type { Connection } from "../Connection.ts"
import type { Session, Wish } from "../Session.ts"
import * as rows from "../session-rows.ts"
import { NO_IDENTIFIERS, type Place, type Token } from "./group-rows.ts"

const SHARE_PREFIX = "$share/"

/** A shared subscription as its session has it. */
export interface Membership {
  readonly session: Session
  /** The shard that owns the group. */
  readonly owner: number
  /** What the shard calls it, to the owner. */
  readonly number: number
  /** Share name, `/` and topic filter. */
  readonly name: string
  readonly wish: Wish
  readonly identifiers: ReadonlyArray<number>
}

/** A message of QoS 1 or 2 that a group has given to a member. */
export interface Assignment extends Place {
  readonly membership: Membership
  readonly message: Message
  readonly qos: number
  readonly retain: boolean
  /** Where the group is another shard's and has to be told when a durable session keeps it. */
  readonly token: Token | undefined
}

/** Whether a valid filter is a shared subscription's. */
export function isShared(filter: string): boolean {
  return filter.startsWith(SHARE_PREFIX)
}

/** The name of a shared subscription's group. */
export function groupNameOf(filter: string): string {
  return filter.slice(SHARE_PREFIX.length)
}

export class Memberships {
  readonly #session: Session
  readonly #byFilter = new Map<string, Membership>()
  /** Given, and not sent yet. */
  #waiting: Array<Assignment> = []

  constructor(session: Session) {
    this.#session = session
  }

  get count(): number {
    return this.#byFilter.size
  }

  has(filter: string): boolean {
    return this.#byFilter.has(filter)
  }

  /** Puts in what a row says, of a session without a connection. */
  restore(wish: Wish): void {
    this.#byFilter.set(wish.filter, this.#make(wish))
  }

  /** Adds or replaces one; the ticket of `SharedGroups.joins` to wait for. */
  add(wish: Wish): { readonly isNew: boolean; readonly ticket: number } {
    const { shared } = this.#session.broker
    const before = this.#byFilter.get(wish.filter)
    const membership = this.#make(wish, before?.number)
    this.#byFilter.set(wish.filter, membership)
    return { isNew: before === undefined, ticket: shared.attach(membership, false, true) }
  }

  /** Takes one off; false where there was none. What was sent for it is acknowledged all the same. */
  remove(filter: string): boolean {
    const membership = this.#byFilter.get(filter)
    if (membership === undefined) return false
    this.#byFilter.delete(filter)
    this.#session.broker.shared.detach(membership, false)
    this.#giveBack((assignment) => assignment.membership === membership)
    return true
  }

  /** A connection is there. */
  attach(): void {
    for (const membership of this.#byFilter.values()) this.#session.broker.shared.attach(membership, true, false)
  }

  /** The connection has ended; with `isOver` the session has, too. First it is gone, then what it had not sent goes to others. */
  detach(isOver: boolean): void {
    const { shared } = this.#session.broker
    for (const membership of this.#byFilter.values()) shared.detach(membership, !isOver)
    if (isOver) this.#byFilter.clear()
    this.#giveBack(() => true)
  }

  /** A session without a connection has ended. */
  forget(): void {
    const { broker, tenant } = this.#session
    for (const { name, wish } of this.#byFilter.values()) broker.shared.away(tenant, name, wish.qos, -1)
    this.#byFilter.clear()
  }

  /** A message of QoS 0. */
  send(connection: Connection, { wish, identifiers }: Membership, message: Message): void {
    connection.sendPublish(message, 0, message.retain && wish.retainAsPublished, identifiers, 0)
  }

  /** A message of QoS 1 or 2. */
  take(assignment: Assignment): void {
    if (this.#waiting.length > 0 || !this.#session.sendShared(assignment)) this.#waiting.push(assignment)
  }

  /** Sends what waits, as far as there is room. */
  drain(): void {
    const waiting = this.#waiting
    let sent = 0
    for (const assignment of waiting) {
      if (!this.#session.sendShared(assignment)) break
      sent += 1
    }
    if (sent > 0) this.#waiting = waiting.slice(sent)
  }

  /** All its rows. */
  collect(number: number, writes: Array<KeyValueWrite>): void {
    for (const { wish } of this.#byFilter.values()) writes.push(rowOf(number, wish))
  }

  #make(wish: Wish, number?: number): Membership {
    const { broker, tenant } = this.#session
    const name = groupNameOf(wish.filter)
    return {
      session: this.#session,
      owner: broker.services.shard.ownerOfGroup(tenant, name),
      number: number ?? broker.shared.takeNumber(),
      name,
      wish,
      identifiers: wish.identifier === 0 ? NO_IDENTIFIERS : [wish.identifier]
    }
  }

  #giveBack(isMeant: (assignment: Assignment) => boolean): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter((assignment) => !isMeant(assignment))
    for (const assignment of waiting) {
      if (isMeant(assignment)) this.#session.broker.shared.returned(assignment)
    }
  }
}

/** The row of a durable session's shared subscription: where it begins is its group's affair. */
export function rowOf(number: number, wish: Wish): KeyValueWrite {
  const value = rows.encodeSubscription({ ...wish, since: [] })
  return { key: rows.subscriptionKey(number, wish.filter), value }
}
