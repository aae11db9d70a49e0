/**
 * Messages whose topic is being made: until the meta store has agreed on the topic and its log is open, a name's messages wait here
 * and then go on in their order. So do those that storage has no room for just now, and whose publishers cannot wait themselves.
 *
 * Invariants
 *  - While messages of a name wait, every further one of that name waits behind them.
 *  - Each ends as the message itself ends afterwards; none is acknowledged before.
 *  - What waits is bounded; what goes beyond is refused, and had no effect.
 */
import { TicketFifo } from "../journal/TicketFifo.ts"
import { TicketStream } from "../journal/TicketStream.ts"
import { ACCEPTED, ACCEPTED_PENDING, HELD_UP, REFUSED_QUOTA } from "./Ingress.ts"
import type { Message } from "./Message.ts"

/** Bounds of all names of a shard together. */
export const HELD_BYTES_MAX = 16_777_216
export const HELD_MESSAGES_MAX = 10_000

/** Where a message that is pending is waited for. */
export interface Pending {
  readonly pendingStream: TicketStream
  readonly pendingTicket: number
}

export interface HeldMessagesParts {
  /** Whether messages of a name still have to wait. */
  readonly mustWait: (tenant: number, name: string) => boolean
  /** Sequences a message that has waited, as the ingress does; where it is pending, `pending` says where. It may still have no room. */
  readonly sequence: (message: Message) => number
  readonly pending: Pending
  /** Calls a task in a turn of its own. */
  readonly later: (task: () => void) => void
  /** Calls a task in a moment, when there may be room. */
  readonly soon: (task: () => void) => void
}

/** The messages of one name, and the line in which their publishers wait. */
interface Line {
  readonly tenant: number
  readonly name: string
  readonly messages: Array<Message>
  readonly stream: TicketStream
  readonly fifo: TicketFifo
}

export class HeldMessages {
  /** The line that took a message last, and its ticket there. */
  stream = new TicketStream()
  ticket = 0
  readonly #parts: HeldMessagesParts
  readonly #lines = new Map<string, Line>()
  #messages = 0
  #bytes = 0
  #isReviewDue = false
  #isRoomAwaited = false

  constructor(parts: HeldMessagesParts) {
    this.#parts = parts
  }

  /** Messages that wait. */
  get count(): number {
    return this.#messages
  }

  /** Whether messages of the name wait. */
  holds(tenant: number, name: string): boolean {
    return this.#lines.size > 0 && this.#lines.has(`${tenant}/${name}`)
  }

  /** Whether messages of some name wait that is as asked for. */
  holdsSome(isMeant: (tenant: number, name: string) => boolean): boolean {
    for (const { tenant, name } of this.#lines.values()) if (isMeant(tenant, name)) return true
    return false
  }

  /** Has a message (copied) wait. Returns `ACCEPTED_PENDING`, and says where in `stream` and `ticket`; or a refusal. */
  hold(message: Message, name: string): number {
    const copy = message.owned()
    copy.token = message.token
    // Here it can.
    copy.canWait = true
    if (this.#messages >= HELD_MESSAGES_MAX || this.#bytes + copy.sizeBytes > HELD_BYTES_MAX) return REFUSED_QUOTA
    const key = `${message.tenant}/${name}`
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = makeLine(message.tenant, name)
      this.#lines.set(key, line)
    }
    line.messages.push(copy)
    this.#messages += 1
    this.#bytes += copy.sizeBytes
    this.stream = line.stream
    this.ticket = line.stream.issue()
    return ACCEPTED_PENDING
  }

  /** Looks after all names that wait: something has changed. */
  review(): void {
    // At a start there are as many changes as topics.
    if (this.#lines.size === 0) return
    for (const [key, line] of [...this.#lines]) {
      // Where one has no room others have none, or little: what is left is looked at again in a moment.
      if (!this.#parts.mustWait(line.tenant, line.name) && !this.#release(key, line, false)) {
        this.awaitRoom()
        return
      }
    }
  }

  /** Looks after all names in a moment: some wait for room. */
  awaitRoom(): void {
    if (this.#isRoomAwaited) return
    this.#isRoomAwaited = true
    this.#parts.soon(() => {
      this.#isRoomAwaited = false
      this.review()
    })
  }

  /** The same in a turn of its own: many things may change in this one, and each review looks at all names. */
  reviewSoon(): void {
    if (this.#isReviewDue || this.#messages === 0) return
    this.#isReviewDue = true
    this.#parts.later(() => {
      this.#isReviewDue = false
      this.review()
    })
  }

  /** The topic of the name will not be: its messages are refused. */
  refuse(tenant: number, name: string): void {
    const key = `${tenant}/${name}`
    const line = this.#lines.get(key)
    if (line !== undefined) this.#release(key, line, true)
  }

  /** Lets the messages of a line go on; false where one had no room: it and those behind it wait on. */
  #release(key: string, line: Line, isRefused: boolean): boolean {
    if (!this.#lines.delete(key)) return true
    const { messages, stream, fifo } = line
    let ticket = stream.issued - messages.length
    for (const [at, message] of messages.entries()) {
      const outcome = isRefused ? REFUSED_QUOTA : this.#parts.sequence(message)
      if (outcome === HELD_UP && !this.#lines.has(key)) {
        messages.splice(0, at)
        this.#lines.set(key, line)
        return false
      }
      ticket += 1
      this.#messages -= 1
      this.#bytes -= message.sizeBytes
      if (outcome === HELD_UP) {
        // An earlier one of its name found its log being opened again, and waits anew: this one waits behind it.
        const again = this.hold(message, line.name)
        if (again === ACCEPTED_PENDING) fifo.push(this.stream, this.ticket, message.qos, ticket)
        else this.#settle(line, ticket, message.qos, again)
        continue
      }
      const { qos } = message
      const { pendingStream, pendingTicket } = this.#parts.pending
      if (outcome === ACCEPTED_PENDING) fifo.push(pendingStream, pendingTicket, qos, ticket)
      else this.#settle(line, ticket, qos, outcome)
    }
    return true
  }

  #settle({ fifo, stream }: Line, ticket: number, qos: number, outcome: number): void {
    if (fifo.length > 0) fifo.pushDone(outcome, qos, ticket)
    else settle(stream, ticket, qos, outcome)
  }
}

function makeLine(tenant: number, name: string): Line {
  const stream = new TicketStream()
  const fifo = new TicketFifo({
    released: (outcome, qos, ticket) => settle(stream, ticket, qos, outcome),
    releasedAll: () => {}
  })
  return { tenant, name, messages: [], stream, fifo }
}

function settle(stream: TicketStream, ticket: number, qos: number, outcome: number): void {
  // Nobody asks how a message of QoS 0 ended: what is noted of it would stay for ever.
  stream.setOutcome(ticket, qos === 0 ? ACCEPTED : outcome)
  stream.commit(ticket)
}
