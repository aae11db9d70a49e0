/**
 * Brings a durable session its messages: live as they are published while its client keeps up, and out of the queue logs when it does
 * not, or comes back. What no queue log has, retained messages above all, waits here in memory.
 *
 * Invariants
 *  - All that is below a flow's position is done with, or in flight; what is published at or above it goes out once, in order: the place
 *    where reading meets what is published is exact.
 *  - Nothing is kept in memory for a message that waits in a queue log.
 *  - A reading that an earlier connection asked for moves nothing.
 *
 * Source: MQTT 5.0 sections 4.1, 4.6, 4.9.
 */
import type { KeyValueWrite, Message, QueueRead, QueueSelection } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import type { DurableSession } from "./DurableSession.ts"
import type { Flights } from "./Flights.ts"
import type { Flow } from "./Flow.ts"
import { gaveUp, hostOf } from "./hosting.ts"
import type { KeptSubscriptions } from "./KeptSubscriptions.ts"
import { MessageQueue } from "./MessageQueue.ts"
import { applyBounds } from "./QueueBounds.ts"
import * as rows from "./session-rows.ts"

/** Messages and bytes of one reading: a turn of the loop has others to serve. */
const READ_MESSAGES_MAX = 256
const READ_BYTES_MAX = 262_144
/** A position is not moved for fewer offsets than this: it costs a row. */
const PASSED_MIN = 10_000
/** Between two times that the bounds of what may wait are applied to a client that is connected and slow. */
const BOUND_INTERVAL_MS = 10_000
/** How often the lowest offset that is needed is looked for. */
const LOW_INTERVAL_MS = 1_000

/** What a session has not read of the queue logs. */
export interface Unread {
  readonly places: ReadonlyArray<{ readonly log: number; readonly position: number }>
  readonly selection: QueueSelection
}

export class Feed {
  readonly #session: DurableSession
  readonly #flows: ReadonlyArray<Flow>
  readonly #subscriptions: KeptSubscriptions
  readonly #flights: Flights
  /** Messages that no queue log has: retained ones. */
  #extras: MessageQueue | undefined
  #positionsChanged = false
  #lowLookedForMs = 0

  constructor(session: DurableSession, flows: ReadonlyArray<Flow>, subscriptions: KeptSubscriptions, flights: Flights) {
    this.#session = session
    this.#flows = flows
    this.#subscriptions = subscriptions
    this.#flights = flights
  }

  /** A connection is there: all is read before anything goes live. */
  attach(): void {
    for (const flow of this.#flows) {
      flow.isBehind = true
      flow.isReading = false
      flow.isBounded = false
      flow.isHeld = false
    }
  }

  detach(): void {
    // What no queue log has waits on: the session stays in memory for it.
    this.#stopWaiting()
    this.#lowLookedForMs = 0
    this.#markPositions()
  }

  /** Whether messages wait that are nowhere but here. */
  get hasExtras(): boolean {
    return this.#extras !== undefined
  }

  /** Messages that are nowhere but here. */
  get extras(): MessageQueue | undefined {
    return this.#extras
  }

  /** From where on each queue log has not been read, where that is not read live; and what is wanted there. */
  unread(): Unread {
    const isAway = this.#session.connection === undefined
    const behind = this.#flows.filter(({ isBehind }) => isBehind || isAway)
    return {
      places: behind.map(({ queue: log, position }) => ({ log, position })),
      selection: this.#subscriptions.selection
    }
  }

  /** Forgets what waits here, and in the queue logs up to `ends`. */
  drop(ends: ReadonlyArray<number>): void {
    this.#extras?.clear()
    this.#extras = undefined
    const isAway = this.#session.connection === undefined
    for (const flow of this.#flows) {
      if (flow.isBehind || isAway) flow.position = Math.max(flow.position, ends[flow.queue] ?? 0)
    }
    this.#markPositions()
  }

