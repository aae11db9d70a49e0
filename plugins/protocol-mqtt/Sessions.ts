/**
 * The sessions of one shard, by client identifier: which there are, on disk or in memory, and how they begin and end.
 *
 * In memory are those that are connected, and those whose last rows are not committed yet. All others are rows, and the topic filters
 * that they want are with the router.
 *
 * Invariants
 *  - A client identifier has at most one session and one connection; a second connection takes the first one's place.
 *  - A CONNACK that speaks of a session follows the commit of what it says.
 */
import type { KeyValueWrite, WheelTask } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { DurableSession } from "./DurableSession.ts"
import { EndedSessions } from "./EndedSessions.ts"
import { expiryMaxOf } from "./hosting.ts"
import { askEnds } from "./log-ends.ts"
import { Numbers } from "./Numbers.ts"
import { QueueNeeds } from "./QueueNeeds.ts"
import { SESSION_TAKEN_OVER } from "./reasons.ts"
import type { Session } from "./Session.ts"
import { expiryOf, isExpired, pushExpiry } from "./session-expiry.ts"
import type { Request } from "./session-request.ts"
import * as rows from "./session-rows.ts"
import { groupNameOf, isShared } from "./shared/Memberships.ts"
import { dropOrphans, holdExclusive, loadSession, readPages } from "./stored-sessions.ts"
import { TransientSession } from "./TransientSession.ts"

/** How often sessions are looked for whose time is over, ms, and how many at once. */
const EXPIRY_INTERVAL_MS = 500
const EXPIRIES_MAX = 1_000

export class Sessions implements WheelTask {
  /** Sessions that outlive their connections, connected or not. */
  durableCount = 0
  #transientCount = 0
  readonly #broker: Broker
  readonly #numbers: Numbers
  readonly #resident = new Map<string, Session>()
  /** Clients whose session is being read. */
  readonly #opening = new Map<string, Request>()
  readonly #ended: EndedSessions
  readonly #needs: QueueNeeds

