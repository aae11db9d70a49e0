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
  type Message,
  type Principal,
  REFUSED_QUOTA,
  TicketFifo,
  type TicketStream,
  type WheelTask
} from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { PendingPlace } from "../entering.ts"
import { OncePublisher } from "../OncePublisher.ts"
import { keyAfter, numberAt, rangeOf } from "../session-rows.ts"
import { readPages } from "../stored-sessions.ts"
import {
  type DelayedRow,
  decodeDelayed,
  decodeTenant,
  dueKey,
  encodeDelayed,
  encodeTenant,
  messageKey
} from "./delayed-rows.ts"

/** Published in one go: so many, and no more once so many bytes were read for it. */
const DUE_MAX = 100
const DUE_BYTES_MAX = 1_048_576
/** Before what the journal did not take is tried again, ms. */
const AGAIN_MS = 1_000

/** One that waits, with its number on this shard. */
export interface Delayed extends DelayedRow {
  readonly number: number
}

/** Rows that are on their way in. */
interface Arriving {
  readonly dueAtMs: number
  readonly tenant: number
}

/** Rows that are on their way out. */
interface Leaving {
  readonly dueAtMs: number
  readonly tenant: number
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
  /** Of {@link DelayedMessages.#leaving}, those whose removal the journal has lost. */
  readonly #lost = new Set<number>()
  /** When the wheel looks next, on the wall clock; 0 = not at all. */
  #nextLookMs = 0
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
    this.#publisher = new OncePublisher(broker, {
      tokenPrefix: "d",
      drop: (number, row) => this.#remove(number, row),
      handedOver: (number, { dueAtMs, message }) => {
        this.#leaving.set(number, { dueAtMs, tenant: message.tenant, ticket: 0 })
      },
      postponed: (number) => {
        this.#leaving.delete(number)
        this.#lost.delete(number)
        this.#lookAt(broker.services.clock.nowMs() + AGAIN_MS)
      },
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
        this.#count(decodeTenant(value), 1)
        if (this.#nextLookMs === 0) this.#lookAt(numberAt(key, 2))
      }
    })
  }

  /** Takes a message whose topic name is the one to publish it on; its ranges are the caller's. ACCEPTED_PENDING, or a refusal. */
  take(message: Message, principal: Principal, dueAtMs: number): number {
    const { journal, clock } = this.#broker.services
    const { tenant } = message
    const isFull = (this.#counts.get(tenant) ?? 0) >= this.#broker.settings.delayed_messages_max
    if (isFull || journal.refusal !== 0) return REFUSED_QUOTA
    const number = this.#broker.sessions.takeNumber()
    const acceptedAtMs = clock.nowMs()
    const expiresInMs = message.expiresAtMs - message.timestamp
    const messageExpiry = message.expiresAtMs === 0 ? -1 : Math.max(0, Math.round(expiresInMs / 1_000))
    const { user, peerAddress } = principal
    const row = { dueAtMs, acceptedAtMs, messageExpiry, user, peerAddress, message }
    this.pendingTicket = journal.submit({
      writes: [
        { key: messageKey(number), value: encodeDelayed(row) },
        { key: dueKey(dueAtMs, number), value: encodeTenant(tenant) }
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
    if (this.#leaving.has(number)) return undefined
    const value = this.#broker.services.store.get(messageKey(number))
    return value === undefined ? undefined : { ...decodeDelayed(value), number }
  }

  /** Those that wait, in the order of their times, from behind `after` on (a key's time and number): at most `max`. */
  list(after: { readonly dueAtMs: number; readonly number: number } | undefined, max: number): ReadonlyArray<Delayed> {
    const { start, end } = rangeOf("wt")
    const from = after === undefined ? start : keyAfter(dueKey(after.dueAtMs, after.number))
    const found: Array<Delayed> = []
    // What is on its way out is passed over, and is not much.
    const rows = this.#broker.services.store.range(from, end, max + this.#leaving.size)
    for (const { key } of rows) {
      if (found.length === max) break
      const row = this.get(numberAt(key, 10))
      if (row !== undefined) found.push(row)
    }
    return found
  }

  timeout(): number {
    this.#nextLookMs = 0
    this.#look()
    return 0
  }

  /** Publishes what is due. */
  #look(): void {
    const { store, clock, journal, isServing } = this.#broker.services
    const nowMs = clock.nowMs()
    if (!isServing() || journal.refusal !== 0) {
      this.#lookAt(nowMs + AGAIN_MS)
      return
    }
    this.#removeAgain()
    const { start, end } = rangeOf("wt")
    // Those on their way out are there until their rows have gone; where they are many, that is waited for.
    const due = store.range(start, end, 2 * DUE_MAX)
    this.#isBehind = false
    let left = DUE_MAX
    let bytes = 0
    for (const { key, value } of due) {
      const dueAtMs = numberAt(key, 2)
      if (dueAtMs > nowMs) {
        this.#lookAt(dueAtMs)
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
      if (stored === undefined) this.#removeRows(number, { dueAtMs, tenant: decodeTenant(value), ticket: 0 })
      else {
        bytes += stored.length
        this.#publisher.publish(number, { ...decodeDelayed(stored), number })
      }
    }
    this.#isBehind = due.length === 2 * DUE_MAX
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
    else this.#lookAt(arriving.dueAtMs)
  }

  #remove(number: number, { dueAtMs, message }: Delayed): void {
    this.#removeRows(number, { dueAtMs, tenant: message.tenant, ticket: 0 })
  }

  #removeRows(number: number, leaving: Leaving): void {
    const { journal } = this.#broker.services
    leaving.ticket = journal.submit({
      writes: [
        { key: messageKey(number), value: undefined },
        { key: dueKey(leaving.dueAtMs, number), value: undefined }
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
    if (outcome >= 0) {
      this.#leaving.delete(number)
      this.#count(leaving.tenant, -1)
      return
    }
    leaving.ticket = 0
    this.#lost.add(number)
    this.#lookAt(clock.nowMs() + AGAIN_MS)
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

  #lookAt(dueAtMs: number): void {
    if (this.#nextLookMs !== 0 && this.#nextLookMs <= dueAtMs) return
    this.#nextLookMs = dueAtMs
    const { wheel, clock } = this.#broker.services
    wheel.set(this, clock.monotonicMs() + Math.max(0, dueAtMs - clock.nowMs()) + 1)
  }
}
