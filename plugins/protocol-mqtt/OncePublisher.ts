/**
 * Publishes messages that stand in rows until then (wills, delayed messages), each once.
 *
 * Invariants
 *  - A message's row goes in the journal entry in which the message is stored, or, where another shard stores it, after that has said
 *    that it is: the message carries a token by which it is stored once, whatever crashes between.
 *  - What is refused for good has had its chance. What the journal cannot take now keeps its row and is published later.
 */
import { ACCEPTED_PENDING, DISK_FULL, FAILED, type Message, TicketFifo } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"

/** Where a message is stored. */
const HERE = 0
const ELSEWHERE = 1

/** What a row says of its message. */
export interface Publishable {
  /** Seconds until the message expires once it is published; -1 = never. */
  readonly messageExpiry: number
  readonly user: string
  readonly peerAddress: string
  /** Topic name, payload, headers, QoS, retain, publisher. */
  readonly message: Message
}

/** Whose rows they are. */
export interface RowKeeper<Row> {
  /** How the tokens of its messages begin, behind the shard. */
  readonly tokenPrefix: string
  /** The row goes, in this turn's entry. */
  drop(number: number, row: Row): void
  /** Another shard has the message, and may have stored it: the row stays and is not to be published meanwhile. */
  handedOver(number: number, row: Row): void
  /** It was not published: the journal takes nothing now. Its row is as it was before. */
  postponed(number: number, row: Row): void
  /** So many were published more (or, where they turn out not to be, less). */
  counted(change: number): void
}

interface HandedOver<Row> {
  readonly number: number
  readonly row: Row
  readonly owner: number
}

export class OncePublisher<Row extends Publishable> {
  readonly #broker: Broker
  readonly #keeper: RowKeeper<Row>
  /** On their way into this shard's storage. */
  readonly #storing = new Map<number, Row>()
  /** On their way into another shard's, by a number that tells one attempt from the next. */
  readonly #handedOver = new Map<number, HandedOver<Row>>()
  #lastAttempt = 0
  readonly #stored = new TicketFifo({
    released: (outcome, kind, value) =>
      kind === HERE ? this.#storedHere(outcome, value) : this.#storedElsewhere(outcome, value),
    releasedAll: () => {}
  })

  constructor(broker: Broker, keeper: RowKeeper<Row>) {
    this.#broker = broker
    this.#keeper = keeper
  }

  /** Messages that are not stored yet. */
  get openCount(): number {
    return this.#storing.size + this.#handedOver.size
  }

  publish(number: number, row: Row): void {
    const { services, counts } = this.#broker
    const { ingress, clock, shard } = services
    const { message, user, peerAddress } = row
    const nowMs = clock.nowMs()
    message.timestamp = nowMs
    message.expiresAtMs = row.messageExpiry >= 0 ? nowMs + row.messageExpiry * 1_000 : 0
    message.begin()
    message.token = this.#tokenOf(number)
    const principal = { tenant: message.tenant, user, clientIdentifier: message.publisher, peerAddress }
    const outcome = ingress.publishUnsafe(message, principal)
    message.token = ""
    if (outcome < 0 && services.journal.refusal !== 0) {
      this.#keeper.postponed(number, row)
      return
    }
    this.#keeper.counted(1)
    if (outcome !== ACCEPTED_PENDING || ingress.pendingOwner === shard.index) {
      this.#keeper.drop(number, row)
      if (outcome < 0) counts.publishRefused += 1
      else if (outcome === ACCEPTED_PENDING) {
        this.#storing.set(number, row)
        this.#stored.push(ingress.pendingStream, ingress.pendingTicket, HERE, number)
      }
      return
    }
    this.#keeper.handedOver(number, row)
    this.#lastAttempt += 1
    this.#handedOver.set(this.#lastAttempt, { number, row, owner: ingress.pendingOwner })
    this.#stored.push(ingress.pendingStream, ingress.pendingTicket, ELSEWHERE, this.#lastAttempt)
  }

  /** This shard has stored it, and its row is gone in the same entry; or the journal has lost both. */
  #storedHere(outcome: number, number: number): void {
    const row = this.#storing.get(number)
    this.#storing.delete(number)
    if (outcome < 0 && row !== undefined) this.#notPublished(number, row)
  }

  /** Another shard has stored it, or refused it. */
  #storedElsewhere(outcome: number, attempt: number): void {
    const handed = this.#handedOver.get(attempt)
    this.#handedOver.delete(attempt)
    if (outcome < 0) this.#broker.counts.publishRefused += 1
    if (handed === undefined) return
    const { number, row } = handed
    const { ingress, journal } = this.#broker.services
    // A disk that is full is full for all shards.
    const isFull = outcome < 0 && journal.refusal !== 0
    if (isFull || outcome === DISK_FULL || outcome === FAILED) {
      this.#notPublished(number, row)
      return
    }
    this.#keeper.drop(number, row)
    // Given back when the row is gone for good, so that a crash between finds the token still taken.
    this.#broker.whenCommitted((dropped) => {
      if (dropped >= 0) ingress.giveBackToken(this.#tokenOf(number), () => {})
    })
  }

  #notPublished(number: number, row: Row): void {
    this.#keeper.counted(-1)
    this.#keeper.postponed(number, row)
  }

  #tokenOf(number: number): string {
    return `${this.#broker.services.shard.index}/${this.#keeper.tokenPrefix}${number}`
  }
}
