/**
 * A session that outlives its connection and every restart.
 *
 * Messages for it lie in the queue logs; it keeps a position in each ({@link Feed}), and a row for each message in flight
 * ({@link Flights}), for each subscription ({@link KeptSubscriptions}) and for each QoS 2 message that its client has not released yet
 * ({@link KeptReceipts}). Here is what holds these together: connections that come and go, and the rows.
 *
 * Invariants
 *  - All that is below its position is done with, or in flight under a packet identifier that stands in a row: what changes in a turn is
 *    written at its end, all in one entry.
 *  - After rows are lost none is written alone: all are written again, in one entry, over whatever they say.
 *
 * Source: MQTT 5.0 section 4.1.
 */
import { type KeyValueWrite, type Message, type Subscriber, Subscription, type TicketStream } from "../../core/mod.ts"
import type { AnswerLine } from "./AnswerLine.ts"
import type { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { Feed } from "./Feed.ts"
import type { Flight } from "./Flight.ts"
import { Flights } from "./Flights.ts"
import { Flow } from "./Flow.ts"
import { KeptReceipts } from "./KeptReceipts.ts"
import { KeptSubscriptions } from "./KeptSubscriptions.ts"
import type { MessageQueue } from "./MessageQueue.ts"
import type { OutboundWindow } from "./OutboundWindow.ts"
import type { ReplayPlace } from "./replay/find-start.ts"
import { restoreReplay } from "./replay/start-replay.ts"
import { Session } from "./Session.ts"
import type { OwnSubscriptions, Subscribed, Wish } from "./SubscribingSession.ts"
import { SubscriptionRows } from "./SubscriptionRows.ts"
import * as rows from "./session-rows.ts"
import { type Assignment, isShared, type Join, Memberships } from "./shared/Memberships.ts"
import { UNSPECIFIED_ERROR } from "./wire/reason-codes.ts"

export class DurableSession extends Session {
  // On the prototype: there are very many sessions.
  get isDurable(): boolean {
    return true
  }
  readonly number: number
  /** The will of its last connection that still waits; 0 = none. */
  will = 0
  /** When its last connection ended, ms since 1970; 0 = it has one. */
  leftAtMs = 0
  /** Rises with every connection and every end of one: what was asked for an earlier one is not for this. */
  attachment = 0
  readonly flights: Flights
  readonly receipts: KeptReceipts
  readonly #kept: KeptSubscriptions
  readonly #rows: SubscriptionRows
  readonly feed: Feed
  /** Its subscriptions are with the router. */
  #isLive = false
  #isMarked = false
  /** Of the rows that were written last. */
  #lastTicket = 0
  isEnded = false
  /** Rows of its are lost: until all are written again they may say what is not so. */
  #isDirty = false
  /** All its rows are to be written in this turn. */
  #isRewriting = false
  /** The ticket under which they were written again; 0 = they were not. */
  #rewriteTicket = 0

  constructor(
    broker: Broker,
    tenant: number,
    clientIdentifier: string,
    expiryInterval: number,
    windowLimit: number,
    number: number,
    positions: ReadonlyArray<rows.Position>
  ) {
    super(broker, tenant, clientIdentifier, expiryInterval, windowLimit)
    this.number = number
    const flows = positions.map(({ next, low }, queue) => new Flow(queue, next, low))
    this.flights = new Flights(this)
    this.receipts = new KeptReceipts(this)
    this.#kept = new KeptSubscriptions(this, flows)
    this.#rows = new SubscriptionRows(this, this.#kept)
    this.feed = new Feed(this, flows, this.#kept, this.flights)
  }

  protected override claimName(): string {
    return String(this.number)
  }

  protected get own(): OwnSubscriptions {
    return this.#kept
  }

  get queue(): MessageQueue | undefined {
    return this.feed.extras
  }

  dropQueue(ends: ReadonlyArray<number>): void {
    this.feed.drop(ends)
  }

  override get window(): OutboundWindow<Flight> | undefined {
    return this.flights.window
  }

  /** Puts in what its rows say; before it has a connection. */
  restore(
    subscriptions: ReadonlyArray<readonly [filter: string, row: rows.SubscriptionRow]>,
    flights: ReadonlyArray<readonly [identifier: number, row: rows.FlightRow]>,
    received: ReadonlyArray<readonly [identifier: number, owner: number]>,
    places: ReadonlyMap<string, ReadonlyArray<ReplayPlace>>
  ): void {
    for (const [filter, row] of subscriptions) {
      this.restoreNames(filter, row.asked)
      if (isShared(filter)) {
        this.shares ??= new Memberships(this)
        this.shares.restore({ filter, ...row })
        this.filterSize += filter.length
        continue
      }
      if (row.exclusive) this.heldFilters().restore(filter)
      const publisher = row.noLocal ? this.clientIdentifier : ""
      const replay = row.replay ? restoreReplay(this, { filter, ...row }, places) : undefined
      const made = new Subscription(replay ?? this, filter, row.qos, publisher, row.retainAsPublished, row.identifier)
      if (replay === undefined) this.#kept.restore(made, row.since)
      else (this.apart ??= new Map()).set(filter, made)
      this.filterSize += filter.length
    }
    this.flights.restore(flights)
    for (const [identifier, owner] of received) {
      this.takeReceived(identifier)
      this.receipts.restore(identifier, owner)
    }
  }

  /** A connection is there: its subscriptions go live, what was in flight is sent again, and what waits is read. */
  override attach(connection: Connection): void {
    this.attachment += 1
    this.connection = connection
    this.#isLive = true
    for (const subscription of this.unshared()) this.broker.services.router.subscribeUnsafe(subscription)
    this.feed.attach()
    this.flights.attach(connection)
    this.drain()
    this.shares?.attach()
    this.replays?.attach()
  }

  /** Its connection has ended. */
  detach(): void {
    this.attachment += 1
    this.connection = undefined
    this.flights.detach()
    this.#leave()
    this.replays?.detach()
    if (this.receivedCount === 0) this.received = undefined
    this.feed.detach()
    this.retained?.detached()
  }

  override end(): void {
    this.attachment += 1
    this.isEnded = true
    // Its connection, where it had one, is gone by now; its subscriptions may be live all the same.
    this.#leave()
    this.replays?.endAll()
    if (this.connection !== undefined) this.leaveShared(true)
    else this.shares?.forget()
    this.#kept.end()
    this.feed.end()
    this.flights.end()
    this.connection = undefined
    this.apart = undefined
    this.asked = undefined
    this.filterSize = 0
    this.received = undefined
    this.retained?.end()
    this.retained = undefined
  }

  /** Its subscriptions go off the router. */
  #leave(): void {
    if (this.#isLive) this.leaveRouter()
    this.#isLive = false
  }

  /** A queue log could not be read for the connection of `attachment`: the client comes again, and what waits is still there. */
  unreadable(attachment: number): void {
    if (attachment === this.attachment) this.connection?.close(UNSPECIFIED_ERROR)
  }

  override subscribe(wish: Wish, subscriber: Subscriber = this): Subscribed {
    const wasReplay = this.replays?.has(wish.filter) === true
    return this.#rows.subscribed(wish, super.subscribe(wish, subscriber), subscriber !== this, wasReplay)
  }

  override replayMoved(): void {
    this.mark()
  }

  override subscribeShared(wish: Wish, join: Join = {}): number {
    const ticket = super.subscribeShared(wish, this.#rows.joining(wish, join))
    if (join.isClaimed !== true) this.#rows.shared(wish)
    return ticket
  }

  protected override renamed(filter: string): void {
    this.#rows.renamed(filter)
  }

  override get subscribing(): TicketStream | undefined {
    return this.#kept.waiting
  }

  override unsubscribe(filter: string): boolean {
    const wasReplay = this.replays?.has(filter) === true
    if (!super.unsubscribe(filter)) return false
    this.#rows.unsubscribed(filter, wasReplay)
    return true
  }

  override tokenOf(packetIdentifier: number): string {
    return rows.tokenOf(this.broker.services.shard.index, this.number, packetIdentifier)
  }

  override keepReceived(packetIdentifier: number, owner: number): number {
    return this.receipts.keep(packetIdentifier, owner)
  }

  override keepReceivedLater(
    packetIdentifier: number,
    stream: TicketStream,
    ticket: number,
    owner: number
  ): { readonly stream: TicketStream; readonly ticket: number } {
    return this.receipts.keepLater(packetIdentifier, stream, ticket, owner)
  }

  /** A message that was refused after all, or released: its identifier is free, and no row says otherwise. */
  override releaseReceived(packetIdentifier: number): boolean {
    if (!super.releaseReceived(packetIdentifier)) return false
    this.receipts.drop(packetIdentifier)
    return true
  }

  override receivedRefused(packetIdentifier: number): void {
    if (!this.hasReceived(packetIdentifier)) this.receipts.drop(packetIdentifier)
  }

  override release(packetIdentifier: number, answers: AnswerLine): void {
    this.receipts.release(packetIdentifier, answers)
  }

  protected override deliver(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>): void {
    const { connection } = this
    if (connection === undefined) return
    if (this.feed.deliver(connection, message, qos, retain, identifiers)) this.retained?.came(message)
  }

  override send(
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): boolean {
    const { connection } = this
    // Nothing before the CONNACK [MQTT-3.2.0-1].
    return this.feed.send(
      connection?.session === this ? connection : undefined,
      message,
      qos,
      retain,
      identifiers,
      nowMs
    )
  }

  override replayed(): void {
    super.replayed()
    if (this.connection === undefined && this.leftAtMs !== 0) this.broker.sessions.leave(this)
  }

  override sendShared(assignment: Assignment): boolean {
    const { connection } = this
    return connection !== undefined && this.flights.transmitShared(connection, assignment)
  }

  protected override returnShared(): void {
    this.flights.returnShared()
  }

  protected override get windowRoom(): number {
    const { connection } = this
    const isFree = connection !== undefined && !this.feed.hasExtras && this.flights.hasRoom(connection)
    return isFree ? this.flights.room : 0
  }

  protected override drainQueue(): void {
    const { connection } = this
    if (connection === undefined) return
    if (this.flights.hasUnsent) this.flights.sendUnsent(connection)
    if (this.flights.hasUnsent) return
    this.feed.drain(connection)
    this.shares?.drain()
  }

  override freed(packetIdentifier: number): void {
    this.flights.freed(packetIdentifier)
  }

  override released(packetIdentifier: number): void {
    this.flights.released(packetIdentifier)
  }

  override releasedAgain(packetIdentifier: number): void {
    this.flights.releasedAgain(packetIdentifier)
  }

  /** Rows of its are lost and not written again yet. */
  override get isDirty(): boolean {
    return this.#isDirty
  }

  /** Whether it knows what no row says: changes of this turn, what is committed elsewhere, subscriptions that were taken off. */
  get hasUnwritten(): boolean {
    const { subscribing } = this
    if (subscribing !== undefined && subscribing.issued > subscribing.committed) return true
    const isCommitted = this.#lastTicket <= this.broker.services.journal.tickets.committed
    return (
      !isCommitted ||
      this.#isMarked ||
      this.#isDirty ||
      this.receipts.isAwaited ||
      this.#kept.hasPast ||
      this.retained !== undefined ||
      this.exclusive?.isAsking === true ||
      this.shares?.isKeeping === true ||
      this.feed.hasExtras
    )
  }

  /** Rows of its are written in this turn: it is told what came of them. */
  mark(): void {
    if (this.#isMarked) return
    this.#isMarked = true
    this.broker.writeAtEndOfTurn(this)
  }

  /** The rows that this turn has changed; called by the broker at the end of the turn. */
  collect(writes: Array<KeyValueWrite>): void {
    this.#isMarked = false
    if (this.isEnded) return
    // A row that says more than one that was lost must not stand alone: a position above a message whose flight is lost.
    if (this.#isDirty && this.#rewriteTicket === 0) this.#isRewriting = true
    if (this.#isRewriting) this.#collectAnew(writes)
    this.replays?.collect(this.number, writes)
    this.flights.collect(writes)
    this.feed.collect(writes)
  }

  /** Everything, in place of whatever its rows say. */
  #collectAnew(writes: Array<KeyValueWrite>): void {
    rows.dropContents(this.number, writes)
    this.broker.sessions.collect(this, writes)
    this.#rows.collect(writes)
    this.receipts.collect(writes)
    this.flights.rewrite()
    this.feed.rewrite()
  }

  /** What was collected stands in the journal under `ticket`. */
  submitted(ticket: number): void {
    this.#lastTicket = ticket
    if (this.#isRewriting) {
      this.#isRewriting = false
      this.#rewriteTicket = ticket
    }
    this.flights.submitted(ticket)
  }

  /** The rows of a turn are lost: memory is right and the store is not. */
  rowsLost(): void {
    this.#isDirty = !this.isEnded
    this.#rewriteTicket = 0
  }

  /** The rows of a turn are committed. */
  rowsCommitted(): void {
    const { tickets } = this.broker.services.journal
    if (this.#rewriteTicket === 0 || this.#rewriteTicket > tickets.committed) return
    this.#rewriteTicket = 0
    this.#isDirty = false
  }

  /** After a failure of the journal: all its rows are written again at the end of this turn. */
  rewrite(): void {
    if (!this.isEnded && this.#isDirty) this.mark()
  }
}
