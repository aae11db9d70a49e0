/**
 * Watches how long messages take, from their receipt to what ends their way: PUBACK or PUBCOMP, for QoS 0 the write to the socket. There only
 * where it is asked for.
 *
 * Time that a client was away does not count, nor what a retained message was old when it was wanted: a delivery begins with its
 * connection, or when the message comes, whichever is later.
 *
 * Invariant: what is watched of a connection is bounded by its messages in flight and goes with it.
 *
 * Source: EMQX, "Slow Subscriptions" (its kind "whole", and "internal" beside it).
 */
import type { ClockShape, Message } from "../../../core/mod.ts"
import type { Connection } from "../Connection.ts"
import { SlowTable } from "./SlowTable.ts"

/** A message on its way to a client. Wall clock, ms. */
interface Sent {
  readonly topic: string
  readonly sinceMs: number
  readonly sentMs: number
}

/** What is on its way to one client. */
interface Watched {
  readonly connectedAtMs: number
  /** By packet identifier. */
  readonly inFlight: Map<number, Sent>
  /** The first QoS 0 message that is not written yet. */
  unwritten: Sent | undefined
  /** Bytes of output up to its end that are not written yet. */
  unwrittenBytes: number
}

export interface SlowBounds {
  readonly thresholdMs: number
  readonly top: number
  readonly keptMs: number
}

export class SlowSubscribers {
  readonly table: SlowTable
  readonly #clock: Pick<ClockShape, "nowMs">
  readonly #thresholdMs: number
  readonly #watched = new WeakMap<Connection, Watched>()

  constructor({ thresholdMs, top, keptMs }: SlowBounds, clock: Pick<ClockShape, "nowMs">) {
    this.#clock = clock
    this.#thresholdMs = thresholdMs
    this.table = new SlowTable(top, keptMs)
  }

  /** A client is connected. */
  connected(connection: Connection): void {
    const inFlight = new Map<number, Sent>()
    this.#watched.set(connection, {
      connectedAtMs: this.#clock.nowMs(),
      inFlight,
      unwritten: undefined,
      unwrittenBytes: 0
    })
  }

  /** A PUBLISH was put into a connection's output; packet identifier 0 = of QoS 0. */
  sent(connection: Connection, message: Message, isRetained: boolean, packetIdentifier: number): void {
    const watched = this.#watched.get(connection)
    if (watched === undefined) return
    const isZero = packetIdentifier === 0
    if (isZero && watched.unwritten !== undefined) return
    const nowMs = this.#clock.nowMs()
    // The time of a message that another protocol brought is its producer's, not ours.
    const isDated = message.gathered && !isRetained
    const sinceMs = isDated ? Math.min(nowMs, Math.max(message.timestamp, watched.connectedAtMs)) : nowMs
    const sent = { topic: message.name, sinceMs, sentMs: nowMs }
    if (!isZero) {
      watched.inFlight.set(packetIdentifier, sent)
      return
    }
    watched.unwritten = sent
    watched.unwrittenBytes = connection.output.size
  }

  /** A packet identifier is free again. */
  acknowledged(connection: Connection, packetIdentifier: number): void {
    const watched = this.#watched.get(connection)
    const sent = watched?.inFlight.get(packetIdentifier)
    if (sent === undefined) return
    watched?.inFlight.delete(packetIdentifier)
    this.#ended(connection, sent, this.#clock.nowMs())
  }

  /** The socket took so many bytes of output. */
  written(connection: Connection, bytes: number): void {
    const watched = this.#watched.get(connection)
    if (watched?.unwritten === undefined) return
    watched.unwrittenBytes -= bytes
    if (watched.unwrittenBytes > 0) return
    const sent = watched.unwritten
    watched.unwritten = undefined
    this.#ended(connection, sent, this.#clock.nowMs())
  }

  #ended(connection: Connection, { topic, sinceMs, sentMs }: Sent, nowMs: number): void {
    const wholeMs = nowMs - sinceMs
    if (wholeMs < this.#thresholdMs) return
    this.table.note(connection.client.clientIdentifier, topic, { wholeMs, insideMs: sentMs - sinceMs }, nowMs)
  }
}
