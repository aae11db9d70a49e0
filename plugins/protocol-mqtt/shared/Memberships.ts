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
import { OrderedTickets } from "../OrderedTickets.ts"
import type { Session } from "../Session.ts"
import type { Wish } from "../SubscribingSession.ts"
import * as rows from "../session-rows.ts"
import { NO_IDENTIFIERS, type Place, type Token } from "./group-rows.ts"

const SHARE_PREFIX = "$share/"

/** A shared subscription as its session has it. */
export interface Membership {
  /** Whether its group knows of it as connected. */
  isAttached: boolean
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

/** A message that a group has given to a member and waits for: of QoS 1 or 2, or one that it replays. */
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

/** How a session comes into a group. */
export interface Join {
  /** The group replays, and the member was told of as away: see {@link SharedGroups.claim}. */
  readonly isClaimed?: boolean
  /** Has the session keep the membership when the group has it for good; `done` is told when it does. */
  readonly keep?: (done: (outcome: number) => void) => void
}

export class Memberships {
  readonly #session: Session
  readonly #byFilter = new Map<string, Membership>()
  /** SUBSCRIBEs that wait for their groups. */
  readonly joins = new OrderedTickets()
  /** Given, and not sent yet; and the bytes of their messages. */
  #waiting: Array<Assignment> = []
  #waitingBytes = 0
  /** Whether its groups were told to give no more: too much waits. */
  #isFull = false
  /** Memberships that are kept when their groups have them; and the filters of which no row tells until then. */
  #keeping = 0
  readonly #unkept = new Set<string>()

  constructor(session: Session) {
    this.#session = session
  }

