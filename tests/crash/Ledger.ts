/**
 * The clients' own journal of a run: every message that was sent, what was acknowledged, what came, in order; and the place where a
 * broken promise is told. It lives in the test's process, which nobody kills.
 */
import type { Qos } from "../support/mqtt-packets.ts"

/** A promise was broken. */
export class Violation extends Error {
  override readonly name = "Violation"
}

/** One message, told apart from all others by the number that its payload begins with. */
export interface Message {
  readonly id: number
  /** A client identifier, or "producer-1/2/0": a Kafka producer, its connection, a partition. */
  readonly publisher: string
  readonly source: "mqtt" | "will" | "kafka"
  /** The topic name; "" where MQTT subscribers must never get it. */
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: Qos
  readonly retain: boolean
  /** The run of the broker in which it was first sent. */
  readonly cycle: number
  /** Moment (see {@link Ledger.moment}) before the first byte was handed to a socket. */
  readonly sentAt: number
  /** Moment before it was last sent. */
  lastSentAt: number
  /** How often it was sent. */
  transmissions: number
  /** Moment of its first acknowledgement; 0 = none. */
  acknowledgedAt: number
  /** Why it may not be seen (any more): a will that was called off. */
  forbidden: string
}

/** How many violations of one kind, and of all, are told where a run goes on behind the first. */
const VIOLATIONS_OF_KIND_MAX = 3
const VIOLATIONS_MAX = 200

export class Ledger {
  readonly messages: Array<Message> = []
  readonly violations: Array<Violation> = []
  /** Things looked at, so that a run that checks nothing does not pass for a good one. */
  readonly counts = {
    acknowledged: 0,
    delivered: 0,
    redelivered: 0,
    owed: 0,
    resumed: 0,
    expired: 0,
    resent: 0,
    resubscribed: 0,
    wills: 0,
    willsForbidden: 0,
    retained: 0,
    produced: 0,
    records: 0,
    moves: 0,
    kills: 0
  }
  /**
   * Whether all engines of the run stand in the journal. One that commits by itself may store a QoS 2 message twice whose sender was cut off by
   * a crash and sent it again, and a will that a crash met (`Engine.isJournaled`).
   */
  isExact = true
  /** Which run of the broker this is, from 1 on. */
  cycle = 0
  readonly #lines: Array<string> = []
  readonly #kinds = new Map<string, number>()
  readonly #begunAtMs = performance.now()
  #moment = 0

  get nowMs(): number {
    return performance.now() - this.#begunAtMs
  }

  /** A number that rises with every call: what was noted earlier is smaller. */
  moment(): number {
    this.#moment += 1
    return this.#moment
  }

  /** How often a message may be there. */
  timesMax({ qos, source, transmissions }: Message): number {
    if (!this.isExact && source === "will") return Number.POSITIVE_INFINITY
    return qos === 1 || !this.isExact ? transmissions : 1
  }

  note(line: string): void {
    this.#lines.push(`cycle ${this.cycle} ${this.nowMs.toFixed(1)} ms ${line}`)
  }

  get lines(): ReadonlyArray<string> {
    return this.#lines
  }

  /** The lines of what `text` names: all of a message, the newest of a client. */
  linesAbout(text: string, countMax = 40): ReadonlyArray<string> {
    const messages = [...text.matchAll(/#\d+\b/g)].map(([word]) => new RegExp(`${word}(?!\\d)`))
    const clients = [...text.matchAll(/\b[a-z]+-\d+(?=[#\s:/]|$)/g)].map(([word]) => word)
    const about = this.#lines.filter((line) => messages.some((form) => form.test(line)))
    const near = this.#lines.filter((line) => clients.some((word) => line.includes(word))).slice(-countMax)
    return [...new Set([...about.slice(0, countMax), ...about.slice(-countMax), ...near])]
  }

  /** Tells a broken promise; the run looks at {@link Ledger.violations} and ends. */
  fail(what: string): void {
    this.note(`VIOLATION ${what}`)
    const kind = what.replace(/"[^"]*"|\S*\d\S*/g, "")
    const count = (this.#kinds.get(kind) ?? 0) + 1
    this.#kinds.set(kind, count)
    if (count > VIOLATIONS_OF_KIND_MAX || this.violations.length >= VIOLATIONS_MAX) return
    this.violations.push(new Violation(`cycle ${this.cycle}: ${what}`))
  }

  check(condition: boolean, what: () => string): boolean {
    if (!condition) this.fail(what())
    return condition
  }

  message(
    fields: Pick<Message, "publisher" | "source" | "topic" | "qos" | "retain">,
    /** Bytes of the payload behind its number and publisher. */
    padding: number
  ): Message {
    const id = this.messages.length + 1
    const payload = Buffer.from(`${id} ${fields.publisher} ${"abcdefghij".repeat(Math.ceil(padding / 10))}`)
    const sentAt = this.moment()
    const rest = { lastSentAt: sentAt, transmissions: 0, acknowledgedAt: 0, forbidden: "" }
    const message = { ...fields, id, payload, cycle: this.cycle, sentAt, ...rest }
    this.messages.push(message)
    return message
  }

  /** A message is about to be sent, for the first time or again. */
  sending(message: Message): void {
    message.transmissions += 1
    message.lastSentAt = this.moment()
  }

  /** The message behind a payload, which must be one that was sent, byte for byte; undefined (and told) where it is not. */
  messageOf(payload: Uint8Array, where: string): Message | undefined {
    const text = Buffer.from(payload).toString("latin1")
    const message = this.messages[Number.parseInt(text, 10) - 1]
    if (message === undefined) {
      this.fail(`${where}: nobody ever sent ${JSON.stringify(text.slice(0, 40))}`)
      return undefined
    }
    const isSame = Buffer.compare(message.payload, payload) === 0
    this.check(isSame, () => `${where}: the payload of ${show(message)} changed`)
    return isSame ? message : undefined
  }
}

export function show({ id, publisher, topic, qos, retain, source, cycle }: Message): string {
  return `${source} message #${id} of ${publisher} on "${topic}" (QoS ${qos}${retain ? ", retain" : ""}, cycle ${cycle})`
}
