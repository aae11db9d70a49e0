/**
 * Messages that wait for their time: rows alone, so that a million of them cost disk and no memory, each published once.
 *
 * Invariants
 *  - A message is acknowledged when its rows are committed, and published no earlier than it is due, in the order of those times.
 *  - What is on its way out (published or cancelled, its rows not gone for good) is neither published nor shown again.
 *  - The memory that it takes goes with what is on its way in or out, not with what waits.
 */
import {
  ACCEPTED_PENDING,
  HELD_UP,
  type Message,
  type Principal,
  REFUSED_QUOTA,
  TicketFifo,
  type TicketStream,
  type WheelTask
} from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { DueTimer } from "../DueTimer.ts"
import type { PendingPlace } from "../entering.ts"
import { OncePublisher } from "../OncePublisher.ts"
import { keyAfter, numberAt, rangeOf } from "../session-rows.ts"
import { readPages } from "../stored-sessions.ts"
import {
  type DelayedRow,
  decodeDelayed,
  decodeTime,
  dueKey,
  encodeDelayed,
  encodeTime,
  messageKey
} from "./delayed-rows.ts"

/** Published in one go: so many, and no more once so many bytes were read for it. */
const DUE_MAX = 100
const DUE_BYTES_MAX = 1_048_576
/** Messages on their way out at once: where so many hang, the rest waits for them. */
const LEAVING_MAX = 2_000
/** Before what the journal did not take is tried again, ms. */
const AGAIN_MS = 1_000
/** What cannot be stored is tried again so much later as it is late by then, and at least so often, ms. */
const POSTPONED_MS_MAX = 60_000
/** Rows that one listing looks at, and bytes of messages that it reads. */
const LISTED_ROWS_MAX = 2_000
const LISTED_BYTES_MAX = 1_048_576

/** One that waits, with its number on this shard. */
export interface Delayed extends DelayedRow {
  readonly number: number
  /** The time of its row in `wt`: later than it is due where it was postponed. */
  readonly keyAtMs: number
}

/** Where a list goes on. */
export interface DelayedPlace {
  readonly keyAtMs: number
  readonly number: number
}

export interface DelayedList {
  readonly rows: ReadonlyArray<Delayed>
  /** Undefined = there are no more. */
  readonly next: DelayedPlace | undefined
}

/** Rows that are on their way in. */
interface Arriving {
  readonly dueAtMs: number
  readonly tenant: number
}

/** Rows that are on their way out. */
interface Leaving {
  readonly keyAtMs: number
  readonly tenant: number
  /** Its row gets another time, and it stays. */
  readonly isPostponed?: boolean
  /** The journal's ticket for their removal; 0 = none was submitted, or it was lost. */
  ticket: number
}

