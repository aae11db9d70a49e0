/**
 * Messages that go to the shard which owns their name, and the answers to those that came from others: one line for each shard and lane, each
 * in order.
 *
 * Invariants
 *  - A message's ticket is committed when its owner has said how it ended, for QoS 0 too: what is settled is sequenced there.
 *  - Answers of a line go out in the order in which its messages came.
 */
import { TicketFifo } from "../journal/TicketFifo.ts"
import { TicketStream } from "../journal/TicketStream.ts"
import { CHANNEL_PUBLISH, CHANNEL_PUBLISHED, type LinkPort } from "../link/LinkPort.ts"
import { LANES } from "../router/Resolution.ts"
import type { Pending } from "./HeldMessages.ts"
import { ACCEPTED, ACCEPTED_PENDING } from "./Ingress.ts"
import { Message } from "./Message.ts"

/** Outcomes travel as unsigned numbers. */
const OUTCOME_BIAS = 1_000

export interface ForwardsParts {
  readonly port: LinkPort
  /** Sequences a message of another shard, borrowed until this returns; where it is pending, `pending` says where. */
  readonly take: (message: Message) => number
  readonly pending: Pending
}

export class Forwards {
  readonly #parts: ForwardsParts
  /** Of messages handed to other shards, and of answers owed to them: by shard and lane. */
  readonly #streams: ReadonlyArray<TicketStream>
  readonly #answers: ReadonlyArray<TicketFifo>
  readonly #received = new Message()

  constructor(parts: ForwardsParts) {
    this.#parts = parts
    const lines = parts.port.shards * LANES
    this.#streams = Array.from({ length: lines }, () => new TicketStream())
    this.#answers = Array.from({ length: lines }, (_, line) => this.#answersTo(line))
    parts.port.handle(CHANNEL_PUBLISH, (from, reader) => {
      const line = from * LANES + reader.uint8()
      const ticket = reader.uint53()
      const message = this.#received
      const token = reader.text()
      message.decode(reader)
      message.token = token
      const outcome = parts.take(message)
      const answers = this.#answers[line]
      if (answers === undefined) return
      const { pendingStream, pendingTicket } = parts.pending
      if (outcome === ACCEPTED_PENDING) answers.push(pendingStream, pendingTicket, ticket, message.qos)
      else if (answers.length > 0) answers.pushDone(outcome, ticket, message.qos)
      else this.#answer(line, ticket, message.qos, outcome)
    })
    parts.port.handle(CHANNEL_PUBLISHED, (from, reader) => {
      const stream = this.#streams[from * LANES + reader.uint8()]
      const ticket = reader.uint53()
      stream?.setOutcome(ticket, reader.uint32() - OUTCOME_BIAS)
      stream?.commit(ticket)
    })
  }

  /** Hands a message (copied) to its owner; the stream whose last ticket is to be waited for. */
  send(message: Message, owner: number, lane: number): TicketStream | undefined {
    const stream = this.#streams[owner * LANES + lane]
    if (stream === undefined) return undefined
    const outbox = this.#parts.port.begin(owner, CHANNEL_PUBLISH)
    outbox.uint8(lane)
    outbox.uint53(stream.issue())
    outbox.text(message.token)
    message.encode(outbox)
    this.#parts.port.end(outbox)
    return stream
  }

  /** Whether all that was sent before this was called has been answered; to be asked again. */
  settling(): () => boolean {
    const open = this.#streams.flatMap((stream) =>
      stream.committed < stream.issued ? [{ stream, ticket: stream.issued }] : []
    )
    return () => open.every(({ stream, ticket }) => stream.committed >= ticket)
  }

  #answersTo(line: number): TicketFifo {
    return new TicketFifo({
      released: (outcome, ticket, qos) => this.#answer(line, ticket, qos, outcome),
      releasedAll: () => {}
    })
  }

  #answer(line: number, ticket: number, qos: number, outcome: number): void {
    const outbox = this.#parts.port.begin(Math.floor(line / LANES), CHANNEL_PUBLISHED)
    outbox.uint8(line % LANES)
    outbox.uint53(ticket)
    // Nobody asks how a message of QoS 0 ended: what is noted of it would stay for ever.
    outbox.uint32((qos === 0 ? ACCEPTED : outcome) + OUTCOME_BIAS)
    this.#parts.port.end(outbox)
  }
}
