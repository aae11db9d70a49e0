/**
 * Brings a shared subscription its messages of QoS 1 and 2: live as they are published while its members keep up, else out of the queue
 * logs, as `Feed` does for one session.
 *
 * Invariants
 *  - What a cursor says is wanted is given to the host once; the place where reading meets what is published is exact.
 *  - A QoS 2 message is given when it is committed.
 */
import {
  type Message,
  type QueueRead,
  type QueueSelection,
  type SharedCursor,
  type Subscriber,
  Subscription
} from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { applyBounds } from "../QueueBounds.ts"

const READ_MESSAGES_MAX = 256
const READ_BYTES_MAX = 262_144
/** Messages that one call reads in place: a turn of the loop has others to serve. */
const MESSAGES_PER_CALL = 2_048
/** Between two times that the bounds of what may wait are applied to a group whose members are slow. */
const BOUND_INTERVAL_MS = 10_000

/** Who gets the messages. */
export interface FeedHost {
  /** How many can be handed out or kept now. */
  readonly room: number
  /** Takes a message, owned, of a place in a log; there is room. */
  take(message: Message, log: number, offset: number): void
  /** Where it stands has changed otherwise. */
  moved(): void
}

class LogFlow {
  readonly log: number
  isBehind = true
  isReading = false
  isBounded = false
  boundedAtMs = 0
  skipFrom = 0
  skipTo = 0
  stopWaiting: (() => void) | undefined
  /** Rises when something is to be read again: what was read for an earlier one says nothing of where to go on. */
  generation = 0

  constructor(log: number) {
    this.log = log
  }
}

export class GroupFeed {
  readonly #broker: Broker
  readonly #cursor: SharedCursor
  readonly #host: FeedHost
  readonly #selection: QueueSelection
  readonly #flows: ReadonlyArray<LogFlow>
  /** The log that is read first the next time: each has its turn. */
  #first = 0
  #isEnded = false
  #isPausing = false
  /** What topics have stored comes from there, and what is here is history: no bound of what may wait holds. */
  readonly #isReplay: boolean

  constructor(broker: Broker, cursor: SharedCursor, host: FeedHost, tenant: number, filter: string, isReplay: boolean) {
    this.#broker = broker
    this.#isReplay = isReplay
    this.#cursor = cursor
    this.#host = host
    this.#selection = { tenant, filters: [filter] }
    this.#flows = Array.from({ length: cursor.count }, (_, log) => new LogFlow(log))
  }

