/**
 * One client: its lines to commands, its answers in the order of its commands, the messages that it subscribed to.
 *
 * Invariants
 *  - `OK` follows what was promised: a PUB is stored as its topic's mode says, a SUB is known on every shard.
 *  - Nothing here grows by what a client sends or does not read: lines, answers that wait, output and subscriptions have bounds.
 *    Beyond them the client is not read, a message is dropped and counted, or a command is refused.
 *  - What is written in a turn leaves in one write at its end.
 */
import {
  ACCEPTED_PENDING,
  ALLOW,
  checkTopicFilter,
  isWellFormedUtf8,
  type Message,
  type Principal,
  parseShared,
  REFUSED_NOT_AUTHORIZED,
  REFUSED_QUOTA,
  REFUSED_TOPIC_NAME,
  type Socket,
  type SocketReceiver,
  SUBSCRIBE,
  type Subscriber,
  Subscription,
  TicketFifo,
  type TicketRelease,
  type TicketStream,
  type TurnTask
} from "manifold"
import { LINE, LineReader, TOO_LONG, unescapeBytes, wordEnd } from "./lines.ts"
import { Output } from "./Output.ts"
import { checkRead, replay } from "./replay.ts"
import type { Client, Server } from "./Server.ts"

/** Answers that wait for a commit, above which the client is not read. */
const WAITING_MAX = 1_000
const FILTER_BYTES_MAX = 1_024

/** The answers that are always the same. One that waits in line is a number: its place in this table. */
const ANSWERS = {
  ok: "OK",
  pong: "PONG",
  bye: "",
  command: "ERR command: known are PUB, SUB, UNSUB, READ, PING and QUIT",
  usage: "ERR usage: PUB topic payload; SUB filter; UNSUB filter; READ topic[/partition] offset [count]",
  escape: "ERR escape: behind a backslash stands another one, or x and two hexadecimal digits",
  topic: "ERR topic: this is no topic name",
  filter: `ERR filter: this is no topic filter of at most ${FILTER_BYTES_MAX} bytes, or a shared one`,
  "not-authorized": "ERR not-authorized: you may not do this",
  "not-subscribed": "ERR not-subscribed: there is no subscription to this filter",
  "too-many": "ERR too-many: no more subscriptions fit",
  "too-long": "ERR too-long: this is longer than a connection takes",
  quota: "ERR quota: storage is full or not ready; try again",
  storage: "ERR storage: this could not be stored or read",
  "unknown-topic": "ERR unknown-topic: nothing is stored under this name",
  offset: "ERR offset: this partition has no such offset"
} as const
export type Answer = keyof typeof ANSWERS
const NAMES = Object.keys(ANSWERS) as ReadonlyArray<Answer>
const encoder = new TextEncoder()
const LINES = NAMES.map((name) => encoder.encode(`${ANSWERS[name]}\n`))
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

export class Connection implements SocketReceiver, Subscriber, TicketRelease, TurnTask {
  readonly id: string
  readonly server: Server
  readonly principal: Principal
  readonly #socket: Socket
  readonly #number: number
  readonly #reader: LineReader
  readonly #output = new Output()
  readonly #answers = new TicketFifo(this)
  readonly #subscriptions = new Map<string, Subscription>()
  #published = 0
  #delivered = 0
  #dropped = 0
  #isPaused = false
  #isClosed = false
  /** No command is taken while a READ goes on, nor after QUIT. */
  #isBusy = false
  #isDeferred = false
  /** Lets a READ go on. */
  #roomThere: (() => void) | undefined

  constructor(server: Server, socket: Socket, number: number) {
    this.server = server
    this.#socket = socket
    this.#number = number
    this.id = `${server.services.shard.index}-${number}`
    this.principal = { tenant: 0, user: "", clientIdentifier: `line-${this.id}`, peerAddress: socket.peerAddress }
    this.#reader = new LineReader(server.settings.line_bytes_max)
  }

  facts(): Client {
    return {
      id: this.id,
      address: this.principal.peerAddress,
      subscriptions: this.#subscriptions.size,
      published: this.#published,
      delivered: this.#delivered,
      dropped: this.#dropped,
      output_bytes: this.#output.size
    }
  }

