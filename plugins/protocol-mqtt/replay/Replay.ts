/**
 * One subscription that reads what is stored of its topic names, from a place on and without end. What comes new is read as what was there is:
 * no seam between history and what is live, no gap, no message twice.
 *
 * Of names that no topic stores the queue logs are read, as if each were a partition; QoS 0 of those comes live from the router.
 *
 * Invariants
 *  - Messages of one partition come in the order of their offsets, each that matches once.
 *  - Nothing is read while there is no room at all, and none is dropped for want of room. Few messages are read ahead of their turn, so that a
 *    small window does not read a batch again for each of them; they count against what sessions may keep, and are forgotten with the connection.
 *  - It is where the last message that left says.
 *  - A topic that came to be since is read from its beginning, one that was bound since from there, whenever this shard hears of its messages.
 *  - At the end of a log it reads again when the router has told of a message that matches, not at each append: {@link LogTail}.
 */
import {
  type Delivery,
  type HistoryRead,
  homeFrom,
  type Message,
  OUT_OF_RANGE,
  type QueueSelection,
  type Subscriber,
  type TopicInfo
} from "../../../core/mod.ts"
import { askEnds } from "../log-ends.ts"
import type { Session } from "../Session.ts"
import { UNSPECIFIED_ERROR } from "../wire/reason-codes.ts"
import { type Cursor, cursorAt, keyOf, placeOf, type RestingPlace } from "./Cursor.ts"
import { PARTITIONS_MAX, type ReplayPlace } from "./find-start.ts"
import { awaitCommit } from "./LogTail.ts"
import { NewTopics } from "./NewTopics.ts"
import { QUEUE } from "./queue-history.ts"
import { readLog } from "./read-log.ts"
import { AHEAD, PASSED_MIN, RETRY_MS, RETRY_NEW_MS, type ReplayOptions } from "./replay-options.ts"

export class Replay implements Subscriber {
  readonly #session: Session
  readonly #options: ReplayOptions
  readonly #identifiers: ReadonlyArray<number>
  /** Of the queue logs. */
  readonly #selection: QueueSelection
  readonly #cursors = new Map<string, Cursor>()
  /** How many of these are partitions of topics. */
  #partitions = 0
  /** Those with something to read, in turn. */
  readonly #behind = new Set<Cursor>()
  /** Those that have moved since their rows were written. */
  readonly #moved = new Set<Cursor>()
  /** Those whose topics are gone, and their rows not yet. */
  #gone: Array<Cursor> = []
  /** How many topics had been removed when it was looked for those. */
  #removals = 0
  /** Its SUBACK is out, or its session is back. */
  #isStarted = false
  #isReading = false
  #isOver = false
  /** Messages that were read and have not left, of the reading that came last. */
  readonly #ahead: Array<Message> = []
  /** That reading, while not all of it has left. */
  #last: { readonly cursor: Cursor; readonly read: HistoryRead } | undefined
  readonly #newTopics = new NewTopics()
  /** Rises with every connection's end: what was read for an earlier one is not for this. */
  #attachment = 0

  constructor(session: Session, options: ReplayOptions, places: ReadonlyArray<ReplayPlace>) {
    this.#session = session
    this.#options = options
    this.#selection = { tenant: session.tenant, filters: [options.filter] }
    this.#identifiers = options.identifier === 0 ? [] : [options.identifier]
    for (const place of places) this.#add(place)
  }