export class DelayedMessages implements WheelTask, PendingPlace {
  /** Published when their time came, and taken back, since the start. */
  published = 0
  cancelled = 0
  pendingTicket = 0
  readonly pendingIsJournaled = true
  readonly #broker: Broker
  /** Messages that wait, by tenant. */
  readonly #counts = new Map<number, number>()
  /** By number. */
  readonly #arriving = new Map<number, Arriving>()
  readonly #leaving = new Map<number, Leaving>()
  /** Messages that could not be stored when they were due, with the times of their rows in `wt`. */
  readonly #postponed = new Map<number, number>()
  /** Of {@link DelayedMessages.#leaving}, those whose removal the journal has lost. */
  readonly #lost = new Set<number>()
  readonly #timer: DueTimer
  /** More were due than were published in one go. */
  #isBehind = false
  #isScheduled = false
  readonly #publisher: OncePublisher<Delayed>
  readonly #commits = new TicketFifo({
    released: (outcome, _kind, number) => this.#arrived(outcome, number),
    releasedAll: () => {}
  })
  readonly #removals = new TicketFifo({
    released: (outcome, _kind, number) => this.#left(outcome, number),
    releasedAll: () => this.#lookOn()
  })

  constructor(broker: Broker) {
    this.#broker = broker
    this.#timer = new DueTimer(this, broker)
    this.#publisher = new OncePublisher(broker, {
      tokenPrefix: "d",
      drop: (number, row) => this.#remove(number, row),
      handedOver: (number, { keyAtMs, message }) => {
        this.#leaving.set(number, { keyAtMs, tenant: message.tenant, ticket: 0 })
      },
      postponed: (number, row) => this.#postpone(number, row),
      counted: (change) => {
        this.published += change
      }
    })
  }

  get pendingStream(): TicketStream {
    return this.#broker.services.journal.tickets
  }
  get pendingOwner(): number {
    return this.#broker.services.shard.index
  }

  /** Messages that wait. */
  get count(): number {
    let count = 0
    for (const each of this.#counts.values()) count += each
    return count
  }

  /** Messages whose rows are on their way in or out. */
  get unsettledCount(): number {
    return this.#arriving.size + this.#leaving.size + this.#publisher.openCount
  }

  /** Takes up what the last run left: how many there are, and when the first is due. */
  async start(): Promise<void> {
    await readPages(this.#broker.services.store, rangeOf("wt"), (page) => {
      for (const { key, value } of page) {
        const { tenant, isPostponed } = decodeTime(value)
        this.#count(tenant, 1)
        if (isPostponed) this.#postponed.set(numberAt(key, 10), numberAt(key, 2))
        this.#timer.lookAt(numberAt(key, 2))
      }
    })
  }

  /** Takes a message whose topic name is the one to publish it on; its ranges are the caller's. ACCEPTED_PENDING, HELD_UP, or a refusal. */
  take(message: Message, principal: Principal, dueAtMs: number): number {
    const { journal, clock, room } = this.#broker.services
    const { tenant } = message
    const isMany = (this.#counts.get(tenant) ?? 0) >= this.#broker.settings.delayed_messages_max
    const isFull = isMany || room.refusal !== 0
    if (isFull) return REFUSED_QUOTA
    if (journal.refusal !== 0) return message.canWait && journal.isHeldUp === true ? HELD_UP : REFUSED_QUOTA
    const number = this.#broker.sessions.takeNumber()
    const acceptedAtMs = clock.nowMs()
    const expiresInMs = message.expiresAtMs - message.timestamp
    const messageExpiry = message.expiresAtMs === 0 ? -1 : Math.max(0, Math.round(expiresInMs / 1_000))
    const { user, peerAddress } = principal
    const row = { dueAtMs, acceptedAtMs, messageExpiry, user, peerAddress, message }
    this.pendingTicket = journal.submit({
      writes: [
        { key: messageKey(number), value: encodeDelayed(row) },
        { key: dueKey(dueAtMs, number), value: encodeTime({ tenant, isPostponed: false }) }
      ]
    })
    this.#count(tenant, 1)
    this.#arriving.set(number, { dueAtMs, tenant })
    this.#commits.push(journal.tickets, this.pendingTicket, 0, number)
    return ACCEPTED_PENDING
  }

  /** Takes one back; false where it is not there, or on its way out already. {@link Broker.whenCommitted} says when it is gone. */
  cancel(number: number): boolean {
    const found = this.get(number)
    if (found === undefined) return false
    this.cancelled += 1
    this.#remove(number, found)
    return true
  }

  /** One that waits. */
  get(number: number): Delayed | undefined {
    if (this.#isLeaving(number)) return undefined
    const value = this.#broker.services.store.get(messageKey(number))
    if (value === undefined) return undefined
    const row = decodeDelayed(value)
    return { ...row, number, keyAtMs: this.#postponed.get(number) ?? row.dueAtMs }
  }

  /**
   * Those that wait and that `isWanted`, in the order of their times, from behind `after` on: at most `max`, and fewer where many are looked
   * at or many bytes are read for them.
   */
  list(after: DelayedPlace | undefined, max: number, isWanted?: (row: Delayed) => boolean): DelayedList {
    const { store } = this.#broker.services
    const { start, end } = rangeOf("wt")
    const from = after === undefined ? start : keyAfter(dueKey(after.keyAtMs, after.number))
    // One more than wanted says whether there are more; some are passed over.
    const wanted = isWanted === undefined ? Math.min(LISTED_ROWS_MAX, max + 1 + this.#leaving.size) : LISTED_ROWS_MAX
    const keys = store.range(from, end, wanted)
    const rows: Array<Delayed> = []
    let next: DelayedPlace | undefined
    let bytes = 0
    for (const { key } of keys) {
      if (rows.length === max || bytes > LISTED_BYTES_MAX) return { rows, next }
      const number = numberAt(key, 10)
      const row = this.get(number)
      next = { keyAtMs: numberAt(key, 2), number }
      if (row === undefined) continue
      bytes += row.message.sizeBytes
      if (isWanted?.(row) !== false) rows.push(row)
    }
    return { rows, next: keys.length === wanted ? next : undefined }
  }

  /** It is being published, or was taken back. */
  #isLeaving(number: number): boolean {
    const leaving = this.#leaving.get(number)
    return leaving !== undefined && leaving.isPostponed !== true
  }

  timeout(): number {
    this.#timer.called()
    this.#look()
    return 0
  }

  /** Publishes what is due. */
  #look(): void {
    const { store, clock, journal, isServing } = this.#broker.services
    const nowMs = clock.nowMs()
    if (!isServing() || journal.refusal !== 0) {
      this.#timer.lookAt(nowMs + AGAIN_MS)
      return
    }
    this.#removeAgain()
    this.#isBehind = this.#leaving.size >= LEAVING_MAX
    if (this.#isBehind) return
    const { start, end } = rangeOf("wt")
    // Those on their way out are there until their rows have gone: behind them others may be due, whose storage does not hang.
    const wanted = this.#leaving.size + DUE_MAX + 1
    const due = store.range(start, end, wanted)
    let left = DUE_MAX
    let bytes = 0
    for (const { key, value } of due) {
      const keyAtMs = numberAt(key, 2)
      if (keyAtMs > nowMs) {
        this.#timer.lookAt(keyAtMs)
        return
      }
      const number = numberAt(key, 10)
      if (this.#leaving.has(number)) continue
      if (left === 0 || bytes > DUE_BYTES_MAX) {
        this.#lookSoon()
        return
      }
      left -= 1
      const stored = store.get(messageKey(number))
      if (stored === undefined) this.#removeRows(number, { keyAtMs, tenant: decodeTime(value).tenant, ticket: 0 })
      else {
        bytes += stored.length
        this.#publisher.publish(number, { ...decodeDelayed(stored), number, keyAtMs })
      }
    }
    this.#isBehind = due.length === wanted
    if (this.#isBehind && left < DUE_MAX) this.#lookSoon()
  }

  /** Goes on in the next turn of the loop. */
  #lookSoon(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#broker.services.clock.immediate(() => {
      this.#isScheduled = false
      this.#look()
    })
  }

  /** Rows have gone: there may be room for more. */
  #lookOn(): void {
    if (this.#isBehind) this.#lookSoon()
  }

  #arrived(outcome: number, number: number): void {
    const arriving = this.#arriving.get(number)
    if (arriving === undefined) return
    this.#arriving.delete(number)
    // The journal has lost it: its publisher hears of that, and nobody else.
    if (outcome < 0) this.#count(arriving.tenant, -1)
    else this.#timer.lookAt(arriving.dueAtMs)
  }

  #remove(number: number, { keyAtMs, message }: Delayed): void {
    this.#removeRows(number, { keyAtMs, tenant: message.tenant, ticket: 0 })
  }

  /** It cannot be stored now: it is tried again later, and behind what is due by then. */
  #postpone(number: number, { keyAtMs, dueAtMs, message }: Delayed): void {
    const { clock, journal } = this.#broker.services
    const nowMs = clock.nowMs()
    this.#lost.delete(number)
    if (journal.refusal !== 0) {
      this.#leaving.delete(number)
      this.#timer.lookAt(nowMs + AGAIN_MS)
      return
    }
    const laterMs = nowMs + Math.min(Math.max(AGAIN_MS, nowMs - dueAtMs), POSTPONED_MS_MAX)
    const { tenant } = message
    const ticket = journal.submit({
      writes: [
        { key: dueKey(keyAtMs, number), value: undefined },
        { key: dueKey(laterMs, number), value: encodeTime({ tenant, isPostponed: true }) }
      ]
    })
    this.#leaving.set(number, { keyAtMs, tenant, ticket, isPostponed: true })
    this.#postponed.set(number, laterMs)
    this.#removals.push(journal.tickets, ticket, 0, number)
  }

  #removeRows(number: number, leaving: Leaving): void {
    const { journal } = this.#broker.services
    leaving.ticket = journal.submit({
      writes: [
        { key: messageKey(number), value: undefined },
        { key: dueKey(leaving.keyAtMs, number), value: undefined }
      ]
    })
    this.#leaving.set(number, leaving)
    this.#removals.push(journal.tickets, leaving.ticket, 0, number)
  }

  /** A removal is committed, or lost. One of a message that was not stored with it is none any more. */
  #left(outcome: number, number: number): void {
    const leaving = this.#leaving.get(number)
    const { clock, journal } = this.#broker.services
    if (leaving === undefined || leaving.ticket === 0 || leaving.ticket > journal.tickets.committed) return
    if (leaving.isPostponed === true) {
      this.#leaving.delete(number)
      if (outcome < 0) this.#postponed.set(number, leaving.keyAtMs)
      this.#timer.lookAt(outcome < 0 ? clock.nowMs() + AGAIN_MS : (this.#postponed.get(number) ?? 0))
      return
    }
    if (outcome >= 0) {
      this.#leaving.delete(number)
      this.#postponed.delete(number)
      this.#count(leaving.tenant, -1)
      this.#publisher.gone(number)
      return
    }
    leaving.ticket = 0
    this.#lost.add(number)
    this.#timer.lookAt(clock.nowMs() + AGAIN_MS)
  }

  #removeAgain(): void {
    for (const number of this.#lost) {
      const leaving = this.#leaving.get(number)
      if (leaving !== undefined) this.#removeRows(number, leaving)
    }
    this.#lost.clear()
  }

  #count(tenant: number, change: number): void {
    const count = (this.#counts.get(tenant) ?? 0) + change
    if (count === 0) this.#counts.delete(tenant)
    else this.#counts.set(tenant, count)
  }
}
