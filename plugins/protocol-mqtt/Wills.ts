/**
 * Wills: kept as rows from the CONNECT that brought them on, so that a broker that was killed publishes them when it is back.
 *
 * A will's row goes in the journal entry in which its message is stored, or, where another shard stores it, after that has said that it
 * is: the message carries the will's token, so that it is stored once whatever crashes between.
 *
 * Source: MQTT 5.0 section 3.1.2.5, 3.1.3.2.2.
 * Invariant: a will is published at most once: cancelled by a normal DISCONNECT, or by a resumption before its delay is over.
 */
import { ACCEPTED_PENDING, type KeyValue, Message, type Principal, TicketFifo, type WheelTask } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import * as rows from "./session-rows.ts"
import type { WillMessage } from "./wire/connect.ts"

const encoder = new TextEncoder()
/** How many due wills are published at once. */
const DUE_MAX = 100
/** Between two looks where more are due at once, and before a publication that failed is tried again, ms. */
const AGAIN_MS = 1_000
const PAGE_ROWS = 1_000
const PAGE_BYTES = 1_048_576

export class Wills implements WheelTask {
  /** Wills that wait for their delay. */
  pendingCount = 0
  readonly #broker: Broker
  /** When the wheel looks next, on the wall clock; 0 = not at all. */
  #nextLookMs = 0
  #awaits = 0
  readonly #awaited = new Map<number, number>()
  /** Wills on their way into storage. */
  readonly #stored = new TicketFifo({
    released: (outcome, _kind, value) => this.#published(outcome, value),
    releasedAll: () => {}
  })

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Takes up what the last run left: wills that wait, and those of clients that were connected. */
  async start(): Promise<void> {
    const { store, journal, clock } = this.#broker.services
    const range = rows.rangeOf("wl")
    let { start } = range
    const nowMs = clock.nowMs()
    for (;;) {
      const page: ReadonlyArray<KeyValue> = await store.rangeLater(start, range.end, PAGE_ROWS, PAGE_BYTES)
      const last = page.at(-1)
      if (last === undefined) break
      for (const { key, value } of page) {
        const will = rows.decodeWill(value)
        this.pendingCount += 1
        if (will.dueAtMs !== 0) this.#lookAt(will.dueAtMs)
        else journal.submit({ writes: this.#dueWrites(rows.numberAt(key, 2), will, nowMs) })
      }
      start = rows.keyAfter(last.key)
    }
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
    const { journal, clock } = this.#broker.services
    const message = this.#messageOf(will, principal)
    const { user, peerAddress } = principal
    const row = { dueAtMs: 0, delay, messageExpiry: will.messageExpiryInterval, user, peerAddress, message }
    if (delay === 0) {
      this.#publish(number, row)
      return false
    }
    this.pendingCount += 1
    journal.submit({ writes: this.#dueWrites(number, row, clock.nowMs()) })
    return true
  }

  /** Takes back a will that was kept and is not to be published. */
  forget(number: number): void {
    this.#broker.services.journal.submit({ writes: [{ key: rows.willKey(number), value: undefined }] })
  }

  /** Takes back one that waits for its delay; one whose time has come is published, though nobody has looked yet. */
  cancel(number: number): void {
    const row = this.#row(number)
    if (row === undefined) return
    this.pendingCount -= 1
    if (row.dueAtMs <= this.#broker.services.clock.nowMs()) this.#publish(number, row)
    else this.#drop(number, row)
  }

  /** Publishes one that waits for its delay now: its session has ended. */
  publishNow(number: number): void {
    const row = this.#row(number)
    if (row === undefined) return
    this.pendingCount -= 1
    this.#publish(number, row)
  }

  /** Publishes all that wait now. */
  publishAll(): void {
    const { start, end } = rows.rangeOf("wd")
    for (const { key } of this.#broker.services.store.range(start, end, Number.MAX_SAFE_INTEGER)) {
      this.publishNow(rows.numberAt(key, 10))
    }
  }

  timeout(): number {
    const { store, clock } = this.#broker.services
    const nowMs = clock.nowMs()
    this.#nextLookMs = 0
    const { start, end } = rows.rangeOf("wd")
    const due = store.range(start, end, DUE_MAX + 1)
    for (const { key } of due.slice(0, DUE_MAX)) {
      if (rows.numberAt(key, 2) <= nowMs) this.publishNow(rows.numberAt(key, 10))
    }
    // What was published just now is there until its rows are committed: it is looked at again, and passed over.
    const next = due.find(({ key }) => rows.numberAt(key, 2) > nowMs)
    if (next !== undefined) this.#lookAt(rows.numberAt(next.key, 2))
    if (due.length > DUE_MAX) this.#lookAt(nowMs + AGAIN_MS)
    return 0
  }

  /** What a will's row says, also before it is committed; undefined where it is on its way out. */
  #row(number: number): rows.WillRow | undefined {
    const early = this.#early.get(number)
    if (early === null) return undefined
    if (early !== undefined) return early
    const value = this.#broker.services.store.get(rows.willKey(number))
    return value === undefined ? undefined : rows.decodeWill(value)
  }

  /** Rows that are not committed yet: what they will say, null = gone. */
  readonly #early = new Map<number, rows.WillRow | null>()
  readonly #earlyCommits = new TicketFifo({
    released: (_outcome, _kind, value) => {
      this.#early.delete(value)
    },
    releasedAll: () => {}
  })

  #dueWrites(number: number, row: rows.WillRow, nowMs: number) {
    const due = { ...row, dueAtMs: nowMs + row.delay * 1_000 }
    this.#early.set(number, due)
    this.#afterThisEntry(number)
    this.#lookAt(due.dueAtMs)
    return [
      { key: rows.willKey(number), value: rows.encodeWill(due) },
      { key: rows.willDueKey(due.dueAtMs, number), value: encoder.encode("") }
    ]
  }

  #afterThisEntry(number: number): void {
    const { tickets } = this.#broker.services.journal
    // The write that follows gets the next ticket.
    this.#broker.services.turn.deferWork({
      endTurn: () => this.#earlyCommits.push(tickets, tickets.issued, 0, number)
    })
  }

  #drop(number: number, row: rows.WillRow): void {
    const { journal } = this.#broker.services
    const writes = [{ key: rows.willKey(number), value: undefined }]
    if (row.dueAtMs !== 0) writes.push({ key: rows.willDueKey(row.dueAtMs, number), value: undefined })
    this.#early.set(number, null)
    journal.submit({ writes })
    this.#afterThisEntry(number)
  }

  #publish(number: number, row: rows.WillRow): void {
    const { services, counts } = this.#broker
    const { ingress, clock, shard } = services
    const { message } = row
    const nowMs = clock.nowMs()
    message.timestamp = nowMs
    message.expiresAtMs = row.messageExpiry >= 0 ? nowMs + row.messageExpiry * 1_000 : 0
    message.begin()
    message.token = `${shard.index}/w${number}`
    const { user, peerAddress } = row
    const principal = { tenant: message.tenant, user, clientIdentifier: message.publisher, peerAddress }
    counts.willsPublished += 1
    const outcome = ingress.publishUnsafe(message, principal)
    message.token = ""
    if (outcome !== ACCEPTED_PENDING || ingress.pendingOwner === shard.index) {
      // Stored here or nowhere: its row goes in the same entry. What was refused has had its chance.
      this.#drop(number, row)
      if (outcome < 0) counts.publishRefused += 1
      else if (outcome === ACCEPTED_PENDING) this.#stored.push(ingress.pendingStream, ingress.pendingTicket, 0, 0)
      return
    }
    this.#early.set(number, null)
    this.#awaits += 1
    this.#awaited.set(this.#awaits, number)
    this.#owners.set(number, ingress.pendingOwner)
    this.#rows.set(number, row)
    this.#stored.push(ingress.pendingStream, ingress.pendingTicket, 0, this.#awaits)
  }

  readonly #owners = new Map<number, number>()
  readonly #rows = new Map<number, rows.WillRow>()

  /** Another shard has stored it, or refused it; or this one has (`value` 0), and its row is gone already. */
  #published(outcome: number, value: number): void {
    if (outcome < 0) this.#broker.counts.publishRefused += 1
    const number = this.#awaited.get(value)
    if (number === undefined) return
    this.#awaited.delete(value)
    const row = this.#rows.get(number)
    const owner = this.#owners.get(number)
    this.#rows.delete(number)
    this.#owners.delete(number)
    if (row === undefined || owner === undefined) return
    this.#drop(number, row)
    const { ingress, shard } = this.#broker.services
    // Given back when the row is gone for good, so that a crash between finds the token still taken.
    this.#broker.whenCommitted(() => ingress.giveBackToken(owner, `${shard.index}/w${number}`, () => {}))
  }

  #lookAt(dueAtMs: number): void {
    if (this.#nextLookMs !== 0 && this.#nextLookMs <= dueAtMs) return
    this.#nextLookMs = dueAtMs
    const { wheel, clock } = this.#broker.services
    wheel.set(this, clock.monotonicMs() + Math.max(0, dueAtMs - clock.nowMs()) + 1)
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
