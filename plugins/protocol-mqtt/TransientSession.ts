/** The session of a client that wants nothing kept: it ends with its connection, and all it holds is in memory. */
import type { Message, RouterShape, Subscriber, Subscription } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import { MessageQueue } from "./MessageQueue.ts"
import { OutboundWindow } from "./OutboundWindow.ts"
import { Session } from "./Session.ts"
import type { OwnSubscriptions } from "./SubscribingSession.ts"
import type { Assignment } from "./shared/Memberships.ts"

/** Sessions of this process that were told apart. */
let lastName = 0

export class TransientSession extends Session {
  // On the prototype: there are very many sessions.
  get isDurable(): boolean {
    return false
  }

  /** What groups gave, of QoS 1, lies behind its identifier. */
  window: OutboundWindow<Assignment> | undefined
  #queue: MessageQueue | undefined

  protected claimName(): string {
    lastName += 1
    return `t${lastName}`
  }

  protected get own(): OwnSubscriptions {
    return new RoutedSubscriptions(this.broker.services.router, this)
  }

  /** Messages that wait for room in the window or at the socket. */
  get queueLength(): number {
    return this.#queue?.length ?? 0
  }

  get queue(): MessageQueue | undefined {
    return this.#queue
  }

  dropQueue(): void {
    this.#queue?.clear()
    this.#queue = undefined
  }

  protected deliver(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>): void {
    if (this.send(message, qos, retain, identifiers, 0)) this.retained?.came(message)
  }

  send(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>, nowMs: number): boolean {
    const connection = this.connection
    if (connection === undefined) return false
    if (qos === 0) return connection.sendPublish(message, 0, retain, identifiers, nowMs)
    const window = (this.window ??= new OutboundWindow(this.windowLimit))
    if (window.isFull || this.queueLength > 0 || !connection.takesMore) {
      this.#queue ??= new MessageQueue(this.broker)
      const isQueued = this.#queue.push({ message: message.owned(), qos, retain, identifiers })
      this.broker.budget.awaitRoom(connection)
      return isQueued
    }
    this.#transmit(connection, window, message, qos, retain, identifiers, nowMs)
    return true
  }

  protected get windowRoom(): number {
    const { window } = this
    if (this.queueLength > 0) return 0
    return window === undefined ? this.windowLimit : window.limit - window.count
  }

  protected drainQueue(): void {
    const { connection, window } = this
    const queue = this.#queue
    if (connection === undefined) return
    // Without a window nothing of its own waits; groups that replay give QoS 0, too, and that may.
    if (window === undefined || queue === undefined || queue.length === 0) {
      this.shares?.drain()
      return
    }
    const nowMs = this.broker.services.clock.nowMs()
    while (!window.isFull && connection.takesMore) {
      const next = queue.shift()
      if (next === undefined) break
      const { message, qos, retain, identifiers } = next
      if (!this.broker.dropsExpired(message, nowMs))
        this.#transmit(connection, window, message, qos, retain, identifiers, nowMs)
    }
    if (queue.length > 0) this.broker.budget.awaitRoom(connection)
    else {
      this.#queue = undefined
      this.shares?.drain()
    }
  }

  sendShared(assignment: Assignment): boolean {
    const { connection, broker } = this
    if (connection === undefined) return false
    const { message, qos, retain, membership } = assignment
    const window = (this.window ??= new OutboundWindow(this.windowLimit))
    if (window.isFull || this.queueLength > 0 || !connection.takesMore) {
      broker.budget.awaitRoom(connection)
      return false
    }
    if (!connection.fitsPacketSize(message, qos, retain, membership.identifiers)) {
      broker.counts.droppedTooLarge += 1
      broker.shared.acknowledged(assignment)
      return true
    }
    const identifier = window.take(qos, qos === 1 ? assignment : undefined)
    connection.sendPublish(message, qos, retain, membership.identifiers, broker.services.clock.nowMs(), identifier)
    // Whoever gets QoS 2 from us has it for good [MQTT-4.8.2-5].
    if (qos === 2) broker.shared.kept(assignment)
    return true
  }

  protected returnShared(): void {
    const given: Array<Assignment> = []
    this.window?.forEach((_identifier, _state, assignment) => {
      if (assignment !== undefined) given.push(assignment)
    })
    this.window = undefined
    for (const assignment of given) this.broker.shared.returned(assignment)
  }

  freed(packetIdentifier: number): void {
    const assignment = this.window?.free(packetIdentifier)
    if (assignment !== undefined) this.broker.shared.acknowledged(assignment)
    this.drain()
  }

  released(packetIdentifier: number): void {
    this.window?.released(packetIdentifier)
    this.connection?.sendPubrel(packetIdentifier)
  }

  releasedAgain(packetIdentifier: number): void {
    this.connection?.sendPubrel(packetIdentifier)
  }

  end(): void {
    this.retained?.end()
    this.retained = undefined
    this.leaveRouter()
    this.replays?.endAll()
    this.exclusive?.end()
    this.apart = undefined
    this.filterSize = 0
    this.#queue?.clear()
    this.#queue = undefined
    this.window = undefined
    this.received = undefined
  }

  #transmit(
    connection: Connection,
    window: OutboundWindow,
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): void {
    if (!connection.fitsPacketSize(message, qos, retain, identifiers)) {
      this.broker.counts.droppedTooLarge += 1
      return
    }
    connection.sendPublish(message, qos, retain, identifiers, nowMs, window.take(qos, undefined))
  }
}

/** What the router has of a subscriber: all there is of the subscriptions of a session that is in memory, and nothing is kept twice. */
class RoutedSubscriptions implements OwnSubscriptions {
  readonly #router: RouterShape
  readonly #subscriber: Subscriber

  constructor(router: RouterShape, subscriber: Subscriber) {
    this.#router = router
    this.#subscriber = subscriber
  }

  get count(): number {
    return this.#router.subscriptionCountOf(this.#subscriber)
  }

  has(filter: string): boolean {
    return this.#router.hasSubscription(this.#subscriber, filter)
  }

  get(filter: string): Subscription | undefined {
    return this.#router.subscriptionOf(this.#subscriber, filter)
  }

  all(): Iterable<Subscription> {
    return this.#router.subscriptionsOf(this.#subscriber)
  }
}