  end(): void {
    this.#isEnded = true
    for (const flow of this.#flows) flow.stopWaiting?.()
  }

  /** A live message of QoS 1 or 2. */
  deliver(message: Message): void {
    const flow = this.#flows[message.queue]
    if (flow === undefined || flow.isBehind) return
    const { queueOffset: offset } = message
    if (offset < this.#cursor.position(flow.log)) return
    // What was published just now is not committed yet, and QoS 2 must not run ahead of that.
    if (message.qos === 2 || this.#host.room <= 0) {
      this.#cursor.passed(flow.log, offset)
      flow.isBehind = true
      if (message.qos === 2) this.#awaitCommit(flow)
      return
    }
    this.#host.take(message.owned(), flow.log, offset)
  }

  /** Something is to be read again, or members are back: all is read before anything goes live. */
  rewind(): void {
    for (const flow of this.#flows) {
      flow.isBehind = true
      flow.generation += 1
      // What it waited for may never come; what is to be read again lies before it.
      flow.stopWaiting?.()
      flow.stopWaiting = undefined
    }
  }

  /** The bounds of what may wait are applied before more is read. */
  bound(): void {
    for (const flow of this.#flows) flow.isBounded = this.#isReplay
  }

  /** Reads what waits, as far as there is room. */
  drain(): void {
    let read = 0
    const { length } = this.#flows
    const first = this.#first
    for (let turn = 0; turn < length && this.#host.room > 0; turn++) {
      const flow = this.#flows[(first + turn) % length]
      if (flow === undefined || !flow.isBehind || flow.isReading || flow.stopWaiting !== undefined) continue
      this.#first = (flow.log + 1) % length
      read += this.#read(flow, MESSAGES_PER_CALL - read)
      if (read < MESSAGES_PER_CALL) continue
      this.#goOnLater()
      return
    }
  }

  #goOnLater(): void {
    if (this.#isPausing) return
    this.#isPausing = true
    this.#broker.services.clock.after(1, () => {
      this.#isPausing = false
      if (!this.#isEnded) this.drain()
    })
  }

  /** Returns how many it has given away in place. */
  #read(flow: LogFlow, messagesMax: number): number {
    const host = this.#host
    let given = 0
    for (;;) {
      if (this.#isEnded || host.room <= 0 || given >= messagesMax) return given
      if (!flow.isBounded && !this.#isReplay) {
        this.#bound(flow)
        if (!flow.isBounded) return given
      }
      const limits = { messagesMax: Math.min(host.room, READ_MESSAGES_MAX), bytesMax: READ_BYTES_MAX }
      const from = this.#cursor.position(flow.log)
      const { generation } = flow
      let isInPlace = true
      let goesOn = false
      flow.isReading = true
      this.#broker.services.queueLogs.read(flow.log, from, this.#selection, limits, true, {
        received: (read) => {
          // Messages that were given back meanwhile are read first. While messages are given away nobody reads on: this goes on itself.
          const isMore = !this.#isEnded && (flow.generation !== generation || this.#take(flow, read, isInPlace))
          flow.isReading = false
          if (isInPlace) {
            goesOn = isMore
            given += read.messages.length
          } else if (isMore) this.drain()
        },
        failed: () => {
          flow.isReading = false
          if (!this.#isEnded) this.#goOnLater()
        }
      })
      isInPlace = false
      if (!goesOn) return given
    }
  }

  /**
   * Gives what was read; true where there is more to read now. There was room when it was asked for: what has come late is given all the
   * same, or the logs of other shards would get nothing while this shard's always has something.
   */
  #take(flow: LogFlow, read: QueueRead, needsRoom: boolean): boolean {
    const { counts, services, settings } = this.#broker
    const cursor = this.#cursor
    const before = cursor.position(flow.log)
    if (read.lostTo > before && this.#isReplay) counts.replayGaps += 1
    else if (read.lostTo > before) counts.trimmedBehind += 1
    const nowMs = services.clock.nowMs()
    for (const message of read.messages) {
      const { queueOffset: offset } = message
      if (!cursor.isWanted(flow.log, offset) || this.#isDropped(flow, message, nowMs)) continue
      if (needsRoom && this.#host.room <= 0) {
        cursor.passed(flow.log, offset)
        return false
      }
      this.#host.take(message, flow.log, offset)
      // Nobody was there for it after all.
      if (cursor.position(flow.log) <= offset) return false
    }
    cursor.passed(flow.log, read.next)
    if (read.isAtEnd) {
      flow.isBehind = false
      return false
    }
    const isFar = read.endOffset - cursor.position(flow.log) > settings.queue_messages_max
    if (isFar && !this.#isReplay && nowMs - flow.boundedAtMs > BOUND_INTERVAL_MS) flow.isBounded = false
    if (cursor.position(flow.log) > before) return true
    this.#awaitCommit(flow)
    return false
  }

  /** Passed over, and counted where that is nobody's wish. */
  #isDropped(flow: LogFlow, message: Message, nowMs: number): boolean {
    const { counts, settings } = this.#broker
    if (this.#isReplay) return message.partition >= 0 || this.#broker.dropsExpired(message, nowMs)
    if (message.queueOffset >= flow.skipFrom && message.queueOffset < flow.skipTo) return true
    if (settings.queue_age_max !== 0 && message.timestamp < nowMs - settings.queue_age_max * 1_000) {
      counts.droppedQueue += 1
      return true
    }
    return this.#broker.dropsExpired(message, nowMs)
  }

  /** Passes over what is more than may wait; in place where that can be told at once. */
  #bound(flow: LogFlow): void {
    const { settings, services, counts } = this.#broker
    const bounds = { messagesMax: settings.queue_messages_max, bytesMax: settings.queue_bytes_max }
    const from = this.#cursor.position(flow.log)
    const { queue_overflow: overflow } = settings
    let isInPlace = true
    flow.isReading = true
    applyBounds(services.queueLogs, flow.log, from, this.#selection, bounds, overflow, (allowed) => {
      flow.isReading = false
      if (this.#isEnded) return
      flow.isBounded = true
      flow.boundedAtMs = services.clock.nowMs()
      counts.droppedQueue += allowed.dropped
      flow.skipFrom = allowed.skipFrom
      flow.skipTo = allowed.skipTo
      if (allowed.from > from) this.#cursor.passed(flow.log, allowed.from)
      if (!isInPlace) this.drain()
    })
    isInPlace = false
  }

  #awaitCommit(flow: LogFlow): void {
    flow.stopWaiting?.()
    const offset = this.#cursor.position(flow.log)
    flow.stopWaiting = this.#broker.services.queueLogs.watch(flow.log, offset, {
      queueAdvanced: () => {
        flow.stopWaiting = undefined
        if (!this.#isEnded) this.drain()
      }
    })
  }
}

/** What a group has the router give it: everything that matches. */
export function everything(subscriber: Subscriber, filter: string): Subscription {
  return new Subscription(subscriber, filter, 2, "", true, 0)
}
