/**
 * What of a durable session is in flight to its client: the window of packet identifiers, a row for each, packets that wait until their
 * row is committed, and sending again what an earlier connection had sent.
 *
 * Invariants
 *  - A QoS 2 PUBLISH is written when its identifier's row is committed, a PUBREL when its row says that PUBREC came: after a crash the
 *    client gets no second copy under another identifier, and none after it was released [MQTT-4.3.3-8].
 *  - Nothing overtakes: what comes behind a PUBLISH that waits, waits; nothing new leaves before all is sent again that was in flight.
 *  - A message that lies in a queue log is kept in memory only until it was sent once.
 *
 * Source: MQTT 5.0 sections 4.3, 4.4, 4.6, 4.9.
 */
import { type KeyValueWrite, type Message, TicketFifo } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import type { DurableSession } from "./DurableSession.ts"
import type { Flight } from "./Flight.ts"
import type { Flow } from "./Flow.ts"
import { gaveUp } from "./hosting.ts"
import { AWAITS_PUBCOMP, AWAITS_PUBREC, OutboundWindow } from "./OutboundWindow.ts"
import { resendPublish } from "./resend.ts"
import * as rows from "./session-rows.ts"
import type { Assignment } from "./shared/Memberships.ts"
import * as Packet from "./wire/packet-types.ts"

const ONE_MESSAGE = { messagesMax: 1, bytesMax: 1 }

export class Flights {
  readonly #session: DurableSession
  window: OutboundWindow<Flight> | undefined
  #sequence = 0
  /** Whether the session's connection has had its CONNACK: nothing is sent before [MQTT-3.2.0-1]. */
  #isAttached = false
  /** Identifiers in flight since an earlier connection that this one has not seen yet, in order. */
  #unsent: Array<number> = []
  #isFetching = false
  /** Takes back the wait for a message that went out live and that its queue log, another shard's, has not committed yet. */
  #stopWaiting: (() => void) | undefined
  /** Identifiers whose row is to be written in this turn. */
  #changed: Set<number> | undefined
  /** Identifiers whose packet, of this type, waits for the commit of their row; negative = that has been asked for. */
  #uncommitted: Map<number, number> | undefined
  /** PUBLISH packets that wait for the commit of their rows. */
  #waitingPublishes = 0
  #commits: TicketFifo | undefined

  constructor(session: DurableSession) {
    this.#session = session
  }

