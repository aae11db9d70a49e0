/**
 * The state of one client: its subscriptions, what is on its way to it, what it has sent of QoS 2. Two kinds: one that ends with its
 * connection and lives in memory, and one that outlives it and every restart.
 *
 * Source: MQTT 5.0 section 4.1; MQTT 3.1.1 section 3.1.2.4.
 * Invariant: QoS 1 and 2 messages of one topic name leave in the order in which they came; what waits is bounded and counted.
 */
import type { Delivery, JointTickets, Message, RetainedRoom, RetainedSeam, TicketStream } from "../../core/mod.ts"
import { type AnswerLine, NOT_FOUND } from "./AnswerLine.ts"
import type { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { HeldFilters } from "./exclusive/HeldFilters.ts"
import type { MessageQueue } from "./MessageQueue.ts"
import type { OutboundWindow } from "./OutboundWindow.ts"
import { ReceivedIdentifiers } from "./ReceivedIdentifiers.ts"
import { RetainedReplays } from "./RetainedReplays.ts"
import { SubscribingSession, type Wish } from "./SubscribingSession.ts"
import { type Assignment, type Join, Memberships } from "./shared/Memberships.ts"
import * as Packet from "./wire/packet-types.ts"

/** At most so much of retained messages at a time. */
const RETAINED_ROOM: RetainedRoom = { messages: 128, bytes: 262_144 }

export abstract class Session extends SubscribingSession {
  readonly tenant: number
  connection: Connection | undefined
  /** Seconds after the end of its connection; 0 = ends with it. */
  expiryInterval: number
  /** Whether it outlives its connection. */
  abstract readonly isDurable: boolean
  abstract readonly window: OutboundWindow | undefined
  /** The client's Receive Maximum or our bound, whichever is smaller. */
  windowLimit: number
  /** Of QoS 2 messages taken and not yet released; undefined where there was none for a while. */
  received: ReceivedIdentifiers | undefined
  /** Of QoS 2 messages whose storing and whose identifier are committed apart. */
  joint: JointTickets | undefined

  constructor(broker: Broker, tenant: number, clientIdentifier: string, expiryInterval: number, windowLimit: number) {
    super(broker, clientIdentifier)
    this.tenant = tenant
    this.expiryInterval = expiryInterval
    this.windowLimit = windowLimit
  }

  get receivedCount(): number {
    return this.received?.count ?? 0
  }

  /** Whether a QoS 2 message with this identifier was taken and not yet released. */
  hasReceived(packetIdentifier: number): boolean {
    return this.received?.has(packetIdentifier) === true
  }

  /** Notes the identifier of a QoS 2 message, which must not be noted already. */
  takeReceived(packetIdentifier: number): ReceivedIdentifiers {
    this.received ??= new ReceivedIdentifiers()
    this.received.take(packetIdentifier)
    return this.received
  }

  /** PUBREL came, or the message was refused: the identifier is free again; false where it was not noted. */
  releaseReceived(packetIdentifier: number): boolean {
    return this.received?.release(packetIdentifier) === true
  }

  /** PUBREL came: its PUBCOMP goes into the line of answers, behind whatever it has to wait for. */
  release(packetIdentifier: number, answers: AnswerLine): void {
    answers.acknowledge(this.releaseReceived(packetIdentifier) ? 0 : NOT_FOUND, Packet.PUBCOMP, packetIdentifier)
  }

  /** Notes where a QoS 2 message that was taken is stored, in this turn's entry; the journal's ticket to wait for, 0 = none. */
  keepReceived(_packetIdentifier: number, _owner: number): number {
    return 0
  }

  /** The same for one that is committed elsewhere: its identifier is kept when that is done; what to wait for, undefined = just that. */
  keepReceivedLater(
    _packetIdentifier: number,
    _stream: TicketStream,
    _ticket: number,
    _owner: number
  ): { readonly stream: TicketStream; readonly ticket: number } | undefined {
    return undefined
  }

  /** Whether its rows may say what is not so, after a failure of the journal. */
  get isDirty(): boolean {
    return false
  }

  /** A QoS 2 message that was taken could not be stored: nothing is kept of its identifier. */
  receivedRefused(_packetIdentifier: number): void {}

  /** What names a QoS 2 message of this session to the shard that stores it; "" = nothing. */
  tokenOf(_packetIdentifier: number): string {
    return ""
  }

  /** A connection is there. */
  attach(connection: Connection): void {
    this.connection = connection
  }

  /** Subscriptions whose rows are not written yet; undefined where there never was one. */
  get subscribing(): TicketStream | undefined {
    return undefined
  }

  replayMoved(): void {}

  /** Adds or replaces a shared subscription; the ticket of its shares' `joins` to wait for. */
  subscribeShared(wish: Wish, join: Join = {}): number {
    this.shares ??= new Memberships(this)
    const { isNew, ticket } = this.shares.add(wish, join)
    if (isNew) this.filterSize += wish.filter.length
    return ticket
  }

  /** Asks for an exclusive filter; `done` is told whether it is the session's. */
  claimExclusive(filter: string, done: (isGranted: boolean) => void): void {
    this.heldFilters().claim(filter, done)
  }

  protected heldFilters(): HeldFilters {
    this.exclusive ??= new HeldFilters(this, this.claimName())
    return this.exclusive
  }

  /** Which of all sessions that its client ever had. */
  protected abstract claimName(): string

  /** Its connection has ended, and with `isOver` the session: what its groups gave it and it has not acknowledged goes to others. */
  leaveShared(isOver: boolean): void {
    this.shares?.detach(isOver)
    this.returnShared()
  }

  deliverUnsafe(message: Message, delivery: Delivery): void {
    if (delivery.noLocal !== "" && message.publisher === delivery.noLocal) {
      if (delivery.parts.length === 0) return
      const rest = delivery.forPublisher()
      if (rest !== undefined) this.deliverUnsafe(message, rest)
      return
    }
    const qos = message.qos < delivery.qos ? message.qos : delivery.qos
    const retain = message.retain && delivery.retainAsPublished
    this.deliver(message, qos, retain, delivery.identifiers)
  }

  /** Its new subscription is owed retained messages: what comes live from now on is not to come once more as one of them. */
  openSeam(): RetainedSeam {
    this.retained ??= new RetainedReplays(this)
    return this.retained.open()
  }

  /** The SUBACK is out: sends the retained messages that match, RETAIN set [MQTT-3.3.1-8]. */
  replay(filter: string, seam: RetainedSeam): void {
    this.retained?.start(filter, seam)
  }

  /** All that was owed has been sent, or waits elsewhere. */
  replayed(): void {
    if (this.retained?.isIdle === true) this.retained = undefined
  }

  /** How many retained messages of a subscription with this QoS may come now; undefined = none. */
  retainedRoom(qos: number): RetainedRoom | undefined {
    const { connection, broker } = this
    if (connection === undefined) return undefined
    // Nothing before the CONNACK [MQTT-3.2.0-1].
    if (connection.session === this && connection.isHalfFree) {
      const messages = qos === 0 ? RETAINED_ROOM.messages : Math.min(this.windowRoom, RETAINED_ROOM.messages)
      const bytes = Math.min(broker.settings.output_bytes_max / 2, RETAINED_ROOM.bytes, broker.budget.left)
      if (messages > 0) return { messages, bytes }
    }
    broker.budget.awaitRoom(connection)
    return undefined
  }

  /** How many messages of QoS 1 and 2 may leave now; 0 while any waits. */
  protected abstract readonly windowRoom: number

  /** A live message, with what its subscriptions make of it. */
  protected abstract deliver(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>): void

  /**
   * Sends a message that no queue log holds for it now, queues or drops it; with `nowMs` its expiry is counted down to that. Returns
   * whether it has left or waits.
   */
  abstract send(
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): boolean

  /** Sends a message of QoS 1 or 2 that a group gave; false where there is no room now. */
  abstract sendShared(assignment: Assignment): boolean
  /** Gives back what groups gave and the client has not acknowledged; a durable session keeps its QoS 2 messages. */
  protected abstract returnShared(): void

  /** What waits for it in memory. */
  abstract readonly queue: MessageQueue | undefined
  /** Forgets what waits in memory, and in queue logs up to `ends`, by log; what is in flight stays. */
  abstract dropQueue(ends: ReadonlyArray<number>): void

  /** Sends what waits as far as window and socket allow. */
  drain(): void {
    this.drainQueue()
    this.retained?.go()
    this.replays?.go()
  }

  protected abstract drainQueue(): void
  /** An identifier is free again (PUBACK, PUBCOMP, or a refusal): the next message leaves. */
  abstract freed(packetIdentifier: number): void
  /** PUBREC came for a QoS 2 message: its PUBREL is due. */
  abstract released(packetIdentifier: number): void
  /** PUBREC came once more. */
  abstract releasedAgain(packetIdentifier: number): void
  /** Forgets everything and takes its subscriptions off the router. */
  abstract end(): void
}
