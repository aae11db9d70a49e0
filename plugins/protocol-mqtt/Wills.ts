/**
 * Wills: kept as rows from the CONNECT that brought them on, so that a broker that was killed publishes them when it is back.
 *
 * Source: MQTT 5.0 section 3.1.2.5, 3.1.3.2.2.
 * Invariant: a will is published at most once: cancelled by a normal DISCONNECT, or by a resumption before its delay is over.
 */
import { Message, type Principal, TicketFifo, type WheelTask } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { DueTimer } from "./DueTimer.ts"
import { OncePublisher } from "./OncePublisher.ts"
import * as rows from "./session-rows.ts"
import { readPages } from "./stored-sessions.ts"
import type { WillMessage } from "./wire/connect.ts"

const encoder = new TextEncoder()
/** How many due wills are published at once. */
const DUE_MAX = 100
/** Between two looks where more are due at once, and before a publication that failed is tried again, ms. */
const AGAIN_MS = 1_000

/** What the rows of a will are to say, under the ticket that they wait for; 0 = not submitted. */
interface Early {
  /** undefined = they go. */
  readonly row: rows.WillRow | undefined
  readonly dueAtMs: number
  readonly ticket: number
  /** Of one that was handed over: what became of its rows before, as {@link Wills.#writtenUnder} tells it. They stay so where it is put off. */
  readonly before?: number
}

/** Neither in the store nor on their way there. */
const UNWRITTEN = -1

export class Wills implements WheelTask {
  /** Wills that wait for their delay. */
  pendingCount = 0
  readonly #broker: Broker
  readonly #timer: DueTimer
  readonly #publisher: OncePublisher<rows.WillRow>
  /** Some may be due for longer than it takes to look: since the start, or while nothing could be stored. */
  #isBehind = false
  /** One was put off since the last look: those that come before the next one wait behind it, and none is tried again for each. */
  #isHeldUp = false

