/**
 * The state of one client, whether it is connected or not: subscriptions, what is on its way to it, what it has sent of QoS 2.
 *
 * Source: MQTT 5.0 section 4.1; MQTT 3.1.1 section 3.1.2.4.
 * Invariants
 *  - QoS 1 and 2 messages leave in the order in which they came; what waits is bounded and counted.
 *  - A session whose expiry is 0 ends with its connection and keeps nothing that only a resumption could use.
 */
import {
  type Delivery,
  Delivery as DeliveryOf,
  type Message,
  type Subscriber,
  type Subscription
} from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { AWAITS_PUBCOMP, OutboundWindow, type Sent } from "./OutboundWindow.ts"
import type { ReceivedIdentifiers } from "./ReceivedIdentifiers.ts"

/** Stand in while there is nothing: an idle session keeps no array of its own. Never written to. */
const NO_IDENTIFIERS: Array<number> = []
const NOTHING_QUEUED: Array<Sent> = []

export class Session implements Subscriber {
  readonly tenant: number
  readonly clientIdentifier: string
  readonly broker: Broker
  connection: Connection | undefined
  /** Seconds after the end of its connection; 0 = ends with it. */
  expiryInterval: number
  /** The client's Receive Maximum or our bound, whichever is smaller. */
  window: OutboundWindow | undefined
  windowLimit: number
  /** Of QoS 2 messages taken and not yet released; undefined where there was none for a while. */
  received: ReceivedIdentifiers | undefined
  #subscriptions: Map<string, Subscription> | undefined
  /** Characters of all topic filters. */
  filterSize = 0
  /** Identifiers in flight since an earlier connection that this one has not seen yet, in order. */
  #unsent = NO_IDENTIFIERS
  #queue = NOTHING_QUEUED
  #queueHead = 0
  #queueBytes = 0
  /** Bytes of the messages in flight that are kept to be sent again. */
  #windowBytes = 0

  constructor(broker: Broker, tenant: number, clientIdentifier: string, expiryInterval: number, windowLimit: number) {
    this.broker = broker
    this.tenant = tenant
    this.clientIdentifier = clientIdentifier
    this.expiryInterval = expiryInterval
    this.windowLimit = windowLimit
  }

  get receivedCount(): number {
    return this.received?.count ?? 0
  }

  get outlivesConnection(): boolean {
    return this.expiryInterval > 0
  }

  get subscriptionCount(): number {
    return this.#subscriptions?.size ?? 0
  }

  hasSubscription(filter: string): boolean {
    return this.#subscriptions?.has(filter) === true
  }

  /** Messages that wait for room in the window or for a connection. */
  get queueLength(): number {
    return this.#queue.length - this.#queueHead
  }

