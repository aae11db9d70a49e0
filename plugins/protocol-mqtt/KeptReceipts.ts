/**
 * What a durable session keeps of the QoS 2 messages that its client has sent: a row for each identifier that was taken and not yet
 * released, and which shard holds the token of the message, by which that knows it when it comes again.
 *
 * Invariants
 *  - An identifier's row is gone only after its token: what is sent again meanwhile is still known.
 *  - PUBCOMP waits until the row is gone for good: the client may use the identifier again from then on [MQTT-4.3.3-12].
 *
 * Source: MQTT 5.0 section 4.3.3.
 */
import { FAILED, type KeyValueWrite, type TicketStream } from "../../core/mod.ts"
import { type AnswerLine, NOT_FOUND } from "./AnswerLine.ts"
import type { DurableSession } from "./DurableSession.ts"
import { LateReceipts } from "./LateReceipts.ts"
import { OrderedTickets } from "./OrderedTickets.ts"
import * as rows from "./session-rows.ts"
import * as Packet from "./wire/packet-types.ts"

interface Kept {
  /** The shard that holds the message's token; -1 = none does. */
  readonly owner: number
  /** The journal's ticket of its row; 0 = it was there before. */
  readonly ticket: number
}

export class KeptReceipts {
  readonly #session: DurableSession
  /** Identifiers that have a row, or will have. */
  #kept: Map<number, Kept> | undefined
  #releases: OrderedTickets | undefined
  /** Identifiers whose token is being given back, with the ticket of {@link KeptReceipts.#releases} that their PUBCOMP waits for. */
  readonly #releasing = new Map<number, number>()
  #late: LateReceipts | undefined

  constructor(session: DurableSession) {
    this.#session = session
  }

  /** Something is under way to other shards, or committed elsewhere first. */
  get isAwaited(): boolean {
    return this.#late?.isWaiting === true || this.#releasing.size > 0
  }

  /** Puts in what a row says. */
  restore(packetIdentifier: number, owner: number, ticket = 0): void {
    this.#kept ??= new Map()
    this.#kept.set(packetIdentifier, { owner, ticket })
  }

  /** Writes the row of an identifier whose message the shard `owner` stores; the journal's ticket to wait for. */
  keep(packetIdentifier: number, owner: number): number {
    const session = this.#session
    const { journal, shard } = session.broker.services
    const holder = owner === shard.index ? -1 : owner
    const value = rows.encodeReceived(holder)
    session.mark()
    const ticket = journal.submit({ writes: [{ key: rows.receivedKey(session.number, packetIdentifier), value }] })
    this.restore(packetIdentifier, holder, ticket)
    return ticket
  }

  /** The same when `ticket` of `stream` is committed; what to wait for. */
  keepLater(
    packetIdentifier: number,
    stream: TicketStream,
    ticket: number,
    owner: number
  ): { readonly stream: TicketStream; readonly ticket: number } {
    this.#late ??= new LateReceipts(this.#session)
    const late = this.#late
    return { stream: late.stream, ticket: late.wait(packetIdentifier, stream, ticket, owner) }
  }

  /** Takes the row of an identifier away, where there is one. */
  drop(packetIdentifier: number): void {
    const session = this.#session
    this.#kept?.delete(packetIdentifier)
    const key = rows.receivedKey(session.number, packetIdentifier)
    session.broker.services.journal.submit({ writes: [{ key, value: undefined }] })
    session.mark()
  }

  /** PUBREL came. */
  release(packetIdentifier: number, answers: AnswerLine): void {
    const session = this.#session
    const { journal, ingress } = session.broker.services
    const owner = this.#kept?.get(packetIdentifier)?.owner ?? -1
    if (owner < 0) {
      const isReleased = session.releaseReceived(packetIdentifier)
      // One that is not known may have been released a moment ago: the client may not use it again before its row is gone.
      if (session.isDirty) answers.acknowledge(journal.refusal || FAILED, Packet.PUBCOMP, packetIdentifier)
      else if (isReleased || journal.tickets.issued > journal.tickets.committed) {
        answers.wait(journal.tickets, journal.tickets.issued, Packet.PUBCOMP, packetIdentifier)
      } else answers.acknowledge(NOT_FOUND, Packet.PUBCOMP, packetIdentifier)
      return
    }
    this.#releases ??= new OrderedTickets()
    const releases = this.#releases
    const underWay = this.#releasing.get(packetIdentifier)
    const ticket = underWay ?? releases.stream.issue()
    answers.wait(releases.stream, ticket, Packet.PUBCOMP, packetIdentifier)
    if (underWay !== undefined) return
    this.#releasing.set(packetIdentifier, ticket)
    const ended = (outcome: number): void => {
      this.#releasing.delete(packetIdentifier)
      releases.done(ticket, outcome)
      // Where its connection has ended the session may leave memory now.
      session.mark()
    }
    // First the shard that stored it lets go, then this one: what is sent again meanwhile is still known.
    ingress.giveBackToken(session.tokenOf(packetIdentifier), (outcome) => {
      if (outcome < 0) {
        ended(outcome)
        return
      }
      session.releaseReceived(packetIdentifier)
      session.broker.whenCommitted(ended)
    })
  }

  /** Tokens that others hold of messages which were not released: for the end of the session. */
  tokens(): ReadonlyArray<string> {
    const session = this.#session
    return [...(this.#kept ?? [])].flatMap(([identifier, { owner }]) =>
      owner < 0 ? [] : [session.tokenOf(identifier)]
    )
  }

  /** All its rows, but those that were lost: the message that stood in the same entry was lost with it, and its client is told so. */
  collect(writes: Array<KeyValueWrite>): void {
    const { tickets } = this.#session.broker.services.journal
    for (const [identifier, { owner, ticket }] of this.#kept ?? []) {
      if (tickets.failureOf(ticket) < 0) continue
      writes.push({ key: rows.receivedKey(this.#session.number, identifier), value: rows.encodeReceived(owner) })
    }
  }
}