  constructor(broker: Broker) {
    this.#broker = broker
    this.#timer = new DueTimer(this, broker)
    this.#publisher = new OncePublisher(broker, {
      tokenPrefix: "w",
      drop: (number, row) => this.#drop(number, row),
      handedOver: (number, { dueAtMs }) => {
        const before = this.#writtenUnder(number, dueAtMs)
        this.#early.set(number, { row: undefined, dueAtMs, ticket: 0, before })
      },
      postponed: (number, row) => this.#publishLater(number, row),
      counted: (change) => {
        broker.counts.willsPublished += change
      }
    })
  }

  /** Wills whose rows, or whose messages, are on their way. */
  get unsettledCount(): number {
    return this.#early.size + this.#publisher.openCount
  }

  /** Takes up what the last run left: wills that wait, and those of clients that were connected. */
  async start(): Promise<void> {
    const { store, clock } = this.#broker.services
    const nowMs = clock.nowMs()
    await readPages(store, rows.rangeOf("wl"), (page) => {
      for (const { key, value } of page) {
        const will = rows.decodeWill(value)
        this.pendingCount += 1
        this.#isBehind = true
        if (will.dueAtMs !== 0) this.#timer.lookAt(will.dueAtMs)
        else this.#wait(rows.numberAt(key, 2), will, nowMs)
      }
    })
  }

  /** Keeps the will of a connecting client; returns its number. `sessionExpiry` bounds its delay, seconds. */
  keep(will: WillMessage, principal: Principal, sessionExpiry: number): number {
    const number = this.#broker.sessions.takeNumber()
    const row: rows.WillRow = {
      dueAtMs: 0,
      delay: Math.min(will.delayInterval, sessionExpiry),
      messageExpiry: will.messageExpiryInterval,
      user: principal.user,
      peerAddress: principal.peerAddress,
      message: this.#messageOf(will, principal)
    }
    this.#broker.services.journal.submit({ writes: [{ key: rows.willKey(number), value: rows.encodeWill(row) }] })
    return number
  }

  /** Its client's connection has ended without a DISCONNECT that cancels it; true where it waits for its delay now. */
  connectionEnded(number: number, will: WillMessage, principal: Principal, sessionExpiry: number): boolean {
    const delay = Math.min(will.delayInterval, sessionExpiry)
    const message = this.#messageOf(will, principal)
    const { user, peerAddress } = principal
    const row = { dueAtMs: 0, delay, messageExpiry: will.messageExpiryInterval, user, peerAddress, message }
    if (delay === 0) {
      // An earlier one of the same client may be due, and wait for the next look.
      if (this.#isBehind && !this.#isHeldUp) this.#publishDue(this.#broker.services.clock.nowMs())
      if (this.#isHeldUp) this.#publishLater(number, row)
      else this.#publisher.publish(number, row)
      return false
    }
    this.pendingCount += 1
    this.#wait(number, row, this.#broker.services.clock.nowMs())
    return true
  }

  /** Takes back a will that was kept and is not to be published. */
  forget(number: number): void {
    this.#write(number, undefined, 0)
  }

  /** Takes back one that waits for its delay; one whose time has come is published, though nobody has looked yet. */
  cancel(number: number): void {
    const row = this.#row(number)
    if (row === undefined) return
    this.pendingCount -= 1
    if (row.dueAtMs <= this.#broker.services.clock.nowMs()) this.#publisher.publish(number, row)
    else this.#drop(number, row)
  }

  /** Publishes one that waits for its delay now: its session has ended. */
  publishNow(number: number): void {
    const row = this.#row(number)
    if (row === undefined) return
    this.pendingCount -= 1
    this.#publisher.publish(number, row)
  }

  /** Publishes all that wait now. */
  publishAll(): void {
    const { start, end } = rows.rangeOf("wd")
    for (const { key } of this.#broker.services.store.range(start, end, Number.MAX_SAFE_INTEGER)) {
      this.publishNow(rows.numberAt(key, 10))
    }
  }

  timeout(): number {
    const { clock, journal, isServing } = this.#broker.services
    const nowMs = clock.nowMs()
    this.#timer.called()
    if (!isServing() || journal.refusal !== 0) {
      this.#isBehind = true
      this.#timer.lookAt(nowMs + AGAIN_MS)
      return 0
    }
    this.#isHeldUp = false
    this.#writeAgain()
    this.#publishDue(nowMs)
    return 0
  }

  /** Publishes those whose time has come, in the order in which it came, and then in that of their connections. */
  #publishDue(nowMs: number): void {
    const { start, end } = rows.rangeOf("wd")
    const stored = this.#broker.services.store.range(start, end, DUE_MAX + 1)
    const waiting = new Map(stored.slice(0, DUE_MAX).map(({ key }) => [rows.numberAt(key, 10), rows.numberAt(key, 2)]))
    // Those whose rows are not committed yet are not found in the store, or not as they are.
    for (const [number, { row }] of this.#early) {
      if (row !== undefined && row.dueAtMs !== 0) waiting.set(number, row.dueAtMs)
    }
    const due: Array<readonly [number: number, dueAtMs: number]> = []
    for (const each of waiting) {
      if (each[1] <= nowMs) due.push(each)
      else this.#timer.lookAt(each[1])
    }
    due.sort(([one, oneMs], [other, otherMs]) => oneMs - otherMs || one - other)
    this.#isBehind = stored.length > DUE_MAX && due.length > 0
    // What was published before is there until its rows are committed, and passed over. One that finds no room is put off once more.
    for (const [number] of due) this.publishNow(number)
    if (stored.length > DUE_MAX) this.#timer.lookAt(nowMs + AGAIN_MS)
  }

  /** What a will's row says, also before it is committed; undefined where it is on its way out. */
  #row(number: number): rows.WillRow | undefined {
    const early = this.#early.get(number)
    if (early !== undefined) return early.row
    const value = this.#broker.services.store.get(rows.willKey(number))
    return value === undefined ? undefined : rows.decodeWill(value)
  }

  /** Rows that are not committed yet, by will. */
  readonly #early = new Map<number, Early>()
  /** Wills whose rows the journal has lost. */
  readonly #lost = new Set<number>()
  readonly #earlyCommits = new TicketFifo({
    released: (_outcome, _kind, number) => this.#settled(number),
    releasedAll: () => {}
  })

  /** Writes what becomes of a will's rows; undefined = they go. They count from now on. */
  #write(number: number, row: rows.WillRow | undefined, dueAtMs: number): void {
    const { journal } = this.#broker.services
    const writes = [{ key: rows.willKey(number), value: row === undefined ? undefined : rows.encodeWill(row) }]
    if (dueAtMs !== 0) {
      writes.push({ key: rows.willDueKey(dueAtMs, number), value: row === undefined ? undefined : encoder.encode("") })
    }
    const ticket = journal.submit({ writes })
    this.#early.set(number, { row, dueAtMs, ticket })
    this.#earlyCommits.push(journal.tickets, ticket, 0, number)
  }

  /** Rows of a will are committed, or lost; later ones may be on their way. */
  #settled(number: number): void {
    const { clock, journal } = this.#broker.services
    const early = this.#early.get(number)
    if (early === undefined || early.ticket > journal.tickets.committed) return
    const { before = 0 } = early
    if (before > 0 && before <= journal.tickets.committed) {
      const isStored = journal.tickets.takeOutcome(before) === 0
      this.#early.set(number, { ...early, before: isStored ? 0 : UNWRITTEN })
      return
    }
    if (early.ticket === 0 || journal.tickets.takeOutcome(early.ticket) === 0) {
      if (early.ticket !== 0) {
        this.#early.delete(number)
        if (early.row === undefined) this.#publisher.gone(number)
      }
      return
    }
    this.#early.set(number, { ...early, ticket: 0 })
    this.#lost.add(number)
    this.#timer.lookAt(clock.nowMs() + AGAIN_MS)
  }

  /** The journal's ticket under which the rows of one that waits were written; 0 = they are in the store, {@link UNWRITTEN} = neither. */
  #writtenUnder(number: number, dueAtMs: number): number {
    const early = this.#early.get(number)
    if (early === undefined) return dueAtMs === 0 ? UNWRITTEN : 0
    if (early.row === undefined) return early.before ?? UNWRITTEN
    return early.ticket === 0 ? UNWRITTEN : early.ticket
  }

  #writeAgain(): void {
    for (const number of this.#lost) {
      const early = this.#early.get(number)
      // The rows of one that was handed over go when it is stored, and not before.
      if (early !== undefined && early.before === undefined) this.#write(number, early.row, early.dueAtMs)
    }
    this.#lost.clear()
  }

  #wait(number: number, row: rows.WillRow, nowMs: number): void {
    const dueAtMs = nowMs + row.delay * 1_000
    this.#write(number, { ...row, dueAtMs }, dueAtMs)
    this.#timer.lookAt(dueAtMs)
  }

  #drop(number: number, row: rows.WillRow): void {
    this.#write(number, undefined, row.dueAtMs)
  }

  /** It has found no room, or would overtake one that has not: it is published when there is some. */
  #publishLater(number: number, row: rows.WillRow): void {
    const nowMs = this.#broker.services.clock.nowMs()
    this.pendingCount += 1
    this.#isBehind = this.#isHeldUp = true
    this.#timer.lookAt(nowMs + AGAIN_MS)
    const ticket = this.#writtenUnder(number, row.dueAtMs)
    if (ticket === 0) this.#early.delete(number)
    else if (ticket > 0) this.#early.set(number, { row, dueAtMs: row.dueAtMs, ticket })
    else {
      const dueAtMs = row.dueAtMs === 0 ? nowMs : row.dueAtMs
      this.#early.set(number, { row: { ...row, dueAtMs }, dueAtMs, ticket: 0 })
      this.#lost.add(number)
    }
  }

  #messageOf(will: WillMessage, principal: Principal): Message {
    const message = new Message()
    const topic = encoder.encode(will.topic)
    message.tenant = principal.tenant
    message.publisher = principal.clientIdentifier
    message.topic = topic
    message.topicEnd = topic.length
    message.payload = will.payload
    message.payloadEnd = will.payload.length
    message.qos = will.qos
    message.retain = will.retain
    this.#broker.setHeaders(message, will.properties, 0, will.properties.length)
    // The headers lie in the shared scratch: a copy of their own, since publishing may come back here.
    message.headers = message.headers.slice(0, message.headersEnd)
    message.begin()
    return message
  }
}
