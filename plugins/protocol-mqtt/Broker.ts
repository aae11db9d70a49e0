/**
 * The MQTT broker of one shard: its sessions by client identifier, the wills that wait, and what all its connections share.
 *
 * Invariants
 *  - A client identifier has at most one session and one connection; a second connection takes the first one's place.
 *  - A will is published at most once: cancelled by a normal DISCONNECT or by a resumption before its delay is over.
 */
import type {
  AccessShape,
  ClockShape,
  IngressShape,
  Principal,
  RandomShape,
  RouterShape,
  ShardShape,
  TimerWheel,
  TurnShape,
  WheelTask
} from "../../core/mod.ts"
import { ACCEPTED_PENDING, Message, TicketFifo } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import { Counts } from "./Counts.ts"
import { HeldMessages } from "./HeldMessages.ts"
import { OutputBudget } from "./Output.ts"
import { PublishEncoder } from "./PublishEncoder.ts"
import { SESSION_TAKEN_OVER } from "./reasons.ts"
import { Session } from "./Session.ts"
import type { Settings } from "./Settings.ts"
import { type ConnectPacket, SESSION_NEVER_EXPIRES, type WillMessage } from "./wire/connect.ts"
import { headersResult, headersSizeMax, propertiesToHeaders } from "./wire/headers.ts"

/** The services of the shard, as plain objects. */
export interface Services {
  readonly ingress: IngressShape
  readonly router: RouterShape
  readonly access: AccessShape
  readonly shard: ShardShape
  readonly turn: TurnShape
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly wheel: TimerWheel
}

const encoder = new TextEncoder()

/** A will that waits for its delay or for the end of its session. */
class PendingWill implements WheelTask {
  readonly broker: Broker
  readonly session: Session
  readonly will: WillMessage
  readonly principal: Principal
  constructor(broker: Broker, session: Session, will: WillMessage, principal: Principal) {
    this.broker = broker
    this.session = session
    this.will = will
    this.principal = principal
  }
  timeout(): number {
    this.broker.publishPendingWill(this.session)
    return 0
  }
}

/** Ends a session when its expiry interval is over. */
class Expiry implements WheelTask {
  readonly broker: Broker
  readonly session: Session
  constructor(broker: Broker, session: Session) {
    this.broker = broker
    this.session = session
  }
  timeout(): number {
    this.broker.endSession(this.session)
    return 0
  }
}