  /** Whether a row of its is yet to be written. */
  get isKeeping(): boolean {
    return this.#keeping > 0
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

  *wishes(): Iterable<Wish> {
    for (const { wish } of this.#byFilter.values()) yield wish
  }

  wishOf(filter: string): Wish | undefined {
    return this.#byFilter.get(filter)?.wish
  }

  /**
   * Adds or replaces one; the ticket of {@link Memberships.joins} to wait for. Of a group that replays the
   * session keeps the membership when the group does: no row may speak of one whose group would not know from where on it reads.
   */
  add(wish: Wish, { isClaimed = false, keep }: Join = {}): { readonly isNew: boolean; readonly ticket: number } {
    const { shared } = this.#session.broker
    const before = this.#byFilter.get(wish.filter)
    const membership = this.#make(wish, before?.number)
    this.#byFilter.set(wish.filter, membership)
    const ticket = this.joins.stream.issue()
    membership.isAttached = true
    if (keep !== undefined) this.#keeping += 1
    if (keep === undefined) this.#unkept.delete(wish.filter)
    else if (before === undefined) this.#unkept.add(wish.filter)
    const done = (outcome: number): void => {
      if (keep !== undefined) this.#keeping -= 1
      this.joins.done(ticket, outcome)
    }
    const joined = (outcome: number): void => {
      const isThere = this.#byFilter.get(wish.filter) === membership
      if (keep !== undefined && isThere && outcome >= 0) {
        this.#unkept.delete(wish.filter)
        keep(done)
        return
      }
      // It would be forgotten with the session's memory, and its group wait for it for good.
      if (isThere && this.#unkept.has(wish.filter)) this.#session.unsubscribe(wish.filter)
      done(outcome)
    }
    shared.attach(membership, this.#limit, isClaimed, joined)
    return { isNew: before === undefined, ticket }
  }

  /** Takes one off; false where there was none. What was sent for it is acknowledged all the same. */
  remove(filter: string): boolean {
    const membership = this.#byFilter.get(filter)
    if (membership === undefined) return false
    this.#byFilter.delete(filter)
    this.#unkept.delete(filter)
    this.#leave(membership, false)
    this.#giveBack((assignment) => assignment.membership === membership)
    return true
  }

  /** A connection is there. */
  attach(): void {
    this.#isFull = false
    for (const membership of this.#byFilter.values()) {
      membership.isAttached = true
      this.#session.broker.shared.attach(membership, this.#limit, true)
    }
  }

  /** The connection has ended; with `isOver` the session has, too. First it is gone, then what it had not sent goes to others. */
  detach(isOver: boolean): void {
    for (const membership of this.#byFilter.values()) this.#leave(membership, !isOver)
    if (isOver) this.#byFilter.clear()
    this.#giveBack(() => true)
  }

  /** A session without a connection has ended. */
  forget(): void {
    for (const membership of this.#byFilter.values()) this.#leave(membership, false)
    this.#byFilter.clear()
  }

  /** Its group has it no more, or counts it as away. */
  #leave(membership: Membership, staysAway: boolean): void {
    const { broker, tenant } = this.#session
    const { name, wish, isAttached } = membership
    membership.isAttached = false
    if (isAttached) broker.shared.detach(membership, staysAway)
    // It was away: its connection has ended, maybe before its group was told of it.
    else if (!staysAway) broker.shared.away(tenant, name, wish.qos, -1)
  }

  /** A message of QoS 0. */
  send(connection: Connection, { wish, identifiers }: Membership, message: Message): void {
    connection.sendPublish(message, 0, message.retain && wish.retainAsPublished, identifiers, 0)
  }

  /** A message of QoS 1 or 2, or one that its group waits for to have left. */
  take(assignment: Assignment): void {
    if (this.#waiting.length === 0 && this.#send(assignment)) return
    this.#waiting.push(assignment)
    this.#waitingBytes += assignment.message.sizeBytes
    this.#session.broker.held.hold(assignment.message)
    this.#bound()
  }

  /** Sends what waits, as far as there is room. */
  drain(): void {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    let sent = 0
    while (sent < waiting.length) {
      const assignment = waiting[sent]
      if (assignment === undefined || !this.#send(assignment)) break
      this.#left(assignment)
      sent += 1
    }
    if (sent > 0) this.#waiting.splice(0, sent)
    this.#bound()
  }

  /** False where there is no room. What has expired is done with. */
  #send(assignment: Assignment): boolean {
    const { broker } = this.#session
    if (!broker.dropsExpired(assignment.message)) {
      if (assignment.qos > 0) return this.#session.sendShared(assignment)
      const { connection } = this.#session
      // As much as its socket takes, as what is retained.
      if (connection === undefined || this.#session.retainedRoom(0) === undefined) return false
      this.send(connection, assignment.membership, assignment.message)
    }
    broker.shared.acknowledged(assignment)
    return true
  }

  #left({ message }: Assignment): void {
    this.#waitingBytes -= message.sizeBytes
    this.#session.broker.held.release(message)
  }

  /** How many messages each group may give, unacknowledged. */
  get #limit(): number {
    return this.#isFull ? 0 : this.#session.windowLimit
  }

  /** Tells the groups when too much waits for one client, however many groups it is in, and when it does not any more. */
  #bound(): void {
    const { broker, windowLimit } = this.#session
    const bytesMax = broker.settings.queue_bytes_max
    const isOver = this.#waiting.length >= windowLimit || this.#waitingBytes >= bytesMax
    const isLow = this.#waiting.length * 2 <= windowLimit && this.#waitingBytes * 2 <= bytesMax
    if (this.#isFull ? !isLow : !isOver) return
    this.#isFull = !this.#isFull
    for (const membership of this.#byFilter.values()) {
      if (membership.isAttached) broker.shared.attach(membership, this.#limit, false)
    }
  }

  /** All its rows. */
  collect(number: number, writes: Array<KeyValueWrite>, namesOf: (filter: string) => ReadonlyArray<string>): void {
    for (const { wish } of this.#byFilter.values()) {
      if (!this.#unkept.has(wish.filter)) writes.push(rowOf(number, wish, namesOf(wish.filter)))
    }
  }

  #make(wish: Wish, number?: number): Membership {
    const { broker, tenant } = this.#session
    const name = groupNameOf(wish.filter)
    return {
      isAttached: false,
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
      if (!isMeant(assignment)) continue
      this.#left(assignment)
      this.#session.broker.shared.returned(assignment)
    }
  }
}

/** The row of a durable session's shared subscription: where it begins is its group's affair. */
export function rowOf(number: number, wish: Wish, asked: ReadonlyArray<string>): KeyValueWrite {
  const value = rows.encodeSubscription({ ...wish, asked, replay: false, since: [] })
  return { key: rows.subscriptionKey(number, wish.filter), value }
}
