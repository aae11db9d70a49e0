/**
 * Publishes messages that stand in rows until then (wills, delayed messages), each once.
 *
 * Invariants
 *  - A message's row goes in the journal entry in which the message is stored, or, where it is stored elsewhere, after that has been
 *    said: the message carries a token by which another shard stores it once, whatever crashes between.
 *  - Each waits for its own outcome: one whose storage hangs holds up no other.
 *  - What may not be published has had its chance. What cannot be stored now, here or elsewhere, keeps its row and is published later.
 */
import { ACCEPTED_PENDING, type Message, REFUSED_NOT_AUTHORIZED, REFUSED_TOPIC_NAME } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { enter } from "./entering.ts"

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
  /** It is being stored elsewhere: the row stays, and is not to be published meanwhile. */
  handedOver(number: number, row: Row): void
  /** It was not published: it cannot be stored now, or was lost. Its row is as it was before, also where it was dropped. */
  postponed(number: number, row: Row): void
  /** So many were published more (or, where they turn out not to be, less). */
  counted(change: number): void
}

export class OncePublisher<Row extends Publishable> {
  readonly #broker: Broker
  readonly #keeper: RowKeeper<Row>
  /** Messages that are not stored yet. */
  openCount = 0
  /** Messages that others have stored, whose tokens they hold. */
  readonly #tokensOut = new Set<number>()

  constructor(broker: Broker, keeper: RowKeeper<Row>) {
    this.#broker = broker
    this.#keeper = keeper
  }

  publish(number: number, row: Row): void {
    const broker = this.#broker
    const { clock, shard } = broker.services
    const { message, user, peerAddress } = row
    const nowMs = clock.nowMs()
    message.timestamp = nowMs
    message.expiresAtMs = row.messageExpiry >= 0 ? nowMs + row.messageExpiry * 1_000 : 0
    message.begin()
    message.token = this.#tokenOf(number)
    const principal = { tenant: message.tenant, user, clientIdentifier: message.publisher, peerAddress }
    const outcome = enter(broker, message, principal)
    message.token = ""
    if (outcome < 0 && !isFinal(outcome)) {
      this.#keeper.postponed(number, row)
      return
    }
    if (outcome < 0) broker.counts.publishRefused += 1
    else this.#keeper.counted(1)
    if (outcome !== ACCEPTED_PENDING) {
      this.#keeper.drop(number, row)
      return
    }
    this.openCount += 1
    const { pendingStream, pendingTicket, pendingOwner, pendingIsJournaled } = broker.pending
    if (pendingOwner === shard.index && pendingIsJournaled) {
      this.#keeper.drop(number, row)
      // In one entry: it is stored where its row is gone.
      broker.whenCommitted((dropped) => this.#stored(dropped, number, row))
      return
    }
    this.#keeper.handedOver(number, row)
    pendingStream.whenCommitted(pendingTicket, () =>
      this.#storedElsewhere(pendingStream.takeOutcome(pendingTicket), number, row)
    )
  }

  #stored(outcome: number, number: number, row: Row): void {
    this.openCount -= 1
    if (outcome < 0) this.#notPublished(number, row)
  }

  /** Another shard, or something that is not in the journal, has stored it or refused it. */
  #storedElsewhere(outcome: number, number: number, row: Row): void {
    this.openCount -= 1
    if (outcome < 0) this.#broker.counts.publishRefused += 1
    if (outcome < 0 && !isFinal(outcome)) {
      this.#notPublished(number, row)
      return
    }
    if (outcome < 0) this.#keeper.counted(-1)
    this.#tokensOut.add(number)
    this.#keeper.drop(number, row)
  }

  /** A row is gone for good: a token is given back only now, so that a crash before finds it still taken. */
  gone(number: number): void {
    if (this.#tokensOut.delete(number)) this.#broker.services.ingress.giveBackToken(this.#tokenOf(number), () => {})
  }

  #notPublished(number: number, row: Row): void {
    this.#keeper.counted(-1)
    this.#keeper.postponed(number, row)
  }

  #tokenOf(number: number): string {
    return `${this.#broker.services.shard.index}/${this.#keeper.tokenPrefix}${number}`
  }
}

/** Whether a refusal says that the message may not be published, now or later. */
function isFinal(outcome: number): boolean {
  return outcome === REFUSED_NOT_AUTHORIZED || outcome === REFUSED_TOPIC_NAME
}
