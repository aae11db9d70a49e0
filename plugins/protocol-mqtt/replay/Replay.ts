/**
 * One subscription that reads what is stored of its topic names, from a place on and without end: what comes new is read as what was there is.
 * So there is no seam between history and what is live, and neither a gap nor a message twice.
 *
 * What no topic stores comes live from the router, as to any subscription.
 *
 * Invariants
 *  - Messages of one partition come in the order of their offsets, each that matches once.
 *  - Nothing is read without room for it: none waits here and none is dropped for want of room.
 *  - A partition of a topic that came to be since is read from the message on by which it became known.
 */
import {
  type Delivery,
  type HistoryRead,
  type Message,
  NOT_AVAILABLE,
  type Subscriber,
  type TopicInfo
} from "../../../core/mod.ts"
import type { Session } from "../Session.ts"
import { UNSPECIFIED_ERROR } from "../wire/reason-codes.ts"
import { PARTITIONS_MAX, type ReplayPlace } from "./find-start.ts"

/** Until a partition that cannot be read is tried again, ms. */
const RETRY_MS = 1_000

/** Where a replay is in one partition. */
interface Cursor {
  readonly topic: TopicInfo
  readonly partition: number
  next: number
  /** Waits for more than `next`. */
  isAtEnd: boolean
  stopWaiting: (() => void) | undefined
}

export interface ReplayOptions {
  readonly filter: string
  readonly qos: number
  readonly retainAsPublished: boolean
  readonly identifier: number
}

export class Replay implements Subscriber {
  readonly #session: Session
  readonly #options: ReplayOptions
  readonly #identifiers: ReadonlyArray<number>
  readonly #cursors = new Map<string, Cursor>()
  /** Those with something to read, in turn. */
  readonly #behind = new Set<Cursor>()
  /** Its SUBACK is out. */
  #isStarted = false
  #isReading = false
  #isOver = false

  constructor(session: Session, options: ReplayOptions, places: ReadonlyArray<ReplayPlace>) {
    this.#session = session
    this.#options = options
    this.#identifiers = options.identifier === 0 ? [] : [options.identifier]
    for (const { topic, partition, offset } of places) this.#add(topic, partition, offset)
  }

  /** Partitions that it reads. */
  get partitionCount(): number {
    return this.#cursors.size
  }

  /** A live message: what is stored is read in its place, and tells of partitions that are not known yet. */
  deliverUnsafe(message: Message, _delivery: Delivery): void {
    if (this.#isOver) return
    if (message.partition < 0) {
      this.#send(message)
      return
    }
    const { history } = this.#session.broker.services
    const home = history.homeOf(message.tenant, message.name)
    if (home === undefined || this.#cursors.has(keyOf(home, message.partition))) return
    if (this.#cursors.size >= PARTITIONS_MAX) {
      // There is no room for one more: its messages come as they are published.
      this.#send(message)
      return
    }
    this.#add(home, message.partition, message.offset)
    this.go()
  }

  /** The SUBACK is out: what is stored is read from now on. */
  start(): void {
    this.#isStarted = true
    this.go()
  }

  /** Reads on, as far as there is room. */
  go(): void {
    const session = this.#session
    if (!this.#isStarted || this.#isReading || this.#isOver || this.#behind.size === 0) return
    const room = session.retainedRoom(this.#options.qos)
    if (room === undefined) return
    const [cursor] = this.#behind
    if (cursor === undefined) return
    this.#isReading = true
    const { history } = session.broker.services
    const { topic, partition, next } = cursor
    history
      .read(topic, partition, next, this.#options.filter, room, (message) => {
        if (!this.#isOver) this.#send(message)
      })
      .then(
        (read) => this.#took(cursor, read),
        () => {
          if (!this.#isOver) session.connection?.close(UNSPECIFIED_ERROR)
        }
      )
  }

  /** The subscription is taken off, or its session has ended. */
  end(): void {
    this.#isOver = true
    for (const cursor of this.#cursors.values()) cursor.stopWaiting?.()
    this.#cursors.clear()
    this.#behind.clear()
  }

  #add(topic: TopicInfo, partition: number, next: number): void {
    const cursor = { topic, partition, next, isAtEnd: false, stopWaiting: undefined }
    this.#cursors.set(keyOf(topic, partition), cursor)
    this.#behind.add(cursor)
  }

  #took(cursor: Cursor, read: HistoryRead): void {
    this.#isReading = false
    if (this.#isOver) return
    const { clock } = this.#session.broker.services
    // Others have their turn, among the partitions and on the shard.
    this.#behind.delete(cursor)
    if (read.refusal === 0) {
      cursor.next = read.next
      if (read.isAtEnd) this.#wait(cursor)
      else this.#behind.add(cursor)
    } else if (read.refusal === NOT_AVAILABLE) this.#retry(cursor)
    else {
      // What it has not read yet is gone, or was never stored: it goes on with what is there.
      this.#session.broker.counts.replayGaps += 1
      cursor.next = Math.min(Math.max(cursor.next, read.logStartOffset), read.highWatermark)
      this.#behind.add(cursor)
    }
    clock.immediate(() => this.go())
  }

  #wait(cursor: Cursor): void {
    cursor.stopWaiting = this.#session.broker.services.logs.watch(cursor.topic, cursor.partition, cursor.next, {
      logAdvanced: () => this.#again(cursor)
    })
  }

  /** A topic that is gone is forgotten; one that is being opened is tried again. */
  #retry(cursor: Cursor): void {
    const { topics, clock } = this.#session.broker.services
    if (topics.findById(cursor.topic.id) === undefined) {
      this.#cursors.delete(keyOf(cursor.topic, cursor.partition))
      return
    }
    const timer = clock.after(RETRY_MS, () => this.#again(cursor))
    cursor.stopWaiting = () => timer.cancel()
  }

  #again(cursor: Cursor): void {
    cursor.stopWaiting = undefined
    if (this.#isOver) return
    this.#behind.add(cursor)
    this.go()
  }

  #send(message: Message): void {
    const { broker } = this.#session
    const { qos, retainAsPublished } = this.#options
    const nowMs = broker.services.clock.nowMs()
    if (broker.dropsExpired(message, nowMs)) return
    this.#session.send(
      message,
      Math.min(message.qos, qos),
      message.retain && retainAsPublished,
      this.#identifiers,
      nowMs
    )
  }
}

function keyOf({ id }: TopicInfo, partition: number): string {
  return `${id}/${partition}`
}