  constructor(broker: Broker) {
    const { journal, store } = broker.services
    this.#broker = broker
    this.#numbers = new Numbers(journal, store)
    this.#ended = new EndedSessions(
      broker,
      (tenant, clientIdentifier) => this.#resident.get(keyOf(tenant, clientIdentifier)) instanceof DurableSession
    )
    this.#needs = new QueueNeeds(broker, () => this.durable())
  }

  /** Sessions, connected or not. */
  get count(): number {
    return this.#transientCount + this.durableCount
  }

  /** Ended sessions whose rows are not gone yet. */
  get endingCount(): number {
    return this.#ended.count
  }

  /** Those in memory: connected, or with something that no row says yet. */
  resident(): Iterable<Session> {
    return this.#resident.values()
  }

  /** A number for a session or a will. */
  takeNumber(): number {
    return this.#numbers.take()
  }

  isResident(tenant: number, clientIdentifier: string): boolean {
    return this.#resident.has(keyOf(tenant, clientIdentifier))
  }

  /** A session in memory. */
  residentOf(tenant: number, clientIdentifier: string): Session | undefined {
    return this.#resident.get(keyOf(tenant, clientIdentifier))
  }

  /** Whether a client connects just now, its session being read or made. */
  isOpening(tenant: number, clientIdentifier: string): boolean {
    return this.#opening.has(keyOf(tenant, clientIdentifier))
  }

  /** The connection of a client, also while its session is being read. */
  connectionOf(tenant: number, clientIdentifier: string): Connection | undefined {
    const key = keyOf(tenant, clientIdentifier)
    return this.#opening.get(key)?.connection ?? this.#resident.get(key)?.connection
  }

  /** Takes up what the last run left: the filters that are wanted, and the sessions that were connected. */
  async start(): Promise<void> {
    const { router, wheel, clock, journal, store } = this.#broker.services
    const nowMs = clock.nowMs()
    const known = new Set<number>()
    const orphans = new Set<number>()
    const exclusive = new Map<number, Array<string>>()
    await readPages(store, rows.rangeOf("sd"), (page) => {
      const writes: Array<KeyValueWrite> = []
      for (const { key, value } of page) {
        this.durableCount += 1
        const row = rows.decodeSession(value)
        known.add(row.number)
        if (row.leftAtMs !== 0) continue
        const { tenant, clientIdentifier } = rows.ofDirectoryKey(key)
        writes.push({ key, value: rows.encodeSession({ ...row, leftAtMs: nowMs }) })
        pushExpiry(writes, row, nowMs, tenant, clientIdentifier)
      }
      if (writes.length > 0) journal.submit({ writes })
    })
    await readPages(store, rows.rangeOf("ss"), (page) => {
      for (const { key, value } of page) {
        const { number, filter } = rows.ofSubscriptionKey(key)
        if (!known.has(number)) {
          orphans.add(number)
          continue
        }
        const qos = rows.qosOfSubscription(value)
        if (rows.isExclusiveSubscription(value)) exclusive.set(number, [...(exclusive.get(number) ?? []), filter])
        // Shared ones are of tenant 0 as all sessions are, until there are others.
        if (isShared(filter)) this.#broker.shared.away(0, groupNameOf(filter), qos, 1)
        else if (rows.isReplaySubscription(value)) router.wantUnsafe(filter, true)
        else if (qos > 0) router.wantUnsafe(filter)
      }
    })
    dropOrphans(this.#broker, orphans)
    await holdExclusive(this.#broker, exclusive)
    wheel.set(this, clock.monotonicMs() + EXPIRY_INTERVAL_MS)
    await this.#needs.look()
    await this.#routed()
  }

  /** Settled when every shard knows what is wanted here. */
  async #routed(): Promise<void> {
    const { tickets } = this.#broker.services.router
    const last = tickets.issued
    while (tickets.committed < last) {
      await new Promise<void>((resolve) => tickets.wait({ ticketsCommitted: resolve }))
    }
  }

  timeout(nowMs: number): number {
    const { store, clock, journal, isServing } = this.#broker.services
    if (!isServing()) return nowMs + EXPIRY_INTERVAL_MS
    const { start } = rows.rangeOf("sx")
    const wallMs = clock.nowMs()
    const due = journal.refusal === 0 ? store.range(start, rows.expiryKey(wallMs + 1, 0), EXPIRIES_MAX) : []
    for (const { key, value } of due) this.#expire(key, value, wallMs)
    if (journal.refusal === 0) this.#ended.retry()
    this.#needs.lookIfDue(nowMs, this.durableCount)
    return nowMs + EXPIRY_INTERVAL_MS
  }

  /** The session of a connecting client, resumed or new; an older connection of the client is closed. */
  open(request: Request): void {
    const { tenant, clientIdentifier, connect } = request
    const key = keyOf(tenant, clientIdentifier)
    const known = this.#resident.get(key)
    if (known?.connection !== undefined) {
      this.#broker.counts.takeOvers += 1
      known.connection.close(SESSION_TAKEN_OVER)
    }
    const earlier = this.#opening.get(key)
    if (earlier !== undefined) {
      this.#broker.counts.takeOvers += 1
      this.#opening.set(key, request)
      earlier.connection.close(SESSION_TAKEN_OVER)
      return
    }
    const nowMs = this.#broker.services.clock.nowMs()
    const surviving = this.#resident.get(key)
    if (surviving !== undefined) {
      this.#open(request, surviving)
      return
    }
    const row = this.stored(tenant, clientIdentifier)
    if (row === undefined || isExpired(row, nowMs)) {
      if (row !== undefined) this.endStored(tenant, clientIdentifier, row)
      this.#open(request, undefined)
      return
    }
    this.#opening.set(key, request)
    const loaded = (session: DurableSession | undefined): void => {
      const latest = this.#opening.get(key)
      this.#opening.delete(key)
      if (latest === undefined || latest.connection.isClosed) return
      if (session === undefined) latest.opened(undefined)
      else {
        this.#resident.set(key, session)
        this.#open(latest, session)
      }
    }
    const limit = Math.min(connect.receiveMaximum, this.#broker.settings.inflight_max)
    loadSession(this.#broker, row, tenant, clientIdentifier, limit).then(loaded, () => loaded(undefined))
  }

  /** The connection of a session has a will: a session that goes on, after a crash too, takes it back before its delay is over. */
  keepWill(session: Session, number: number): void {
    if (!(session instanceof DurableSession)) return
    session.will = number
    this.#writeRows(session)
  }

  /** What the directory and the list of expiries say of a session, or should say. */
  collect(session: DurableSession, writes: Array<KeyValueWrite>): void {
    const { tenant, clientIdentifier, number, expiryInterval, leftAtMs, will } = session
    const row = { number, expiryInterval, leftAtMs, will }
    writes.push({ key: rows.directoryKey(tenant, clientIdentifier), value: rows.encodeSession(row) })
    if (leftAtMs !== 0) pushExpiry(writes, row, leftAtMs, tenant, clientIdentifier)
  }

  #writeRows(session: DurableSession, before: ReadonlyArray<KeyValueWrite> = []): void {
    const writes = [...before]
    this.collect(session, writes)
    this.#broker.services.journal.submit({ writes })
    session.mark()
  }

  /** The will of a session's connection waits for its delay; 0 = it has none any more. */
  setWill(session: Session, number: number): void {
    if (session instanceof DurableSession) session.will = number
  }

  /** Those in memory that outlive their connections. */
  *durable(): Iterable<DurableSession> {
    for (const session of this.#resident.values()) if (session instanceof DurableSession) yield session
  }

  /** A connection is gone: the session ends, or waits as rows. */
  close(session: Session): void {
    if (session instanceof TransientSession) {
      session.end()
      this.#forget(session)
      this.#transientCount -= 1
      return
    }
    if (!(session instanceof DurableSession)) return
    if (session.expiryInterval === 0) {
      this.end(session)
      return
    }
    session.detach()
    session.leftAtMs = this.#broker.services.clock.nowMs()
    this.#writeRows(session)
  }

  /** The rows of a session without a connection are committed: it leaves memory, if it has no others. */
  leave(session: DurableSession): void {
    if (session.hasUnwritten) return
    this.#needs.leaves(session)
    this.#forget(session)
  }

  /** Ends a durable session for good; a will that still waits is published now [MQTT-3.1.3-9]. */
  end(session: DurableSession): void {
    const { tenant, clientIdentifier, number } = session
    const tokens = session.receipts.tokens()
    session.end()
    if (session.will !== 0) this.#broker.wills.publishNow(session.will)
    this.durableCount -= 1
    this.#forget(session)
    const exclusive = session.exclusive?.filters ?? []
    this.#ended.add({ tenant, clientIdentifier, number, expiresAtMs: expiryOf(session), tokens, exclusive })
  }

  /** A session's row in the directory; undefined where there is none, or where it has ended. */
  stored(tenant: number, clientIdentifier: string): rows.SessionRow | undefined {
    const value = this.#broker.services.store.get(rows.directoryKey(tenant, clientIdentifier))
    const row = value === undefined ? undefined : rows.decodeSession(value)
    return row === undefined || this.#ended.has(row.number) ? undefined : row
  }

  /** Looks at one session whose time is over, if its row of expiry says so still. */
  #expire(key: Uint8Array, value: Uint8Array, nowMs: number): void {
    const { tenant, clientIdentifier } = rows.decodeClient(value)
    const number = rows.numberAt(key, 10)
    const name = keyOf(tenant, clientIdentifier)
    if (this.#ended.has(number) || this.#opening.has(name)) return
    const resident = this.#resident.get(name)
    if (resident instanceof DurableSession && resident.number === number) {
      if (resident.connection === undefined && isExpired(resident, nowMs)) {
        this.end(resident)
        return
      }
    } else {
      const row = this.stored(tenant, clientIdentifier)
      if (row?.number === number && isExpired(row, nowMs)) {
        this.endStored(tenant, clientIdentifier, row)
        return
      }
    }
    // It has come back since, and a failure of the journal has left this row.
    this.#broker.services.journal.submit({ writes: [{ key, value: undefined }] })
  }

  #open(request: Request, existing: Session | undefined): void {
    const { connect, tenant, clientIdentifier, opened } = request
    const { settings, services } = this.#broker
    const expiry = Math.min(connect.sessionExpiryInterval, expiryMaxOf(request.connection))
    const limit = Math.min(connect.receiveMaximum, settings.inflight_max)
    const before = services.journal.tickets.issued
    const ticket = (): number => (services.journal.tickets.issued > before ? services.journal.tickets.issued : 0)
    if (existing instanceof DurableSession) {
      if (!connect.cleanStart && !isExpired(existing, services.clock.nowMs())) {
        this.#resume(existing, expiry)
        opened({ session: existing, present: true, ticket: ticket() })
        return
      }
      this.end(existing)
    }
    if (this.count >= settings.sessions_max) {
      opened(undefined)
      return
    }
    const key = keyOf(tenant, clientIdentifier)
    if (expiry === 0) {
      const session = new TransientSession(this.#broker, tenant, clientIdentifier, expiry, limit)
      this.#transientCount += 1
      this.#resident.set(key, session)
      opened({ session, present: false, ticket: ticket() })
      return
    }
    // On a node of several shards their logs are asked, and this client may come again meanwhile.
    this.#opening.set(key, request)
    askEnds(services.queueLogs, (ends) => {
      const latest = this.#opening.get(key)
      this.#opening.delete(key)
      if (latest === undefined || latest.connection.isClosed) return
      if (latest !== request) {
        this.#open(latest, undefined)
        return
      }
      const session = this.#makeDurable(tenant, clientIdentifier, expiry, limit, ends)
      opened({ session, present: false, ticket: services.journal.tickets.issued })
    })
  }

  #makeDurable(
    tenant: number,
    clientIdentifier: string,
    expiry: number,
    limit: number,
    ends: ReadonlyArray<number>
  ): DurableSession {
    const number = this.#numbers.take()
    const positions = ends.map((end) => ({ next: end, low: end }))
    const session = new DurableSession(this.#broker, tenant, clientIdentifier, expiry, limit, number, positions)
    this.#resident.set(keyOf(tenant, clientIdentifier), session)
    this.durableCount += 1
    this.#writeRows(session, [{ key: rows.positionsKey(number), value: rows.encodePositions(positions) }])
    return session
  }

  #resume(session: DurableSession, expiry: number): void {
    const expiresAtMs = expiryOf(session)
    const writes: Array<KeyValueWrite> = []
    if (expiresAtMs !== 0) writes.push({ key: rows.expiryKey(expiresAtMs, session.number), value: undefined })
    if (session.will !== 0) this.#broker.wills.cancel(session.will)
    session.will = 0
    session.leftAtMs = 0
    session.expiryInterval = expiry
    this.#writeRows(session, writes)
  }

  /** Ends a session that is rows alone; from now on there is none. */
  endStored(tenant: number, clientIdentifier: string, row: rows.SessionRow): void {
    if (row.will !== 0) this.#broker.wills.publishNow(row.will)
    this.durableCount -= 1
    this.#ended.add({ tenant, clientIdentifier, number: row.number, expiresAtMs: expiryOf(row) })
  }

  #forget(session: Session): void {
    const key = keyOf(session.tenant, session.clientIdentifier)
    if (this.#resident.get(key) === session) this.#resident.delete(key)
  }
}

function keyOf(tenant: number, clientIdentifier: string): string {
  return tenant === 0 ? clientIdentifier : `${tenant}\u0000${clientIdentifier}`
}