  /** Partitions that it reads; 1 where no topic has its names. */
  get partitionCount(): number {
    return Math.max(this.#partitions, 1)
  }

  /** Names the partitions of topics at whose ends it rests; topics that are gone are forgotten. */
  resting(found: Map<string, RestingPlace>): void {
    this.#forgetGone()
    for (const cursor of this.#cursors.values()) {
      if (cursor.tail.isAtRest && cursor.topic !== QUEUE) found.set(cursor.key, cursor)
    }
  }

  /** Names that others had may be those of its partitions now, and it was not told of their messages: it reads again where it rests. */
  readAgain(): void {
    for (const cursor of this.#cursors.values()) {
      if (!cursor.tail.isAtRest || cursor.topic === QUEUE) continue
      cursor.tail.renew()
      this.#behind.add(cursor)
    }
    this.go()
  }

  /** Logs have come so far, and all that is below was told: where it rests it goes there. */
  passOn(ends: ReadonlyMap<string, number>): void {
    for (const cursor of this.#cursors.values()) {
      if (cursor.tail.isAtRest) this.#move(cursor, Math.max(cursor.next, ends.get(cursor.key) ?? 0))
    }
  }

  /** Lowers what is needed of each queue log to where it is. */
  lowerNeeds(lows: Array<number>): void {
    for (const { topic, partition, next } of this.#cursors.values()) {
      if (topic === QUEUE) lows[partition] = Math.min(lows[partition] ?? 0, next)
    }
  }

  *places(): Iterable<ReplayPlace> {
    for (const cursor of this.#cursors.values()) yield placeOf(cursor)
  }

  /** The same of those that have moved since it was asked last. */
  takeMoved(): ReadonlyArray<ReplayPlace> {
    const moved = [...this.#moved]
    this.#moved.clear()
    for (const cursor of moved) cursor.kept = cursor.next
    return moved.map(placeOf)
  }

  /** Those whose topics are no more, since it was asked last. */
  takeGone(): ReadonlyArray<ReplayPlace> {
    const gone = this.#gone
    this.#gone = []
    return gone.map(placeOf)
  }

  /** Its SUBACK is out, or its session has a connection again. Topics that came to be meanwhile are read from their beginning. */
  start(): void {
    const { tenant, broker } = this.#session
    this.#forgetGone()
    const { history, queueLogs } = broker.services
    this.#newTopics.start(history, tenant, this.#options.filter, (topic) => this.#came(topic))
    askEnds(queueLogs, (ends) => {
      if (this.#isOver) return
      // It has places in all of them, but for logs that there were not when it was made.
      for (const [partition, offset] of ends.entries()) {
        if (!this.#cursors.has(keyOf(QUEUE, partition))) this.#add({ topic: QUEUE, partition, offset, incarnation: 0 })
      }
    })
    this.#isStarted = true
    this.go()
  }

  /** Partitions that it may read besides: those of all replays of a session are bounded together. */
  get #room(): number {
    const others = this.#session.replays?.partitionCountBut(this.#options.filter) ?? 0
    return PARTITIONS_MAX - others - this.#partitions
  }

  /** A topic came to be since, or to be the home of these names: all that it has from there on is new. */
  #came(topic: TopicInfo): void {
    this.#forgetGone()
    let room = this.#room
    for (let partition = 0; partition < topic.partitions; partition++) {
      if (this.#cursors.has(keyOf(topic, partition))) continue
      const offset = homeFrom(topic, partition, this.#options.filter)
      if (room > 0) this.#add({ topic, partition, offset, incarnation: undefined })
      else this.#session.broker.counts.replayLeftOut += 1
      room -= 1
    }
    if (this.#moved.size > 0) this.#session.replayMoved()
    // It may have come just now: its partitions are being opened in the next turn.
    this.#session.broker.services.clock.immediate(() => this.go())
  }

  detach(): void {
    this.#newTopics.stop()
    this.#attachment += 1
    this.#isStarted = false
    this.#isReading = false
    this.#forgetAhead()
    for (const cursor of this.#cursors.values()) {
      cursor.stopWaiting?.()
      cursor.stopWaiting = undefined
      cursor.tail.renew() // What is told now is told to nobody.
      this.#behind.add(cursor)
      if (cursor.next !== cursor.kept) this.#moved.add(cursor)
    }
  }

  /** Topics that are no more. */
  #forgetGone(): void {
    const { topics, history } = this.#session.broker.services
    if (history.removals === this.#removals) return
    this.#removals = history.removals
    for (const cursor of [...this.#cursors.values()]) {
      if (cursor.topic !== QUEUE && topics.findById(cursor.topic.id) === undefined) this.#remove(cursor)
    }
  }

  #remove(cursor: Cursor): void {
    cursor.stopWaiting?.()
    if (this.#cursors.delete(cursor.key)) this.#partitions -= 1
    this.#behind.delete(cursor)
    this.#moved.delete(cursor)
    this.#gone.push(cursor)
    this.#session.replayMoved()
  }

  /** A live message: what is stored is read in its place, and tells of partitions that are not known yet. */
  deliverUnsafe(message: Message, _delivery: Delivery): void {
    if (this.#isOver) return
    if (message.partition < 0) {
      const log = message.queue < 0 ? undefined : this.#cursors.get(keyOf(QUEUE, message.queue))
      if (log === undefined) this.#send(message)
      else this.#hear(log, message.queueOffset)
      return
    }
    const { history } = this.#session.broker.services
    const home = history.homeOf(message.tenant, message.name)
    // Of a topic that is not known here yet, or not as this name's home, it is told when it is.
    if (home === undefined || message.partition >= home.partitions) return
    const known = this.#cursors.get(keyOf(home, message.partition))
    if (known === undefined) this.#meet(home, message)
    else this.#hear(known, message.offset)
  }

  /** The first message of a partition that it does not read: its topic is not known yet, or was left out and there may be room now. */
  #meet(topic: TopicInfo, message: Message): void {
    this.#forgetGone()
    const { partition } = message
    // Where there is no room for one more its messages come as they are published.
    if (this.#room <= 0) this.#send(message)
    else {
      const offset = this.#newTopics.isLooking ? homeFrom(topic, partition, this.#options.filter) : message.offset
      this.#add({ topic, partition, offset, incarnation: undefined })
      this.#session.replayMoved()
      this.go()
    }
  }

  /** Sends and reads on, as far as there is room. */
  go(): void {
    if (!this.#isStarted || this.#isReading || this.#isOver) return
    if (this.#last !== undefined && !this.#sendAhead(this.#last.cursor, this.#last.read)) return
    const session = this.#session
    const [cursor] = this.#behind
    const room = cursor === undefined ? undefined : session.retainedRoom(this.#options.qos)
    if (cursor === undefined || room === undefined) return
    this.#isReading = true
    const { held, services } = session.broker
    const attachment = this.#attachment
    const isFor = (): boolean => !this.#isOver && attachment === this.#attachment
    const visit = (message: Message): boolean => {
      if (!isFor()) return false
      const owned = message.owned()
      held.hold(owned)
      this.#ahead.push(owned)
      return true
    }
    readLog(services, cursor, this.#selection, held.isFull ? room : AHEAD, visit).then(
      (read) => {
        // In a turn of its own: others on this shard have theirs between two readings.
        services.clock.immediate(() => {
          if (!isFor()) return
          this.#isReading = false
          this.#last = { cursor, read }
          this.go()
        })
      },
      () => {
        if (isFor()) session.connection?.close(UNSPECIFIED_ERROR)
      }
    )
  }

  /** Sends what was read; false where not all of it has left. */
  #sendAhead(cursor: Cursor, read: HistoryRead): boolean {
    const { held } = this.#session.broker
    for (;;) {
      const [message] = this.#ahead
      if (message === undefined) break
      if (this.#session.retainedRoom(this.#options.qos) === undefined) return false
      this.#ahead.shift()
      held.release(message)
      // In the turn in which the message leaves: where it is and what is in flight stand in one entry.
      this.#move(cursor, message.offset + 1, true)
      this.#send(message)
      // A connection that ends amid this has forgotten the rest.
      if (!this.#isStarted || this.#isOver) return false
    }
    this.#last = undefined
    this.#took(cursor, read)
    return true
  }

  #forgetAhead(): void {
    const { held } = this.#session.broker
    for (const message of this.#ahead.splice(0)) held.release(message)
    this.#last = undefined
  }

  /** The subscription is taken off, or its session has ended. */
  end(): void {
    this.#isOver = true
    this.#newTopics.stop()
    this.#forgetAhead()
    for (const cursor of this.#cursors.values()) cursor.stopWaiting?.()
    this.#cursors.clear()
    this.#behind.clear()
  }

  #add(place: ReplayPlace): void {
    const cursor = cursorAt(place)
    this.#cursors.set(cursor.key, cursor)
    if (place.topic !== QUEUE) this.#partitions += 1
    this.#behind.add(cursor)
    this.#moved.add(cursor)
  }

  #move(cursor: Cursor, next: number, hasSent = false): void {
    if (cursor.next === next) return
    cursor.next = next
    // What was passed over costs no row each time.
    if (!hasSent && Math.abs(next - cursor.kept) < PASSED_MIN) return
    this.#moved.add(cursor)
    this.#session.replayMoved()
  }

  /** It is in this log: after a restart an offset is worth nothing in one that has begun anew. */
  #stand(cursor: Cursor, incarnation: number): void {
    if (cursor.incarnation === incarnation) return
    const isNew = incarnation !== 0 || cursor.incarnation !== undefined
    cursor.incarnation = incarnation
    if (!isNew) return
    this.#moved.add(cursor)
    this.#session.replayMoved()
  }

  /** All that a reading brought has left. */
  #took(cursor: Cursor, read: HistoryRead): void {
    // Others have their turn, among the partitions and on the shard.
    this.#behind.delete(cursor)
    if (read.refusal === 0) {
      cursor.tail.answered(read.endOffset)
      this.#stand(cursor, read.incarnation)
      this.#move(cursor, read.next)
      if (!read.isAtEnd) this.#behind.add(cursor)
      else if (!cursor.tail.rest(cursor.next)) this.#wait(cursor)
    } else if (read.refusal !== OUT_OF_RANGE) this.#retry(cursor)
    else {
      // What it has not read yet is gone; or the log has begun anew, and all that is there is new. It goes on with what is there.
      // Where it rested until it was told, nothing matched up to there.
      if (cursor.tail.awaited(cursor.next) < read.logStartOffset) this.#session.broker.counts.replayGaps += 1
      cursor.tail.renew()
      this.#stand(cursor, read.incarnation)
      this.#move(cursor, read.logStartOffset)
      this.#behind.add(cursor)
    }
  }

  /** A message that matches is there, or will be when it is committed. */
  #hear(cursor: Cursor, offset: number): void {
    if (!cursor.tail.hear(offset)) return
    cursor.stopWaiting?.()
    this.#wait(cursor)
  }

  #wait(cursor: Cursor): void {
    const { services } = this.#session.broker
    const { topic, partition } = cursor
    const offset = cursor.tail.awaited(cursor.next)
    cursor.stopWaiting = awaitCommit(services, topic, partition, offset, () => this.#again(cursor))
  }

  /** A topic that is gone is forgotten; one that is being opened, or cannot be read now, is tried again. */
  #retry(cursor: Cursor): void {
    const { topics, clock } = this.#session.broker.services
    if (cursor.topic !== QUEUE && topics.findById(cursor.topic.id) === undefined) {
      this.#remove(cursor)
      return
    }
    const isNew = cursor.incarnation === undefined
    const timer = clock.after(isNew ? RETRY_NEW_MS : RETRY_MS, () => this.#again(cursor))
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
