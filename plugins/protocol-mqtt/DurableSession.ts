/**
 * A session that outlives its connection and every restart.
 *
 * Messages for it lie in the queue logs; it keeps a position in each, and a row for each message in flight. While its client keeps up,
 * messages are sent as they are published; when it does not, or comes back, they are read from the queue log, and the place where
 * reading meets what is published is exact. Its rows are written once a turn, all in one entry.
 *
 * Invariants
 *  - All that is below its position is done with, or in flight under a packet identifier that stands in a row.
 *  - A QoS 2 PUBLISH is written when its identifier's row is committed, a PUBREL when its row says that PUBREC came: after a crash the
 *    client gets no second copy under another identifier, and none after it was released [MQTT-4.3.3-8].
 *  - Nothing is kept in memory for a message that waits in a queue log.
 *
 * Source: MQTT 5.0 sections 4.1, 4.3, 4.4, 4.6, 4.9.
 */
import {
  Delivery,
  FAILED,
  type KeyValueWrite,
  type Message,
  matches,
  type QueueRead,
  type QueueSelection,
  type Subscription,
  TicketFifo,
  type TicketStream
} from "../../core/mod.ts"
import { type AnswerLine, NOT_FOUND } from "./AnswerLine.ts"
import type { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { Flow } from "./Flow.ts"
import { LateReceipts } from "./LateReceipts.ts"
import { MessageQueue } from "./MessageQueue.ts"
import { OrderedTickets } from "./OrderedTickets.ts"
import { AWAITS_PUBCOMP, AWAITS_PUBREC, OutboundWindow } from "./OutboundWindow.ts"
import { PastSubscriptions } from "./PastSubscriptions.ts"
import { applyBounds } from "./QueueBounds.ts"
import { Session, type Subscribed, type Wish } from "./Session.ts"
import * as rows from "./session-rows.ts"
import * as Packet from "./wire/packet-types.ts"
import { UNSPECIFIED_ERROR } from "./wire/reason-codes.ts"

/** A message in flight. */
export interface Flight {
  readonly sequence: number
  readonly qos: number
  readonly retain: boolean
  readonly identifiers: ReadonlyArray<number>
  /** Where it lies; queue -1 = nowhere but here and in its row. */
  readonly queue: number
  offset: number
  /** Kept where no queue log has it, and until a QoS 2 message is sent first. */
  message: Message | undefined
}

/** Messages and bytes of one reading: a turn of the loop has others to serve. */
const READ_MESSAGES_MAX = 256
const READ_BYTES_MAX = 262_144
const ONE_MESSAGE = { messagesMax: 1, bytesMax: 1 }
/** What matches no topic name: for a session that wants nothing kept. */
const NO_FILTERS: ReadonlyArray<string> = ["$"]
/** A position is not moved for fewer offsets than this: it costs a row. */
const PASSED_MIN = 10_000
/** Between two times that the bounds of what may wait are applied to a client that is connected and slow. */
const BOUND_INTERVAL_MS = 10_000
/** How often the lowest offset that is needed is looked for. */
const LOW_INTERVAL_MS = 1_000

export class DurableSession extends Session {
  readonly isDurable = true
  readonly number: number
  window: OutboundWindow<Flight> | undefined
  /** The will of its last connection that still waits; 0 = none. */
  will = 0
  /** When its last connection ended, ms since 1970; 0 = it has one. */
  leftAtMs = 0
  readonly #flows: ReadonlyArray<Flow>
  readonly #since = new Map<Subscription, ReadonlyArray<number>>()
  #selection: QueueSelection | undefined
  readonly #past = new PastSubscriptions()
  /** Identifiers of received QoS 2 messages that have a row, with the shard that holds their token; -1 = none does. */
  #kept: Map<number, number> | undefined
  #releases: OrderedTickets | undefined
  /** Identifiers whose token is being given back, with the ticket of {@link DurableSession.#releases} that their PUBCOMP waits for. */
  readonly #releasing = new Map<number, number>()
  #lateReceipts: LateReceipts | undefined
  /** Subscriptions whose rows wait for other shards to say where their queue logs end. */
  #subscribing: OrderedTickets | undefined
  #sequence = 0
  /** Rises with every connection and every end of one: what was asked for an earlier one is not for this. */
  #attachment = 0
  /** Identifiers in flight since an earlier connection that this one has not seen yet, in order. */
  #unsent: Array<number> = []
  /** Whether its connection has had its CONNACK: nothing is sent before [MQTT-3.2.0-1]. */
  #isAttached = false
  #isFetching = false
  /** Messages that no queue log has: retained ones. */
  #extras: MessageQueue | undefined
  #changed: Set<number> | undefined
  /** Identifiers whose packet, of this type, waits for the commit of their row; negative = that has been asked for. */
  #uncommitted: Map<number, number> | undefined
  /** PUBLISH packets that wait for the commit of their rows. */
  #waitingPublishes = 0
  #positionsChanged = false
  #isMarked = false
  /** Of the rows that were written last. */
  #lastTicket = 0
  #isEnded = false
  /** Rows of its are lost: until all are written again they may say what is not so. */
  #isDirty = false
  /** All its rows are to be written in this turn. */
  #isRewriting = false
  /** The ticket under which they were written again; 0 = they were not. */
  #rewriteTicket = 0
  #lowLookedForMs = 0
  #commits: TicketFifo | undefined

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
    this.#flows = positions.map(({ next, low }, queue) => new Flow(queue, next, low))
  }

  /** Puts in what its rows say; before it has a connection. */
  restore(
    subscriptions: ReadonlyArray<readonly [filter: string, row: rows.SubscriptionRow]>,
    flights: ReadonlyArray<readonly [identifier: number, row: rows.FlightRow]>,
    received: ReadonlyArray<readonly [identifier: number, owner: number]>
  ): void {
    for (const [filter, row] of subscriptions) {
      const publisher = row.noLocal ? this.clientIdentifier : ""
      const made = Delivery.subscription(this, filter, row.qos, publisher, row.retainAsPublished, row.identifier)
      this.subscriptions ??= new Map()
      this.subscriptions.set(filter, made)
      this.#since.set(made, row.since)
      this.filterSize += filter.length
    }
    const ordered = [...flights].sort(([, left], [, right]) => left.sequence - right.sequence)
    for (const [identifier, { isReleased, ...row }] of ordered) {
      const state = isReleased ? AWAITS_PUBCOMP : row.qos === 1 ? 1 : AWAITS_PUBREC
      this.window ??= new OutboundWindow(this.windowLimit)
      this.window.restore(identifier, state, { ...row, offset: row.offset, message: row.message })
      this.#sequence = row.sequence
    }
    for (const [identifier, owner] of received) {
      this.takeReceived(identifier)
      this.#keep(identifier, owner)
    }
  }

  /** A connection is there: its subscriptions go live, what was in flight is sent again, and what waits is read. */
  override attach(connection: Connection): void {
    this.#attachment += 1
    this.connection = connection
    this.#isAttached = true
    // The new connection's Receive Maximum may be smaller: what is in flight stays so.
    if (this.window !== undefined) this.window.limit = this.windowLimit
    for (const subscription of this.subscriptions?.values() ?? []) {
      this.broker.services.router.subscribeUnsafe(subscription)
    }
    for (const flow of this.#flows) {
      flow.isBehind = true
      flow.isReading = false
      flow.isBounded = false
    }
    this.#isFetching = false
    this.#unsent = []
    this.window?.forEach((identifier, state) => {
      if (state !== AWAITS_PUBCOMP) this.#unsent.push(identifier)
      else if (this.#uncommitted?.has(identifier) !== true) connection.sendPubrel(identifier)
    })
    this.drain()
  }

  /** Its connection has ended. */
  detach(): void {
    this.#attachment += 1
    this.connection = undefined
    this.#isAttached = false
    this.leaveRouter()
    this.#extras?.clear()
    this.#extras = undefined
    for (const flow of this.#flows) {
      flow.stopWaiting?.()
      flow.stopWaiting = undefined
    }
    if (this.receivedCount === 0) this.received = undefined
    this.#lowLookedForMs = 0
    this.#markPositions()
  }

  override subscribe(wish: Wish): Subscribed {
    const before = this.subscriptions?.get(wish.filter)
    const made = super.subscribe(wish)
    this.#selection = undefined
    const { router, queueLogs, journal } = this.broker.services
    // What was published before is not for a new subscription. For one that is replaced it is delivered as was asked then, and after a
    // crash, which forgets what that was, as is asked now.
    const wasKept = before !== undefined && before.qos > 0
    const since = (wasKept ? this.#since.get(before) : undefined) ?? this.#flows.map((flow) => flow.position)
    const isSame = wasKept && isSameSubscription(before, made.subscription)
    if (wasKept && !isSame) this.#keepPast(before)
    if (before !== undefined) this.#since.delete(before)
    this.#since.set(made.subscription, since)
    let ticket = made.ticket
    if (wish.qos > 0 && !wasKept) ticket = Math.max(ticket, router.wantUnsafe(wish.filter))
    else if (wish.qos === 0 && wasKept) router.unwantUnsafe(wish.filter)
    const write = (from: ReadonlyArray<number>): void => {
      const value = rows.encodeSubscription({ ...wish, since: this.#sinceInRow(from) })
      journal.submit({ writes: [{ key: rows.subscriptionKey(this.number, wish.filter), value }] })
      this.mark()
    }
    if (wasKept) write(since)
    if (isSame) return { ...made, ticket }
    // Asked behind the wish, so that what each log answers lies after what it had before it knew of this.
    const from = since.map(() => Number.POSITIVE_INFINITY)
    this.#since.set(made.subscription, from)
    let waiting = queueLogs.count
    let late = 0
    const isKnown = (): void => {
      if (!wasKept && this.subscriptions?.get(wish.filter) === made.subscription) write(from)
      if (late > 0) this.broker.whenCommitted((outcome) => this.#subscribing?.done(late, outcome))
    }
    for (let log = 0; log < queueLogs.count; log++) {
      queueLogs.end(log, {
        received: (end) => {
          from[log] = end
          waiting -= 1
          if (waiting === 0) isKnown()
        },
        // A shard that does not answer is on its way out, and the node with it.
        failed: () => {}
      })
    }
    if (waiting > 0) {
      // Its row says where it begins, so it is written when that is known; a SUBACK speaks of the row.
      this.#subscribing ??= new OrderedTickets()
      late = this.#subscribing.stream.issue()
    }
    return { ...made, ticket }
  }

  override get subscribing(): TicketStream | undefined {
    return this.#subscribing?.stream
  }

  /** A log that has not said yet where it ends: from here on is not too late. */
  #sinceInRow(since: ReadonlyArray<number>): ReadonlyArray<number> {
    return since.map((offset, log) => (Number.isFinite(offset) ? offset : (this.#flows[log]?.position ?? 0)))
  }

  override unsubscribe(filter: string): boolean {
    const subscription = this.subscriptions?.get(filter)
    if (subscription === undefined || !super.unsubscribe(filter)) return false
    this.#selection = undefined
    this.#keepPast(subscription)
    this.#since.delete(subscription)
    const { router, journal } = this.broker.services
    if (subscription.qos > 0) router.unwantUnsafe(filter)
    journal.submit({ writes: [{ key: rows.subscriptionKey(this.number, filter), value: undefined }] })
    this.mark()
    return true
  }

  override tokenOf(packetIdentifier: number): string {
    return `${this.broker.services.shard.index}/${this.number}/${packetIdentifier}`
  }

  override keepReceived(packetIdentifier: number, owner: number): number {
    const { journal, shard } = this.broker.services
    this.#keep(packetIdentifier, owner === shard.index ? -1 : owner)
    const value = rows.encodeReceived(owner === shard.index ? -1 : owner)
    this.mark()
    return journal.submit({ writes: [{ key: rows.receivedKey(this.number, packetIdentifier), value }] })
  }

  /** A message that was refused after all: its identifier is free, and no row says otherwise. */
  override releaseReceived(packetIdentifier: number): boolean {
    if (!super.releaseReceived(packetIdentifier)) return false
    this.#dropReceived(packetIdentifier)
    return true
  }

  override keepReceivedLater(
    packetIdentifier: number,
    stream: TicketStream,
    ticket: number,
    owner: number
  ): { readonly stream: TicketStream; readonly ticket: number } {
    this.#lateReceipts ??= new LateReceipts(this)
    const late = this.#lateReceipts
    return { stream: late.stream, ticket: late.wait(packetIdentifier, stream, ticket, owner) }
  }

  override receivedRefused(packetIdentifier: number): void {
    if (!this.hasReceived(packetIdentifier)) this.#dropReceived(packetIdentifier)
  }

  override release(packetIdentifier: number, answers: AnswerLine): void {
    const { journal, ingress } = this.broker.services
    const owner = this.#kept?.get(packetIdentifier) ?? -1
    if (owner < 0) {
      const isReleased = this.releaseReceived(packetIdentifier)
      // One that is not known may have been released a moment ago: the client may not use it again before its row is gone.
      if (this.#isDirty) answers.acknowledge(journal.refusal || FAILED, Packet.PUBCOMP, packetIdentifier)
      else if (isReleased || journal.tickets.issued > journal.tickets.committed) {
        answers.wait(journal.tickets, journal.tickets.issued, Packet.PUBCOMP, packetIdentifier)
      } else answers.acknowledge(NOT_FOUND, Packet.PUBCOMP, packetIdentifier)
      return
    }
    this.#releases ??= new OrderedTickets()
    const releases = this.#releases
    const underWay = this.#releasing.get(packetIdentifier)
    const ticket = underWay ?? releases.stream.issue()
    answers.wait(releases.stream, ticket, Packet.PUBCOMP, packetIdentifier)
    if (underWay !== undefined) return
    this.#releasing.set(packetIdentifier, ticket)
    const ended = (outcome: number): void => {
      this.#releasing.delete(packetIdentifier)
      releases.done(ticket, outcome)
      // Where its connection has ended it may leave memory now.
      this.mark()
    }
    // First the shard that stored it lets go, then this one: what is sent again meanwhile is still known.
    ingress.giveBackToken(this.tokenOf(packetIdentifier), (outcome) => {
      if (outcome < 0) {
        ended(outcome)
        return
      }
      this.releaseReceived(packetIdentifier)
      this.broker.whenCommitted(ended)
    })
  }

  #keep(packetIdentifier: number, owner: number): void {
    this.#kept ??= new Map()
    this.#kept.set(packetIdentifier, owner)
  }

  #dropReceived(packetIdentifier: number): void {
    this.#kept?.delete(packetIdentifier)
    const key = rows.receivedKey(this.number, packetIdentifier)
    this.broker.services.journal.submit({ writes: [{ key, value: undefined }] })
    this.mark()
  }

  /** Rows of its are lost and not written again yet. */
  override get isDirty(): boolean {
    return this.#isDirty
  }

  protected deliver(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>): void {
    const { connection } = this
    if (connection === undefined) return
    if (!this.#past.isEmpty && message.queue >= 0) this.#past.cameLive(message.queue, message.queueOffset)
    if (qos === 0) {
      connection.sendPublish(message, 0, retain, identifiers, 0)
      return
    }
    const flow = this.#flows[message.queue]
    if (flow === undefined) {
      // In no queue log, for its shard did not know of the subscription yet: nobody was promised it, and it must not overtake.
      if (this.#flows.some(({ isBehind }) => isBehind)) return
      this.send(message, qos, retain, identifiers, 0)
      return
    }
    if (flow.isBehind || message.queueOffset < flow.position) return
    // What was published just now is not committed yet, and QoS 2 must not run ahead of that.
    if (qos === 2 || !this.#hasRoom(connection) || this.#extras !== undefined) {
      flow.position = message.queueOffset
      flow.isBehind = true
      this.#markPositions()
      if (qos === 2) this.#awaitCommit(flow)
      else this.broker.budget.awaitRoom(connection)
      return
    }
    flow.position = message.queueOffset + 1
    this.#transmit(connection, message, qos, retain, identifiers, 0)
  }

  send(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>, nowMs: number): void {
    const { connection } = this
    if (connection === undefined) return
    if (qos === 0) connection.sendPublish(message, 0, retain, identifiers, nowMs)
    else if (this.#hasRoom(connection) && (this.#extras?.length ?? 0) === 0) {
      this.#transmit(connection, message, qos, retain, identifiers, nowMs)
    } else {
      this.#extras ??= new MessageQueue(this.broker)
      this.#extras.push({ message: message.owned(), qos, retain, identifiers })
      this.broker.budget.awaitRoom(connection)
    }
  }

  drain(): void {
    const { connection } = this
    if (connection === undefined) return
    if (this.#unsent.length > 0) this.#sendUnsent(connection)
    if (this.#unsent.length > 0) return
    this.#sendExtras(connection)
    for (const flow of this.#flows) {
      if (flow.isBehind && !flow.isReading && flow.stopWaiting === undefined) this.#read(connection, flow)
    }
  }

  freed(packetIdentifier: number): void {
    // What has not left yet is not acknowledged.
    if (this.#uncommitted?.has(packetIdentifier) === true) return
    this.window?.free(packetIdentifier)
    this.#change(packetIdentifier)
    // A client may acknowledge what it has from the earlier connection before it gets it again.
    const place = this.#unsent.indexOf(packetIdentifier)
    if (place >= 0) this.#unsent.splice(place, 1)
    this.drain()
  }

  released(packetIdentifier: number): void {
    if (this.#uncommitted?.has(packetIdentifier) === true) return
    const flight = this.window?.sentAs(packetIdentifier)
    if (flight !== undefined) flight.message = undefined
    this.window?.released(packetIdentifier)
    this.#change(packetIdentifier)
    this.#whenCommitted(packetIdentifier, Packet.PUBREL)
  }

  releasedAgain(packetIdentifier: number): void {
    if (this.#uncommitted?.has(packetIdentifier) !== true) this.connection?.sendPubrel(packetIdentifier)
  }

  /** A queue log has lost messages that were not committed: they can be neither read nor sent again. */
  lost(queue: number, from: number, end: number): void {
    this.window?.forEach((_identifier, _state, flight) => {
      if (flight?.queue === queue && flight.offset >= from && flight.offset < end) flight.offset = -1
    })
  }

  /** Whether it knows what no row says: changes of this turn, what is committed elsewhere, subscriptions that were taken off. */
  get hasUnwritten(): boolean {
    const isAwaited = this.#lateReceipts?.isWaiting === true || this.#releasing.size > 0
    const { subscribing } = this
    if (subscribing !== undefined && subscribing.issued > subscribing.committed) return true
    const isCommitted = this.#lastTicket <= this.broker.services.journal.tickets.committed
    return !isCommitted || this.#isMarked || this.#isDirty || isAwaited || !this.#past.isEmpty
  }

  /** What it has seen all of, up to `end`: it needs nothing below, where it keeps up. */
  passed(queue: number, end: number): void {
    const flow = this.#flows[queue]
    if (flow === undefined || flow.isBehind || end - flow.position < PASSED_MIN) return
    flow.position = end
    this.#markPositions()
  }

  end(): void {
    this.#attachment += 1
    this.#isEnded = true
    if (this.connection !== undefined) this.leaveRouter()
    for (const { qos, filter } of this.subscriptions?.values() ?? []) {
      if (qos > 0) this.broker.services.router.unwantUnsafe(filter)
    }
    for (const flow of this.#flows) flow.stopWaiting?.()
    this.connection = undefined
    this.subscriptions = undefined
    this.#since.clear()
    this.filterSize = 0
    this.#extras?.clear()
    this.#extras = undefined
    this.window = undefined
    this.received = undefined
    this.#changed = undefined
    this.#uncommitted = undefined
    this.#unsent = []
  }

  /** The rows that this turn has changed; called by the broker at the end of the turn. */
  collect(writes: Array<KeyValueWrite>): void {
    this.#isMarked = false
    if (this.#isEnded) return
    const { number, window } = this
    // A row that says more than one that was lost must not stand alone: a position above a message whose flight is lost.
    if (this.#isDirty && this.#rewriteTicket === 0) this.#isRewriting = true
    if (this.#isRewriting) this.#collectAnew(writes)
    for (const identifier of this.#changed ?? []) {
      const state = window?.stateOf(identifier) ?? 0
      const flight = state === 0 ? undefined : window?.sentAs(identifier)
      const value =
        flight === undefined
          ? undefined
          : rows.encodeFlight({
              ...flight,
              isReleased: state === AWAITS_PUBCOMP,
              message: flight.queue < 0 && state !== AWAITS_PUBCOMP ? flight.message : undefined
            })
      writes.push({ key: rows.flightKey(number, identifier), value })
    }
    this.#changed?.clear()
    if (!this.#positionsChanged) return
    this.#positionsChanged = false
    this.#lookForLow()
    const positions = this.#flows.map(({ position, low }) => ({ next: position, low }))
    writes.push({ key: rows.positionsKey(number), value: rows.encodePositions(positions) })
  }

  /** What was collected stands in the journal under `ticket`: packets that wait for it have their place now. */
  submitted(ticket: number): void {
    this.#lastTicket = ticket
    if (this.#isRewriting) {
      this.#isRewriting = false
      this.#rewriteTicket = ticket
    }
    for (const [identifier, type] of this.#uncommitted ?? []) {
      if (type < 0) continue
      this.#commits ??= new TicketFifo({
        released: (outcome, _kind, value) => this.#committed(outcome, value),
        releasedAll: () => {}
      })
      // Told once: from now on it only waits.
      this.#uncommitted?.set(identifier, -type)
      this.#commits.push(this.broker.services.journal.tickets, ticket, 0, identifier)
    }
  }

  /** The rows of a turn are lost: memory is right and the store is not. */
  rowsLost(): void {
    this.#isDirty = !this.#isEnded
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
    if (!this.#isEnded && this.#isDirty) this.mark()
  }

  /** Everything, in place of whatever its rows say. */
  #collectAnew(writes: Array<KeyValueWrite>): void {
    const { number, broker } = this
    for (const [identifier, type] of this.#uncommitted ?? []) this.#uncommitted?.set(identifier, Math.abs(type))
    for (const prefix of ["ss", "si", "sr"]) {
      const { start, end } = rows.rangeOf(prefix, number)
      writes.push({ key: start, value: undefined, end })
    }
    broker.sessions.collect(this, writes)
    for (const subscription of this.subscriptions?.values() ?? []) {
      const { filter, qos, noLocal, retainAsPublished, identifier } = subscription
      const since = this.#sinceInRow(this.#since.get(subscription) ?? [])
      const row = { qos, noLocal: noLocal !== "", retainAsPublished, identifier, since }
      writes.push({ key: rows.subscriptionKey(number, filter), value: rows.encodeSubscription(row) })
    }
    for (const [identifier, owner] of this.#kept ?? []) {
      writes.push({ key: rows.receivedKey(number, identifier), value: rows.encodeReceived(owner) })
    }
    this.#changed ??= new Set()
    this.window?.forEach((identifier) => {
      this.#changed?.add(identifier)
    })
    this.#positionsChanged = true
  }

  #hasRoom(connection: Connection): boolean {
    return this.#unsent.length === 0 && this.window?.isFull !== true && connection.takesMore
  }

  #transmit(
    connection: Connection,
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): void {
    this.#markPositions()
    if (!connection.fitsPacketSize(message, qos, retain, identifiers)) {
      this.broker.counts.droppedTooLarge += 1
      return
    }
    this.window ??= new OutboundWindow(this.windowLimit)
    const { queue, queueOffset: offset } = message
    // What comes behind a QoS 2 message that waits for its commit waits, too: nothing overtakes.
    const waits = qos === 2 || this.#waitingPublishes > 0
    const kept = queue < 0 || waits ? message.owned() : undefined
    this.#sequence += 1
    const flight = { sequence: this.#sequence, qos, retain, identifiers, queue, offset, message: kept }
    const identifier = this.window.take(qos, flight)
    this.#change(identifier)
    if (waits) this.#whenCommitted(identifier, Packet.PUBLISH)
    else connection.sendPublish(message, 1, retain, identifiers, nowMs, identifier)
  }

  #whenCommitted(identifier: number, kind: number): void {
    this.#uncommitted ??= new Map()
    this.#uncommitted.set(identifier, kind)
    if (kind === Packet.PUBLISH) this.#waitingPublishes += 1
  }

  #committed(outcome: number, identifier: number): void {
    const { window } = this
    const connection = this.#isAttached ? this.connection : undefined
    const type = this.#uncommitted?.get(identifier)
    // What is lost waits until it is written again.
    if (outcome < 0 || type === undefined) return
    this.#uncommitted?.delete(identifier)
    if (Math.abs(type) === Packet.PUBREL) {
      connection?.sendPubrel(identifier)
      return
    }
    this.#waitingPublishes -= 1
    const flight = window?.sentAs(identifier)
    if (connection === undefined || flight?.message === undefined) return
    if (this.#unsent.includes(identifier)) {
      this.drain()
      return
    }
    const { message, qos, retain, identifiers } = flight
    connection.sendPublish(message, qos, retain, identifiers, this.broker.services.clock.nowMs(), identifier)
    if (flight.queue >= 0) flight.message = undefined
  }

  /**
   * Sends again what was in flight on an earlier connection and not yet on this one, in order [MQTT-4.4.0-1]. All that is in use and not
   * among it counts against the limit: what was sent on this connection, and the PUBRELs whose PUBCOMP is due [MQTT-3.3.4-9].
   */
  #sendUnsent(connection: Connection): void {
    const { window } = this
    while (window !== undefined && !this.#isFetching && connection.takesMore) {
      const identifier = this.#unsent[0]
      if (identifier === undefined || window.count - this.#unsent.length >= window.limit) return
      // It has not left before, and its row is not committed yet.
      if (this.#uncommitted?.has(identifier) === true) return
      const flight = window.sentAs(identifier)
      if (flight === undefined) this.#unsent.shift()
      else if (flight.message !== undefined) this.#sendAgain(connection, window, identifier, flight, flight.message)
      else if (flight.offset < 0) this.#giveUp(window, identifier, flight)
      else this.#fetch(connection, identifier, flight)
    }
  }

  /** Reads a message in flight from its queue log, at once where that has it in memory. */
  #fetch(connection: Connection, identifier: number, flight: Flight): void {
    const attachment = this.#attachment
    this.#isFetching = true
    let isInPlace = true
    const fetched = (message: Message | undefined): void => {
      if (attachment !== this.#attachment) return
      this.#isFetching = false
      const { window } = this
      if (window !== undefined && this.#unsent[0] === identifier) {
        if (message === undefined) this.#giveUp(window, identifier, flight)
        else this.#sendAgain(connection, window, identifier, flight, message)
      }
      if (!isInPlace) this.drain()
    }
    const everything = { tenant: this.tenant, filters: [] }
    this.broker.services.queueLogs.read(flight.queue, flight.offset, everything, ONE_MESSAGE, false, {
      received: ({ messages }) => fetched(messages.find(({ queueOffset }) => queueOffset === flight.offset)),
      failed: () => this.#unreadable(attachment)
    })
    isInPlace = false
  }

  #sendAgain(
    connection: Connection,
    window: OutboundWindow<Flight>,
    identifier: number,
    flight: Flight,
    message: Message
  ): void {
    this.#unsent.shift()
    const { qos, retain, identifiers } = flight
    if (connection.fitsPacketSize(message, qos, retain, identifiers)) {
      connection.resendPublish(message, qos, retain, identifiers, identifier, this.broker.services.clock.nowMs())
      if (flight.queue >= 0) flight.message = undefined
      return
    }
    // As if it had been sent and acknowledged [MQTT-3.1.2-25].
    this.broker.counts.droppedTooLarge += 1
    this.#pass(window, identifier, flight)
  }

  /** Ends a flight that cannot be sent again: of QoS 2 by PUBREL, since the client may know its identifier from the first time. */
  #pass(window: OutboundWindow<Flight>, identifier: number, { qos }: Flight): void {
    if (qos === 2) {
      this.released(identifier)
      return
    }
    window.free(identifier)
    this.#change(identifier)
  }

  /** What a bound of the queue log has trimmed cannot be sent again. */
  #giveUp(window: OutboundWindow<Flight>, identifier: number, flight: Flight): void {
    this.#unsent.shift()
    this.broker.counts.droppedQueue += 1
    this.#pass(window, identifier, flight)
  }

  #sendExtras(connection: Connection): void {
    const extras = this.#extras
    if (extras === undefined) return
    const nowMs = this.broker.services.clock.nowMs()
    while (this.#hasRoom(connection)) {
      const next = extras.shift()
      if (next === undefined) break
      const { message, qos, retain, identifiers } = next
      if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) this.broker.counts.droppedExpired += 1
      else this.#transmit(connection, message, qos, retain, identifiers, nowMs)
    }
    if (extras.length === 0) this.#extras = undefined
  }

  /** Reads what waits in a queue log and sends it, as far as there is room. */
  #read(connection: Connection, flow: Flow): void {
    const attachment = this.#attachment
    for (;;) {
      if (!this.#hasRoom(connection)) {
        this.broker.budget.awaitRoom(connection)
        return
      }
      const selection = this.#selectionOf()
      if (!flow.isBounded) {
        this.#bound(flow, selection)
        if (!flow.isBounded) return
      }
      const limits = { messagesMax: this.#readMax(), bytesMax: READ_BYTES_MAX }
      let isInPlace = true
      let goesOn = false
      flow.isReading = true
      this.broker.services.queueLogs.read(flow.queue, flow.position, selection, limits, true, {
        received: (read) => {
          if (attachment !== this.#attachment) return
          flow.isReading = false
          // What was read for other subscriptions says nothing of what these want.
          const isMore = selection !== this.#selection || this.#take(connection, flow, read)
          if (isInPlace) goesOn = isMore
          else if (isMore) this.drain()
        },
        failed: () => this.#unreadable(attachment)
      })
      isInPlace = false
      if (!goesOn) return
    }
  }

  /** Passes over what is more than may wait; in place where that can be told at once. */
  #bound(flow: Flow, selection: QueueSelection): void {
    const attachment = this.#attachment
    const { settings, services } = this.broker
    const bounds = { messagesMax: settings.queue_messages_max, bytesMax: settings.queue_bytes_max }
    let isInPlace = true
    flow.isReading = true
    applyBounds(
      services.queueLogs,
      flow.queue,
      flow.position,
      selection,
      bounds,
      settings.queue_overflow,
      (allowed) => {
        if (attachment !== this.#attachment) return
        flow.isReading = false
        flow.isBounded = true
        flow.boundedAtMs = services.clock.nowMs()
        this.broker.counts.droppedQueue += allowed.dropped
        flow.skipFrom = allowed.skipFrom
        flow.skipTo = allowed.skipTo
        if (allowed.from > flow.position) {
          flow.position = allowed.from
          this.#markPositions()
        }
        if (!isInPlace) this.drain()
      }
    )
    isInPlace = false
  }

  #readMax(): number {
    const { window } = this
    const room = window === undefined ? this.windowLimit : window.limit - window.count
    return Math.max(1, Math.min(room, READ_MESSAGES_MAX))
  }

  /** What was published for a subscription that is taken off, and not read yet, is delivered all the same. */
  #keepPast(subscription: Subscription): void {
    if (subscription.qos === 0 || !this.#flows.some(({ isBehind }) => isBehind)) return
    this.#past.add(subscription, this.#since.get(subscription) ?? [], this.broker.services.queueLogs)
  }

  /** What it wants of the queue logs; the same object until a subscription changes. */
  #selectionOf(): QueueSelection {
    if (this.#selection === undefined) {
      const filters: Array<string> = []
      for (const { filter, qos } of this.subscriptions?.values() ?? []) if (qos > 0) filters.push(filter)
      this.#past.filtersInto(filters)
      this.#selection = { tenant: this.tenant, filters: filters.length === 0 ? NO_FILTERS : filters }
    }
    return this.#selection
  }

  /** A queue log could not be read: the client comes again, and what waits is still there. */
  #unreadable(attachment: number): void {
    if (attachment === this.#attachment) this.connection?.close(UNSPECIFIED_ERROR)
  }

  /** Sends what was read; true where there is more to read now. */
  #take(connection: Connection, flow: Flow, read: QueueRead): boolean {
    if (read.startOffset > flow.position) this.broker.counts.trimmedBehind += 1
    const nowMs = this.broker.services.clock.nowMs()
    const before = flow.position
    for (const message of read.messages) {
      if (message.queueOffset < flow.position) continue
      if (!this.#sendRead(connection, flow, message, nowMs)) return false
    }
    if (read.next > flow.position) {
      flow.position = read.next
      this.#markPositions()
    }
    if (read.isAtEnd) {
      flow.isBehind = false
      if (!this.#past.isEmpty && this.#flows.every(({ isBehind }) => !isBehind)) {
        this.#past.clear()
        this.#selection = undefined
      }
      return false
    }
    // A client that is connected and slow may not have more wait for it than one that is away.
    const isFar = read.endOffset - flow.position > this.broker.settings.queue_messages_max
    if (isFar && nowMs - flow.boundedAtMs > BOUND_INTERVAL_MS) flow.isBounded = false
    if (flow.position > before) return true
    this.#awaitCommit(flow)
    return false
  }

  /** False where there is no room: it is read again later. */
  #sendRead(connection: Connection, flow: Flow, message: Message, nowMs: number): boolean {
    const delivery = this.#deliveryOf(message)
    const isOwn = delivery !== undefined && delivery.noLocal !== "" && message.publisher === delivery.noLocal
    const rest = isOwn ? delivery.forPublisher() : delivery
    if (rest === undefined || rest.qos === 0) return true
    if (message.queueOffset >= flow.skipFrom && message.queueOffset < flow.skipTo) return true
    if (this.#isTooOld(message, nowMs)) {
      this.broker.counts.droppedQueue += 1
      return true
    }
    if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) {
      this.broker.counts.droppedExpired += 1
      return true
    }
    if (!this.#hasRoom(connection)) {
      flow.position = message.queueOffset
      this.#markPositions()
      this.broker.budget.awaitRoom(connection)
      return false
    }
    flow.position = message.queueOffset + 1
    const qos = Math.min(message.qos, rest.qos)
    this.#transmit(connection, message, qos, message.retain && rest.retainAsPublished, rest.identifiers, nowMs)
    return true
  }

  #isTooOld(message: Message, nowMs: number): boolean {
    const ageMax = this.broker.settings.queue_age_max
    return ageMax !== 0 && message.timestamp < nowMs - ageMax * 1_000
  }

  /** What its subscriptions, those that were there when it was published, make of a message. */
  #deliveryOf(message: Message): Delivery | undefined {
    const matched: Array<Subscription> = []
    for (const subscription of this.subscriptions?.values() ?? []) {
      const since = this.#since.get(subscription)?.[message.queue] ?? 0
      if (message.queueOffset >= since && matches(subscription.filter, message.name)) matched.push(subscription)
    }
    if (!this.#past.isEmpty) this.#past.matchedInto(message, matches, matched)
    return Delivery.gather(matched)[0]
  }

  #awaitCommit(flow: Flow): void {
    flow.stopWaiting?.()
    flow.stopWaiting = this.broker.services.queueLogs.watch(flow.queue, flow.position, {
      queueAdvanced: () => {
        flow.stopWaiting = undefined
        this.drain()
      }
    })
  }

  #change(identifier: number): void {
    this.#changed ??= new Set()
    this.#changed.add(identifier)
    this.mark()
  }

  #markPositions(): void {
    this.#positionsChanged = true
    this.mark()
  }

  /** Rows of its are written in this turn: it is told what came of them. */
  mark(): void {
    if (this.#isMarked) return
    this.#isMarked = true
    this.broker.writeAtEndOfTurn(this)
  }

  /** The lowest offset of each queue log that is still needed; it need not be exact, but never too high. */
  #lookForLow(): void {
    const nowMs = this.broker.services.clock.monotonicMs()
    if (nowMs - this.#lowLookedForMs < LOW_INTERVAL_MS && this.#lowLookedForMs !== 0) return
    this.#lowLookedForMs = nowMs
    for (const flow of this.#flows) flow.low = flow.position
    this.window?.forEach((_identifier, state, flight) => {
      const flow = flight === undefined || state === AWAITS_PUBCOMP ? undefined : this.#flows[flight.queue]
      if (flow !== undefined && flight !== undefined && flight.offset >= 0) {
        flow.low = Math.min(flow.low, flight.offset)
      }
    })
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