  data(bytes: Uint8Array): void {
    if (this.#isClosed) return
    this.#reader.feed(bytes)
    this.#read()
  }

  /** Does what the lines say, as long as what comes of it has room; else the client waits. */
  #read(): void {
    while (!this.#isClosed) {
      if (this.#isBusy || this.#answers.length >= WAITING_MAX || !this.fits(0)) {
        if (!this.#isPaused) this.#socket.pause()
        this.#isPaused = true
        return
      }
      const found = this.#reader.next()
      if (found === TOO_LONG) {
        this.#answer("too-long")
        this.close("the line is too long")
      } else if (found === LINE) {
        const answer = this.#execute(this.#reader.bytes, this.#reader.start, this.#reader.end)
        if (answer !== undefined) this.#answer(answer)
      } else break
    }
    if (this.#isPaused && !this.#isClosed) this.#socket.resume()
    this.#isPaused = false
  }

  /** Does what one line says. Returns the answer, or undefined where it comes later. */
  #execute(bytes: Uint8Array, start: number, end: number): Answer | undefined {
    const verbEnd = wordEnd(bytes, start, end)
    const from = Math.min(verbEnd + 1, end)
    // The longest verb has five letters: what is longer need not become a text.
    switch (verbEnd - start > 5 ? "" : decoder.decode(bytes.subarray(start, verbEnd)).toUpperCase()) {
      case "PUB":
        return this.#publish(bytes, from, end)
      case "SUB":
        return this.#subscribe(filterOf(bytes, from, end))
      case "UNSUB":
        return this.#unsubscribe(filterOf(bytes, from, end))
      case "READ":
        return this.#startReplay(decoder.decode(bytes.subarray(from, Math.min(end, from + 512))))
      case "PING":
        return "pong"
      case "QUIT":
        this.#isBusy = true
        return "bye"
      default:
        return "command"
    }
  }

  #publish(bytes: Uint8Array, start: number, end: number): Answer | undefined {
    const wordsEnd = wordEnd(bytes, start, end)
    const payloadStart = Math.min(wordsEnd + 1, end)
    const topicEnd = unescapeBytes(bytes, start, wordsEnd)
    const payloadEnd = unescapeBytes(bytes, payloadStart, end)
    if (topicEnd < 0 || payloadEnd < 0) return "escape"
    if (topicEnd === start) return "usage"
    const { counts, message, services } = this.server
    message.tenant = this.principal.tenant
    message.publisher = this.principal.clientIdentifier
    message.topic = bytes
    message.topicStart = start
    message.topicEnd = topicEnd
    message.payload = bytes
    message.payloadStart = payloadStart
    message.payloadEnd = payloadEnd
    message.qos = 1
    message.timestamp = services.clock.nowMs()
    message.begin()
    this.#published += 1
    counts.published += 1
    const outcome = services.ingress.publishUnsafe(message, this.principal)
    if (outcome !== ACCEPTED_PENDING) return answerTo(outcome)
    return this.#wait(services.ingress.pendingStream, services.ingress.pendingTicket)
  }