  /** Whether something must leave before a new message may. */
  get #hasWaiting(): boolean {
    return this.#queueHead < this.#queue.length || this.#unsent.length > 0
  }

  /** Adds or replaces a subscription; returns the router's ticket and whether it is new. */
  subscribe(
    filter: string,
    qos: number,
    noLocal: boolean,
    retainAsPublished: boolean,
    identifier: number
  ): { readonly ticket: number; readonly isNew: boolean; readonly subscription: Subscription } {
    const subscriptions = (this.#subscriptions ??= new Map())
    const before = subscriptions.get(filter)
    const publisher = noLocal ? this.clientIdentifier : ""
    const made = DeliveryOf.subscription(this, filter, qos, publisher, retainAsPublished, identifier)
    const ticket = this.broker.services.router.subscribeUnsafe(made)
    if (before !== undefined) this.broker.services.router.unsubscribeUnsafe(before)
    else this.filterSize += filter.length
    subscriptions.set(filter, made)
    return { ticket, isNew: before === undefined, subscription: made }
  }

  /** Removes a subscription; false where there was none. */
  unsubscribe(filter: string): boolean {
    const subscription = this.#subscriptions?.get(filter)
    if (subscription === undefined) return false
    this.#subscriptions?.delete(filter)
    this.filterSize -= filter.length
    return this.broker.services.router.unsubscribeUnsafe(subscription)
  }

  /** Whether a QoS 2 message with this identifier was taken and not yet released. */
  hasReceived(packetIdentifier: number): boolean {
    return this.received?.has(packetIdentifier) === true
  }

  /** PUBREL came, or the message was refused: the identifier is free again; false where it was not noted. */
  releaseReceived(packetIdentifier: number): boolean {
    return this.received?.release(packetIdentifier) === true
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
    this.send(message, qos, retain, delivery.identifiers, 0)
  }

  /** Sends now, queues or drops; with `nowMs` the expiry interval is counted down to it. */
  send(message: Message, qos: number, retain: boolean, identifiers: ReadonlyArray<number>, nowMs: number): void {
    const connection = this.connection
    if (qos === 0) {
      if (connection !== undefined) connection.sendPublish(message, 0, retain, identifiers, nowMs)
      return
    }
    const window = (this.window ??= new OutboundWindow(this.windowLimit))
    if (connection === undefined || this.#isFull(window) || this.#hasWaiting || !connection.takesMore) {
      if (connection === undefined && !this.outlivesConnection) return
      this.#enqueue({ message: message.owned(), qos, retain, identifiers })
      if (connection !== undefined) this.broker.budget.awaitRoom(connection)
      return
    }
    this.#transmit(connection, window, message, qos, retain, identifiers, nowMs)
  }

  /** Sends what waits as far as window and socket allow. */
  drain(): void {
    const connection = this.connection
    if (connection === undefined || !this.#hasWaiting) return
    const nowMs = this.broker.services.clock.nowMs()
    this.#sendUnsent(connection, nowMs)
    if (this.#unsent.length === 0) this.#sendQueue(connection, nowMs)
    if (this.#hasWaiting) this.broker.budget.awaitRoom(connection)
  }

  #sendQueue(connection: Connection, nowMs: number): void {
    const window = (this.window ??= new OutboundWindow(this.windowLimit))
    while (this.#queueHead < this.#queue.length && !this.#isFull(window) && connection.takesMore) {
      const next = this.#queue[this.#queueHead++]
      if (next === undefined) break
      this.#queueBytes -= next.message.sizeBytes
      this.broker.held.release(next.message)
      this.broker.counts.queuedMessages -= 1
      const { message, qos, retain, identifiers } = next
      if (message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) this.broker.counts.droppedExpired += 1
      else this.#transmit(connection, window, message, qos, retain, identifiers, nowMs)
    }
    this.#compact()
  }

  /**
   * After a resumption: what was in flight again, in order, then what waits [MQTT-4.4.0-1]. The Receive Maximum of the new
   * connection may be smaller: what does not fit is sent again as the client acknowledges [MQTT-3.3.4-9].
   */
  resend(connection: Connection): void {
    this.#unsent = []
    this.window?.forEach((identifier, state) => {
      if (state === AWAITS_PUBCOMP) connection.sendPubrel(identifier)
      else this.#unsent.push(identifier)
    })
    this.drain()
  }

  /** An identifier is free again: the next message leaves. */
  freed(packetIdentifier: number): void {
    this.#forget(this.window?.free(packetIdentifier))
    if (this.#unsent.length > 0) {
      // A client may acknowledge what it has from the earlier connection before it gets it again.
      const place = this.#unsent.indexOf(packetIdentifier)
      if (place >= 0) this.#unsent.splice(place, 1)
    }
    this.drain()
  }

  /** PUBREC came for a QoS 2 message: it need not be kept any more. */
  released(packetIdentifier: number): void {
    this.#forget(this.window?.released(packetIdentifier))
  }

  #forget(sent: Sent | undefined): void {
    if (sent === undefined) return
    this.#windowBytes -= sent.message.sizeBytes
    this.broker.held.release(sent.message)
  }

  /** No more identifiers, or too many bytes kept: one message always fits. */
  #isFull(window: OutboundWindow): boolean {
    return window.isFull || this.#windowBytes >= this.broker.settings.queue_bytes_max
  }

  /**
   * Sends again what was in flight on an earlier connection and not yet on this one. All that is in use and not among it counts
   * against the limit: what was sent on this connection, and the PUBRELs whose PUBCOMP is due.
   */
  #sendUnsent(connection: Connection, nowMs: number): void {
    const { window } = this
    if (window === undefined || this.#unsent.length === 0) return
    let count = 0
    while (count < this.#unsent.length && connection.takesMore) {
      if (window.count - (this.#unsent.length - count) >= window.limit) break
      const identifier = this.#unsent[count++] ?? 0
      const sent = window.sentAs(identifier)
      if (sent === undefined) continue
      if (connection.fitsPacketSize(sent.message, sent.qos, sent.retain, sent.identifiers)) {
        connection.resendPublish(sent, identifier, nowMs)
      } else {
        // As if it had been sent and acknowledged [MQTT-3.1.2-25].
        this.broker.counts.droppedTooLarge += 1
        this.#forget(window.free(identifier))
      }
    }
    if (count > 0) this.#unsent.splice(0, count)
  }

  /** Its connection has ended: what only a busy one needs is let go. */
  rest(): void {
    if (this.receivedCount === 0) this.received = undefined
  }

  /** Forgets everything and takes its subscriptions off the router. */
  end(): void {
    for (const subscription of this.#subscriptions?.values() ?? []) {
      this.broker.services.router.unsubscribeUnsafe(subscription)
    }
    this.#subscriptions = undefined
    this.filterSize = 0
    this.broker.counts.queuedMessages -= this.queueLength
    for (const { message } of this.#queue.slice(this.#queueHead)) this.broker.held.release(message)
    this.window?.forEach((_identifier, _state, sent) => {
      this.#forget(sent)
    })
    this.#queue = NOTHING_QUEUED
    this.#queueHead = 0
    this.#queueBytes = 0
    this.window = undefined
    this.#unsent = NO_IDENTIFIERS
    this.received = undefined
  }

  /** Sets the window for a new connection; what is in flight stays so even where the limit fell. */
  limitWindow(limit: number): void {
    this.windowLimit = limit
    if (this.window !== undefined) this.window.limit = limit
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
    let sent: Sent | undefined
    if (this.outlivesConnection) {
      sent = { message: message.owned(), qos, retain, identifiers }
      this.broker.held.hold(sent.message)
      this.#windowBytes += sent.message.sizeBytes
    }
    connection.sendPublish(message, qos, retain, identifiers, nowMs, window.take(qos, sent))
  }

  #enqueue(sent: Sent): void {
    const { settings, counts } = this.broker
    const size = sent.message.sizeBytes
    const isOver =
      this.queueLength >= settings.queue_messages_max ||
      this.#queueBytes + size > settings.queue_bytes_max ||
      this.broker.held.isFull
    if (isOver) {
      counts.droppedQueue += 1
      return
    }
    this.broker.held.hold(sent.message)
    if (this.#queue === NOTHING_QUEUED) this.#queue = []
    this.#queue.push(sent)
    this.#queueBytes += size
    counts.queuedMessages += 1
  }

  #compact(): void {
    if (this.#queueHead === this.#queue.length) {
      if (this.#queueHead > 0) this.#queue = NOTHING_QUEUED
      this.#queueHead = 0
    } else if (this.#queueHead > 1_024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead)
      this.#queueHead = 0
    }
  }
}
