/**
 * Messages of the program on their way to their acknowledgement, in the order in which they were published.
 *
 * Invariants
 *  - Nothing overtakes: what is acknowledged waits for those before it in its line.
 *  - A line is bounded by messages and bytes; what does not fit is refused and had no effect.
 *  - Whoever waits is told at the end of a turn, where PUBACKs are written: a program that awaits every message lets the network in.
 */
import { ACCEPTED_PENDING, type Message, TicketFifo, type TicketRelease, type TurnTask } from "../../core/mod.ts"
import { PAYLOAD_BYTES_MAX, REFUSED_BACKLOG, REFUSED_CLOSED, REFUSED_TOO_LARGE } from "./errors.ts"
import type { Closable, Services } from "./Services.ts"

/** Messages of one line whose acknowledgement is due. */
export const PENDING_MESSAGES_MAX = 100_000
/** Their payloads' bytes; a lone message always fits. */
export const PENDING_BYTES_MAX = 67_108_864

/** The lines that somebody waits for; closed with the broker. */
export interface Lines {
  readonly isClosed: boolean
  readonly busy: Set<Closable>
  /** Told when a line has nothing pending any more. */
  settled(): void
}

export abstract class PublishLine implements TicketRelease, TurnTask, Closable {
  protected readonly services: Services
  readonly #lines: Lines
  readonly #fifo = new TicketFifo(this)
  #bytes = 0
  #isTurnDue = false

  constructor(services: Services, lines: Lines) {
    this.services = services
    this.#lines = lines
  }

  /** Messages whose acknowledgement is due. */
  get pending(): number {
    return this.#fifo.length
  }

  released(outcome: number, token: number, sizeBytes: number): void {
    this.#bytes -= sizeBytes
    this.services.counts.pending -= 1
    if (outcome < 0) this.services.counts.refused += 1
    this.acknowledged(outcome, token)
  }

  releasedAll(): void {
    this.tellAtEndOfTurn()
    if (this.#fifo.length > 0) return
    this.#lines.busy.delete(this)
    this.#lines.settled()
  }

  endTurn(): void {
    this.#isTurnDue = false
    this.tell()
  }

  abstract close(): void

  /** A message is acknowledged, or refused where `outcome` is negative. */
  protected abstract acknowledged(outcome: number, token: number): void

  /** Tells who waits, as far as it is time. */
  protected abstract tell(): void

  protected tellAtEndOfTurn(): void {
    if (this.#isTurnDue) return
    this.#isTurnDue = true
    this.services.turn.deferOutput(this)
  }

  /**
   * Hands `message` (borrowed until this returns) to the ingress: {@link ACCEPTED_PENDING} where `token` will be acknowledged later,
   * else its outcome. Token 0 is nobody's: a message that is done at once does not wait in the line for its name to be called.
   */
  protected sendUnsafe(message: Message, token: number): number {
    const { ingress, principal, counts } = this.services
    const sizeBytes = message.payloadEnd
    const waiting = this.#fifo.length
    const refusal = this.#refusal(waiting, sizeBytes)
    if (refusal !== 0) {
      counts.refused += 1
      return refusal
    }
    const outcome = ingress.publishUnsafe(message, principal)
    if (outcome >= 0) counts.published += 1
    if (outcome === ACCEPTED_PENDING) {
      if (waiting === 0) this.#lines.busy.add(this)
      this.#bytes += sizeBytes
      counts.pending += 1
      this.#fifo.push(ingress.pendingStream, ingress.pendingTicket, token, sizeBytes)
    } else if (waiting > 0 && token !== 0) {
      counts.pending += 1
      this.#fifo.pushDone(outcome, token, 0)
      return ACCEPTED_PENDING
    } else if (outcome < 0) counts.refused += 1
    return outcome
  }

  #refusal(waiting: number, sizeBytes: number): number {
    if (this.#lines.isClosed) return REFUSED_CLOSED
    if (sizeBytes > PAYLOAD_BYTES_MAX) return REFUSED_TOO_LARGE
    const isFull = waiting >= PENDING_MESSAGES_MAX || this.#bytes + sizeBytes > PENDING_BYTES_MAX
    return waiting > 0 && isFull ? REFUSED_BACKLOG : 0
  }
}

/** Sets what every message of the program has in common. */
export function fillMessage(message: Message, topic: Uint8Array, qos: number, retain: boolean): void {
  message.topic = topic
  message.topicStart = 0
  message.topicEnd = topic.length
  message.payloadStart = 0
  message.qos = qos
  message.retain = retain
  message.gathered = true
  message.wireFormat = 0
}