  #stopWaiting(): void {
    for (const flow of this.#flows) {
      flow.stopWaiting?.()
      flow.stopWaiting = undefined
    }
  }

  end(): void {
    this.#stopWaiting()
    this.#extras?.clear()
    this.#extras = undefined
  }

  /** A live message, as its subscriptions want it; whether it comes to the client, now or when it is read. */
  deliver(
    connection: Connection,
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>
  ): boolean {
    this.#subscriptions.cameLive(message)
    if (qos === 0) return connection.sendPublish(message, 0, retain, identifiers, 0)
    const flow = this.#flows[message.queue]
    if (flow === undefined) {
      // In no queue log, for its shard did not know of the subscription yet: nobody was promised it, and it must not overtake.
      return (
        !this.#flows.some(({ isBehind }) => isBehind) && this.send(connection, message, qos, retain, identifiers, 0)
      )
    }
    if (flow.isBehind || message.queueOffset < flow.position) return true
    // What was published just now is not committed yet, and QoS 2 must not run ahead of that.
    if (qos === 2 || !this.#flights.hasRoom(connection) || this.#extras !== undefined) {
      flow.position = message.queueOffset
      flow.isBehind = true
      this.#markPositions()
      if (qos === 2) this.#awaitCommit(flow)
      else this.#session.broker.budget.awaitRoom(connection)
      return true
    }
    flow.position = message.queueOffset + 1
    this.#transmit(connection, message, qos, retain, identifiers, 0)
    return true
  }

  /** A message that no queue log holds for this session; without a connection one of QoS 1 or 2 waits for the next. */
  send(
    connection: Connection | undefined,
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): boolean {
    if (qos === 0) return connection?.sendPublish(message, 0, retain, identifiers, nowMs) === true
    if (connection !== undefined && this.#flights.hasRoom(connection) && (this.#extras?.length ?? 0) === 0) {
      this.#transmit(connection, message, qos, retain, identifiers, nowMs)
      return true
    }
    this.#extras ??= new MessageQueue(this.#session.broker)
    const isQueued = this.#extras.push({ message: message.owned(), qos, retain, identifiers })
    if (connection !== undefined) this.#session.broker.budget.awaitRoom(connection)
    return isQueued
  }

  /** Sends what waits, as far as there is room. */
  drain(connection: Connection): void {
    this.#sendExtras(connection)
    for (const flow of this.#flows) {
      if (flow.isBehind && !flow.isReading && flow.stopWaiting === undefined) this.#read(connection, flow)
    }
  }

  /** What it has seen all of, up to `end`: it needs nothing below, where it keeps up. Not worth it for less than `least` offsets. */
  passed(queue: number, end: number, least = PASSED_MIN): void {
    const flow = this.#flows[queue]
    if (flow === undefined || flow.isBehind || end - flow.position < least) return
    // Nobody was there for what was published since its connection ended.
    if (this.#session.connection === undefined) return
    flow.position = end
    this.#markPositions()
  }

  /** The row of the positions, where they have moved in this turn. */
  collect(writes: Array<KeyValueWrite>): void {
    if (!this.#positionsChanged) return
    this.#positionsChanged = false
    this.#lookForLow()
    const positions = this.#flows.map(({ position, low }) => ({ next: position, low }))
    writes.push({ key: rows.positionsKey(this.#session.number), value: rows.encodePositions(positions) })
  }

  /** The row was lost: it is written in this turn. */
  rewrite(): void {
    this.#positionsChanged = true
  }

  #markPositions(): void {
    this.#positionsChanged = true
    this.#session.mark()
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
    this.#flights.transmit(connection, message, qos, retain, identifiers, nowMs)
  }

  #sendExtras(connection: Connection): void {
    const extras = this.#extras
    if (extras === undefined) return
    const { broker } = this.#session
    const nowMs = broker.services.clock.nowMs()
    while (this.#flights.hasRoom(connection)) {
      const next = extras.shift()
      if (next === undefined) break
      const { message, qos, retain, identifiers } = next
      if (!broker.dropsExpired(message, nowMs)) this.#transmit(connection, message, qos, retain, identifiers, nowMs)
    }
    if (extras.length === 0) this.#extras = undefined
  }

  /** Reads what waits in a queue log and sends it, as far as there is room. */
  #read(connection: Connection, flow: Flow): void {
    const session = this.#session
    const { attachment } = session
    for (;;) {
      const hasRoom = this.#flights.hasRoom(connection)
      // What waits for a client of this node is held to its bounds with each connection, even if there is no room for any of it.
      if (!hasRoom && (flow.isHeld || hostOf(session) === undefined)) {
        session.broker.budget.awaitRoom(connection)
        return
      }
      const { selection } = this.#subscriptions
      if (!flow.isBounded) {
        this.#bound(flow, selection)
        if (!flow.isBounded) return
      }
      const messagesMax = hasRoom ? Math.max(1, Math.min(this.#flights.room, READ_MESSAGES_MAX)) : READ_MESSAGES_MAX
      const limits = { messagesMax, bytesMax: READ_BYTES_MAX }
      let isInPlace = true
      let goesOn = false
      flow.isReading = true
      session.broker.services.queueLogs.read(flow.queue, flow.position, selection, limits, true, {
        received: (read) => {
          if (attachment !== session.attachment) return
          flow.isReading = false
          // What was read for other subscriptions says nothing of what these want.
          const isMore = selection !== this.#subscriptions.selection || this.#take(connection, flow, read)
          if (isInPlace) goesOn = isMore
          else if (isMore) session.drain()
        },
        failed: () => session.unreadable(attachment)
      })
      isInPlace = false
      if (!goesOn) return
    }
  }

  /** Passes over what is more than may wait; in place where that can be told at once. */
  #bound(flow: Flow, selection: QueueSelection): void {
    const session = this.#session
    const { attachment } = session
    const { settings, services } = session.broker
    const { messagesMax, bytesMax, overflow } = hostOf(session) ?? {
      messagesMax: settings.queue_messages_max,
      bytesMax: settings.queue_bytes_max,
      overflow: settings.queue_overflow
    }
    const bounds = { messagesMax, bytesMax }
    let isInPlace = true
    flow.isReading = true
    applyBounds(services.queueLogs, flow.queue, flow.position, selection, bounds, overflow, (allowed) => {
      if (attachment !== session.attachment) return
      flow.isReading = false
      flow.isBounded = true
      flow.boundedAtMs = services.clock.nowMs()
      if (allowed.dropped > 0) gaveUp(session, allowed.dropped)
      flow.skipFrom = allowed.skipFrom
      flow.skipTo = allowed.skipTo
      if (allowed.from > flow.position) {
        flow.position = allowed.from
        this.#markPositions()
      }
      if (!isInPlace) session.drain()
    })
    isInPlace = false
  }

  /** Sends what was read; true where there is more to read now. */
  #take(connection: Connection, flow: Flow, read: QueueRead): boolean {
    const { services, settings } = this.#session.broker
    if (read.lostTo > flow.position) gaveUp(this.#session, 0)
    const nowMs = services.clock.nowMs()
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
      this.#subscriptions.forgetRead()
      return false
    }
    // A client that is connected and slow may not have more wait for it than one that is away.
    const messagesMax = hostOf(this.#session)?.messagesMax ?? settings.queue_messages_max
    const isFar = read.endOffset - flow.position > messagesMax
    if (isFar && nowMs - flow.boundedAtMs > BOUND_INTERVAL_MS) flow.isBounded = false
    if (flow.position > before) return true
    this.#awaitCommit(flow)
    return false
  }

  /** False where there is no room: it is read again later. */
  #sendRead(connection: Connection, flow: Flow, message: Message, nowMs: number): boolean {
    const { broker } = this.#session
    const delivery = this.#subscriptions.deliveryOf(message)
    const isOwn = delivery !== undefined && delivery.noLocal !== "" && message.publisher === delivery.noLocal
    const rest = isOwn ? delivery.forPublisher() : delivery
    if (rest === undefined || rest.qos === 0) return true
    if (message.queueOffset >= flow.skipFrom && message.queueOffset < flow.skipTo) return true
    if (this.#isTooOld(message, nowMs)) {
      gaveUp(this.#session, 1)
      return true
    }
    if (broker.dropsExpired(message, nowMs)) return true
    if (!this.#flights.hasRoom(connection)) {
      flow.position = message.queueOffset
      flow.isHeld = true
      this.#markPositions()
      broker.budget.awaitRoom(connection)
      return false
    }
    flow.position = message.queueOffset + 1
    const qos = Math.min(message.qos, rest.qos)
    this.#transmit(connection, message, qos, message.retain && rest.retainAsPublished, rest.identifiers, nowMs)
    return true
  }

  #isTooOld(message: Message, nowMs: number): boolean {
    const ageMax = hostOf(this.#session)?.ageMaxSeconds ?? this.#session.broker.settings.queue_age_max
    return ageMax !== 0 && message.timestamp < nowMs - ageMax * 1_000
  }

  #awaitCommit(flow: Flow): void {
    flow.stopWaiting?.()
    flow.stopWaiting = this.#session.broker.services.queueLogs.watch(flow.queue, flow.position, {
      queueAdvanced: () => {
        flow.stopWaiting = undefined
        this.#session.drain()
      }
    })
  }

  /** The lowest offset of each queue log that is still needed; it need not be exact, but never too high. */
  #lookForLow(): void {
    const nowMs = this.#session.broker.services.clock.monotonicMs()
    if (nowMs - this.#lowLookedForMs < LOW_INTERVAL_MS && this.#lowLookedForMs !== 0) return
    this.#lowLookedForMs = nowMs
    for (const flow of this.#flows) flow.low = flow.position
    this.#flights.lower(this.#flows)
  }
}