  /** Puts in what the rows say; before there is a connection. */
  restore(flights: ReadonlyArray<readonly [identifier: number, row: rows.FlightRow]>): void {
    const ordered = [...flights].sort(([, left], [, right]) => left.sequence - right.sequence)
    for (const [identifier, { isReleased, ...row }] of ordered) {
      const state = isReleased ? AWAITS_PUBCOMP : row.qos === 1 ? 1 : AWAITS_PUBREC
      this.window ??= new OutboundWindow(this.#session.windowLimit)
      this.window.restore(identifier, state, { ...row, offset: row.offset, message: row.message })
      this.#sequence = row.sequence
    }
  }

  /** A connection is there: PUBRELs leave again at once, messages with {@link Flights.sendUnsent}. */
  attach(connection: Connection): void {
    this.#isAttached = true
    // The new connection's Receive Maximum may be smaller: what is in flight stays so.
    if (this.window !== undefined) this.window.limit = this.#session.windowLimit
    this.#isFetching = false
    this.#unsent = []
    this.window?.forEach((identifier, state) => {
      if (state !== AWAITS_PUBCOMP) this.#unsent.push(identifier)
      else if (this.#uncommitted?.has(identifier) !== true) connection.sendPubrel(identifier)
    })
  }

  detach(): void {
    this.#isAttached = false
    this.#endWait()
  }

  end(): void {
    this.#endWait()
    this.window = undefined
    this.#changed = undefined
    this.#uncommitted = undefined
    this.#unsent = []
  }

  /** Whether this connection has not seen yet all that was in flight before it. */
  get hasUnsent(): boolean {
    return this.#unsent.length > 0
  }

  /** How many identifiers are free; below 0 where a new connection's limit is less than what is in flight. */
  get room(): number {
    const { window } = this
    return window === undefined ? this.#session.windowLimit : window.limit - window.count
  }

  hasRoom(connection: Connection): boolean {
    return this.#unsent.length === 0 && this.window?.isFull !== true && connection.takesMore
  }

  /** Sends a message of QoS 1 or 2, for which there is room, or has it wait for its row; one that is too large is dropped. */
  transmit(
    connection: Connection,
    message: Message,
    qos: number,
    retain: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): void {
    const session = this.#session
    if (!connection.fitsPacketSize(message, qos, retain, identifiers)) {
      session.broker.counts.droppedTooLarge += 1
      return
    }
    this.window ??= new OutboundWindow(session.windowLimit)
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

  /** Sends what a group gave: QoS 1 as it is, QoS 2 when its row, with the message, is committed. False where there is no room. */
  transmitShared(connection: Connection, assignment: Assignment): boolean {
    const { broker } = this.#session
    if (!this.hasRoom(connection)) {
      broker.budget.awaitRoom(connection)
      return false
    }
    const { message, qos, retain, membership } = assignment
    const { identifiers } = membership
    if (!connection.fitsPacketSize(message, qos, retain, identifiers)) {
      broker.counts.droppedTooLarge += 1
      broker.shared.acknowledged(assignment)
      return true
    }
    this.window ??= new OutboundWindow(this.#session.windowLimit)
    this.#sequence += 1
    const flight = { sequence: this.#sequence, qos, retain, identifiers, queue: -1, offset: -1, message }
    if (qos === 1) {
      const identifier = this.window.take(1, { ...flight, assignment })
      connection.sendPublish(message, 1, retain, identifiers, broker.services.clock.nowMs(), identifier)
      return true
    }
    const identifier = this.window.take(2, flight)
    this.#change(identifier)
    this.#whenCommitted(identifier, Packet.PUBLISH)
    broker.shared.kept(assignment)
    return true
  }

  /** Gives back to their groups what they gave and was not acknowledged. */
  returnShared(): void {
    const given: Array<readonly [identifier: number, assignment: Assignment]> = []
    this.window?.forEach((identifier, _state, flight) => {
      if (flight?.assignment !== undefined) given.push([identifier, flight.assignment])
    })
    for (const [identifier] of given) this.window?.free(identifier)
    for (const [, assignment] of given) this.#session.broker.shared.returned(assignment)
  }

  /** PUBACK, PUBCOMP or a refusal came. */
  freed(packetIdentifier: number): void {
    // What has not left yet is not acknowledged.
    if (this.#uncommitted?.has(packetIdentifier) === true) return
    const assignment = this.window?.free(packetIdentifier)?.assignment
    if (assignment !== undefined) this.#session.broker.shared.acknowledged(assignment)
    else this.#change(packetIdentifier)
    // A client may acknowledge what it has from the earlier connection before it gets it again.
    const place = this.#unsent.indexOf(packetIdentifier)
    if (place >= 0) this.#unsent.splice(place, 1)
    this.#session.drain()
  }

  /** PUBREC came. */
  released(packetIdentifier: number): void {
    if (this.#uncommitted?.has(packetIdentifier) === true) return
    const flight = this.window?.sentAs(packetIdentifier)
    if (flight !== undefined) flight.message = undefined
    this.window?.released(packetIdentifier)
    this.#change(packetIdentifier)
    this.#whenCommitted(packetIdentifier, Packet.PUBREL)
  }

  /** PUBREC came once more. */
  releasedAgain(packetIdentifier: number): void {
    if (this.#uncommitted?.has(packetIdentifier) !== true) this.#session.connection?.sendPubrel(packetIdentifier)
  }

  /** A queue log has lost messages that were not committed: they can be neither read nor sent again. */
  lost(queue: number, from: number, end: number): void {
    this.window?.forEach((_identifier, _state, flight) => {
      if (flight?.queue === queue && flight.offset >= from && flight.offset < end) flight.offset = -1
    })
    if (this.#stopWaiting === undefined) return
    // What was waited for may be among them.
    this.#endWait()
    this.#isFetching = false
    this.#session.drain()
  }

  #endWait(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = undefined
  }

  /** Lowers each flow's `low` to the lowest offset that may have to be sent again. */
  lower(flows: ReadonlyArray<Flow>): void {
    this.window?.forEach((_identifier, state, flight) => {
      const flow = flight === undefined || state === AWAITS_PUBCOMP ? undefined : flows[flight.queue]
      if (flow !== undefined && flight !== undefined && flight.offset >= 0) {
        flow.low = Math.min(flow.low, flight.offset)
      }
    })
  }

  /** The rows that this turn has changed. */
  collect(writes: Array<KeyValueWrite>): void {
    const { window } = this
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
      writes.push({ key: rows.flightKey(this.#session.number, identifier), value })
    }
    this.#changed?.clear()
  }

  /** Rows were lost: all are written in this turn, and what waited for one waits for that. */
  rewrite(): void {
    for (const [identifier, type] of this.#uncommitted ?? []) this.#uncommitted?.set(identifier, Math.abs(type))
    this.#changed ??= new Set()
    this.window?.forEach((identifier, _state, flight) => {
      if (flight?.assignment === undefined) this.#changed?.add(identifier)
    })
  }

  /** What was collected stands in the journal under `ticket`: packets that wait for it have their place now. */
  submitted(ticket: number): void {
    for (const [identifier, type] of this.#uncommitted ?? []) {
      if (type < 0) continue
      this.#commits ??= new TicketFifo({
        released: (outcome, _kind, value) => this.#committed(outcome, value),
        releasedAll: () => {}
      })
      // Told once: from now on it only waits.
      this.#uncommitted?.set(identifier, -type)
      this.#commits.push(this.#session.broker.services.journal.tickets, ticket, 0, identifier)
    }
  }

  #change(identifier: number): void {
    this.#changed ??= new Set()
    this.#changed.add(identifier)
    this.#session.mark()
  }

  #whenCommitted(identifier: number, kind: number): void {
    this.#uncommitted ??= new Map()
    this.#uncommitted.set(identifier, kind)
    if (kind === Packet.PUBLISH) this.#waitingPublishes += 1
  }

  #committed(outcome: number, identifier: number): void {
    const { window } = this
    const connection = this.#isAttached ? this.#session.connection : undefined
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
      this.#session.drain()
      return
    }
    const { message, qos, retain, identifiers } = flight
    connection.sendPublish(message, qos, retain, identifiers, this.#session.broker.services.clock.nowMs(), identifier)
    if (flight.queue >= 0) flight.message = undefined
  }

  /**
   * Sends again what was in flight on an earlier connection and not yet on this one, in order [MQTT-4.4.0-1]. All that is in use and not
   * among it counts against the limit: what was sent on this connection, and the PUBRELs whose PUBCOMP is due [MQTT-3.3.4-9].
   */
  sendUnsent(connection: Connection): void {
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
    const session = this.#session
    const { attachment } = session
    this.#isFetching = true
    let isInPlace = true
    const fetched = (message: Message | undefined): void => {
      if (attachment !== session.attachment) return
      this.#isFetching = false
      const { window } = this
      if (window !== undefined && this.#unsent[0] === identifier) {
        if (message === undefined) this.#giveUp(window, identifier, flight)
        else this.#sendAgain(connection, window, identifier, flight, message)
      }
      if (!isInPlace) session.drain()
    }
    const everything = { tenant: session.tenant, filters: [] }
    const { queueLogs } = session.broker.services
    const { queue, offset } = flight
    queueLogs.read(queue, offset, everything, ONE_MESSAGE, false, {
      received: ({ messages, highWatermark }) => {
        const message = messages.find(({ queueOffset }) => queueOffset === offset)
        if (message !== undefined || highWatermark > offset) fetched(message)
        else if (attachment === session.attachment) this.#awaitCommit(attachment, queue, offset)
      },
      failed: () => session.unreadable(attachment)
    })
    isInPlace = false
  }

  /** The message is there and not committed: it is fetched when it is, or lost. */
  #awaitCommit(attachment: number, queue: number, offset: number): void {
    const session = this.#session
    this.#endWait()
    this.#stopWaiting = session.broker.services.queueLogs.watch(queue, offset, {
      queueAdvanced: () => {
        this.#stopWaiting = undefined
        if (attachment !== session.attachment) return
        this.#isFetching = false
        session.drain()
      }
    })
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
    const { counts } = this.#session.broker
    if (connection.fitsPacketSize(message, qos, retain, identifiers)) {
      resendPublish(connection, message, qos, retain, identifiers, identifier)
      if (flight.queue >= 0) flight.message = undefined
      return
    }
    // As if it had been sent and acknowledged [MQTT-3.1.2-25].
    counts.droppedTooLarge += 1
    this.#pass(window, identifier, flight)
  }

  /** What a bound of the queue log has trimmed cannot be sent again. */
  #giveUp(window: OutboundWindow<Flight>, identifier: number, flight: Flight): void {
    this.#unsent.shift()
    gaveUp(this.#session, 1)
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
}