  #subscribe(filter: string | undefined): Answer | undefined {
    if (filter === undefined) return "filter"
    const { services, settings } = this.server
    if (services.access.checkUnsafe(this.principal, SUBSCRIBE, filter) !== ALLOW) return "not-authorized"
    if (this.#subscriptions.has(filter)) return "ok"
    if (this.#subscriptions.size >= settings.subscriptions_max) return "too-many"
    const subscription = new Subscription(this, filter, 0, "", false, 0)
    this.#subscriptions.set(filter, subscription)
    const ticket = services.router.subscribeUnsafe(subscription)
    services.ingress.replayRetained(this.principal.tenant, filter, (message) => {
      if (this.#subscriptions.get(filter) === subscription) this.deliverUnsafe(message)
    })
    return ticket === 0 ? "ok" : this.#wait(services.router.tickets, ticket)
  }

  #unsubscribe(filter: string | undefined): Answer {
    const subscription = this.#subscriptions.get(filter ?? "")
    if (subscription === undefined) return "not-subscribed"
    this.#subscriptions.delete(subscription.filter)
    this.server.services.router.unsubscribeUnsafe(subscription)
    return "ok"
  }

  /** Called by the router, once for each message that a filter matches: what does not fit is dropped, and counted. */
  deliverUnsafe(message: Message): void {
    if (this.#isClosed) return
    const { counts } = this.server
    const line = this.server.lineOf(message)
    if (line === undefined || !this.fits(line.length)) {
      this.#dropped += 1
      counts.droppedSlow += 1
      return
    }
    this.#delivered += 1
    counts.delivered += 1
    this.write(line.bytes, line.length)
  }

  #startReplay(words: string): Answer | undefined {
    const wish = checkRead(this, words)
    if (typeof wish === "string") return wish
    this.#isBusy = true
    const waiting = async (): Promise<Answer | undefined> => {
      while (this.#answers.length > 0 && !this.#isClosed) await this.room()
      return replay(this, wish)
    }
    const ended = (answer: Answer | undefined): void => {
      this.#isBusy = false
      if (answer !== undefined && !this.#isClosed) this.#answer(answer)
      this.#defer()
    }
    waiting().then(ended, () => ended("storage"))
    return undefined
  }

  /** Done when all output was taken and the other connections have had their turn; at once where the connection ends. */
  room(): Promise<void> {
    return new Promise((resolve) => {
      this.#roomThere = resolve
      this.#defer()
    })
  }

  /** Answers `OK` when `ticket` is committed and nothing before it waits. */
  #wait(stream: TicketStream, ticket: number): undefined {
    this.#answers.push(stream, ticket, NAMES.indexOf("ok"), 0)
  }

  /** Answers at once, or behind what waits. */
  #answer(answer: Answer): void {
    const number = NAMES.indexOf(answer)
    if (this.#answers.length > 0) this.#answers.pushDone(0, number, 0)
    else this.released(0, number)
  }

  released(outcome: number, number: number): void {
    if (this.#isClosed) return
    const answer = outcome < 0 ? answerTo(outcome) : (NAMES[number] ?? "storage")
    if (answer === "bye") {
      this.close("see you")
      return
    }
    if (ANSWERS[answer].startsWith("ERR")) this.server.refused(answer)
    const line = LINES[NAMES.indexOf(answer)] ?? new Uint8Array(0)
    this.write(line, line.length)
  }

  releasedAll(): void {
    this.#defer()
  }

  get outputSize(): number {
    return this.#output.size
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Whether `count` more bytes may wait. */
  fits(count: number): boolean {
    return this.#output.size + count <= this.server.settings.output_bytes_max
  }

  write(bytes: Uint8Array, length: number): void {
    this.#output.add(bytes, length)
    this.#defer()
  }

  #defer(): void {
    if (this.#isDeferred || this.#isClosed) return
    this.#isDeferred = true
    this.server.services.turn.deferOutput(this)
  }

  endTurn(): void {
    this.#isDeferred = false
    if (this.#isClosed || !this.#output.flush(this.#socket)) return
    if (this.#output.size === 0 && this.#roomThere !== undefined) {
      this.server.services.clock.immediate(this.#roomThere)
      this.#roomThere = undefined
    }
    if (this.#isPaused) this.#read()
  }

  drain(): void {
    this.endTurn()
  }

  /** Tells the client why, and lets go of it. */
  close(reason: string): void {
    if (this.#isClosed) return
    const bye = encoder.encode(`BYE ${reason}\n`)
    this.#output.add(bye, bye.length)
    const isTaken = this.#output.flush(this.#socket) && this.#output.size === 0
    this.closed()
    if (isTaken) this.#socket.end()
    else this.#socket.terminate()
  }

  closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { connections, services } = this.server
    connections.delete(this.#number)
    for (const subscription of this.#subscriptions.values()) services.router.unsubscribeUnsafe(subscription)
    this.#subscriptions.clear()
    this.#output.clear()
    this.#roomThere?.()
  }
}

/** The topic filter in a line; undefined where it is none that is taken. */
function filterOf(bytes: Uint8Array, start: number, end: number): string | undefined {
  const filterEnd = unescapeBytes(bytes, start, end)
  if (filterEnd - start > FILTER_BYTES_MAX || filterEnd < 0 || !isWellFormedUtf8(bytes, start, filterEnd))
    return undefined
  const filter = decoder.decode(bytes.subarray(start, filterEnd))
  return checkTopicFilter(filter) === 0 && parseShared(filter) === undefined ? filter : undefined
}

/** What an outcome of the ingress is to the client. */
function answerTo(outcome: number): Answer {
  if (outcome >= 0) return "ok"
  if (outcome === REFUSED_TOPIC_NAME) return "topic"
  if (outcome === REFUSED_NOT_AUTHORIZED) return "not-authorized"
  return outcome === REFUSED_QUOTA ? "quota" : "storage"
}