export class Broker {
  readonly settings: Settings
  readonly services: Services
  readonly counts = new Counts()
  readonly encoder = new PublishEncoder()
  readonly budget: OutputBudget
  readonly held: HeldMessages
  readonly connections = new Set<Connection>()
  /** The scratch message of all PUBLISH packets of this shard. */
  readonly message = new Message()
  headers = new Uint8Array(1_024)
  /** Wall clock of the chunk that is being read: one look per chunk, not per message. */
  nowMs = 0
  readonly #sessions = new Map<string, Session>()
  readonly #expiries = new Map<Session, Expiry>()
  readonly #wills = new Map<Session, PendingWill>()
  /** Wills on their way into storage: nobody is there to be told, but how they end is counted. */
  readonly #willsAwaited = new TicketFifo({
    released: (outcome) => {
      if (outcome < 0) this.counts.publishRefused += 1
    },
    releasedAll: () => {}
  })

  constructor(settings: Settings, services: Services) {
    this.settings = settings
    this.services = services
    this.budget = new OutputBudget(settings.output_bytes_total_max, services.turn)
    this.held = new HeldMessages(settings.session_bytes_total_max)
  }

  get sessionCount(): number {
    return this.#sessions.size
  }

  get pendingWillCount(): number {
    return this.#wills.size
  }

  /** An identifier for a client that has none, owned by this shard, so that its connection need not be passed on. */
  assignClientIdentifier(tenant: number): string {
    const { random, shard } = this.services
    const bytes = new Uint8Array(12)
    for (;;) {
      random.fill(bytes, 0, bytes.length)
      const identifier = `auto-${bytes.toHex()}`
      if (!this.#sessions.has(keyOf(tenant, identifier)) && shard.ownerOfClient(tenant, identifier) === shard.index) {
        return identifier
      }
    }
  }

  /**
   * The session of a connecting client, resumed or new; undefined where no more sessions fit. An older connection of the client
   * is closed, its will published unless the session goes on before its delay is over.
   */
  openSession(
    connect: ConnectPacket,
    clientIdentifier: string,
    tenant: number
  ): { readonly session: Session; readonly present: boolean } | undefined {
    const key = keyOf(tenant, clientIdentifier)
    const known = this.#sessions.get(key)
    if (known?.connection !== undefined) {
      this.counts.takeOvers += 1
      known.connection.close(SESSION_TAKEN_OVER)
    }
    const expiry = Math.min(connect.sessionExpiryInterval, this.settings.session_expiry_max)
    const limit = Math.min(connect.receiveMaximum, this.settings.inflight_max)
    const surviving = this.#sessions.get(key)
    if (surviving !== undefined && !connect.cleanStart) {
      this.#cancelExpiry(surviving)
      this.#cancelWill(surviving)
      surviving.expiryInterval = expiry
      surviving.limitWindow(limit)
      return { session: surviving, present: true }
    }
    if (surviving !== undefined) this.endSession(surviving)
    if (this.#sessions.size >= this.settings.sessions_max) return undefined
    const session = new Session(this, tenant, clientIdentifier, expiry, limit)
    this.#sessions.set(key, session)
    return { session, present: false }
  }

  /** A connection is gone: the session ends or waits; the will, where one is due, is published or waits. */
  closeSession(session: Session, will: WillMessage | undefined, principal: Principal): void {
    session.connection = undefined
    session.rest()
    const { wheel, clock } = this.services
    if (will !== undefined) {
      const delay = Math.min(will.delayInterval, session.expiryInterval)
      if (delay === 0) this.#publishWill(will, principal)
      else {
        const pending = new PendingWill(this, session, will, principal)
        this.#wills.set(session, pending)
        wheel.set(pending, clock.monotonicMs() + delay * 1_000)
      }
    }
    if (session.expiryInterval === 0) this.endSession(session)
    else if (session.expiryInterval !== SESSION_NEVER_EXPIRES) {
      const expiry = new Expiry(this, session)
      this.#expiries.set(session, expiry)
      wheel.set(expiry, clock.monotonicMs() + session.expiryInterval * 1_000)
    }
  }

  /** Ends a session for good; a will that still waits is published now [MQTT-3.1.3-9]. */
  endSession(session: Session): void {
    this.#cancelExpiry(session)
    this.publishPendingWill(session)
    session.end()
    const key = keyOf(session.tenant, session.clientIdentifier)
    if (this.#sessions.get(key) === session) this.#sessions.delete(key)
  }

  /** Publishes every will that still waits for its delay: for the end of the shard, which ends all sessions. */
  publishPendingWills(): void {
    for (const session of [...this.#wills.keys()]) this.publishPendingWill(session)
  }

  publishPendingWill(session: Session): void {
    const pending = this.#wills.get(session)
    if (pending === undefined) return
    this.#cancelWill(session)
    this.#publishWill(pending.will, pending.principal)
  }

  #cancelWill(session: Session): void {
    const pending = this.#wills.get(session)
    if (pending === undefined) return
    this.#wills.delete(session)
    this.services.wheel.cancel(pending)
  }

  #cancelExpiry(session: Session): void {
    const expiry = this.#expiries.get(session)
    if (expiry === undefined) return
    this.#expiries.delete(session)
    this.services.wheel.cancel(expiry)
  }

  #publishWill(will: WillMessage, principal: Principal): void {
    const message = new Message()
    const topic = encoder.encode(will.topic)
    const nowMs = this.services.clock.nowMs()
    message.tenant = principal.tenant
    message.publisher = principal.clientIdentifier
    message.topic = topic
    message.topicEnd = topic.length
    message.payload = will.payload
    message.payloadEnd = will.payload.length
    message.qos = will.qos
    message.retain = will.retain
    message.timestamp = nowMs
    if (will.messageExpiryInterval >= 0) message.expiresAtMs = nowMs + will.messageExpiryInterval * 1_000
    this.setHeaders(message, will.properties, 0, will.properties.length)
    // The headers lie in the shared scratch: a copy of their own, since publishing may come back here.
    message.headers = message.headers.slice(0, message.headersEnd)
    message.begin()
    this.counts.willsPublished += 1
    const { ingress } = this.services
    const outcome = ingress.publishUnsafe(message, principal)
    if (outcome === ACCEPTED_PENDING) this.#willsAwaited.push(ingress.pendingStream, ingress.pendingTicket, 0, 0)
    else if (outcome < 0) this.counts.publishRefused += 1
  }

  /** Sets a message's headers from PUBLISH property bytes; they lie in a scratch buffer until the next call. */
  setHeaders(message: Message, properties: Uint8Array, start: number, end: number): void {
    message.headersStart = 0
    if (start === end) {
      message.headersEnd = 0
      message.headerCount = 0
      return
    }
    const room = headersSizeMax(end - start)
    if (this.headers.length < room) this.headers = new Uint8Array(room * 2)
    message.headers = this.headers
    message.headersEnd = propertiesToHeaders(properties, start, end, this.headers, 0)
    message.headerCount = headersResult.headerCount
  }
}

function keyOf(tenant: number, clientIdentifier: string): string {
  return tenant === 0 ? clientIdentifier : `${tenant}\u0000${clientIdentifier}`
}
