/**
 * `$SYS`: what the broker says of itself, at an interval, and what its clients do, as it happens.
 *
 * The first shard asks the others for their counts, adds them up, publishes the values and tells the others, so that each of them can answer
 * who subscribes: values come at once, with RETAIN set, as retained messages would. They are kept in memory alone: what a node says of
 * itself ends with it.
 *
 * Invariants
 *  - A value is sent once for all its subscribers; with nobody to hear it nothing is made but the texts, once in an interval.
 *  - What a client does is put into words only where somebody subscribes to a filter that begins with `$`.
 */
import { ByteReader, type Mailbox, Message, matches, type Principal, type WheelTask } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Session } from "../Session.ts"
import { countsOf, GAUGE_NAMES } from "./broker-counts.ts"
import { inEnvelope, type Peaks, type SystemFacts, systemValues } from "./system-values.ts"

const ASK = 0
const COUNTS = 1
const VALUE = 2
/** Until the first values, ms. */
const FIRST_MS = 500

const encoder = new TextEncoder()
/** Who publishes what the broker says. */
const BROKER: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }
const NO_IDENTIFIERS: ReadonlyArray<number> = []

export class SystemTopics implements WheelTask {
  readonly #broker: Broker
  readonly #facts: SystemFacts
  readonly #intervalMs: number
  readonly #mailbox: Mailbox
  /** The last value of each topic name. */
  readonly #values = new Map<string, Message>()
  readonly #peaks: Peaks = new Map()
  /** Counts of shards for the round that is under way. */
  readonly #counts = new Map<number, ReadonlyArray<number>>()

  constructor(broker: Broker, facts: SystemFacts, intervalMs: number) {
    this.#broker = broker
    this.#facts = facts
    this.#intervalMs = intervalMs
    const { shard, wheel, clock } = broker.services
    // A start that takes long: another shard may have asked already, and is answered when there is a mailbox to answer with.
    const early: Array<readonly [from: number, bytes: Uint8Array]> = []
    let isOpen = false
    this.#mailbox = shard.mailbox("protocol-mqtt.system", (from, reader) => {
      if (isOpen) this.#receive(from, reader)
      else early.push([from, reader.bytes.slice(reader.position, reader.end)])
    })
    isOpen = true
    for (const [from, bytes] of early) this.#receive(from, new ByteReader().reset(bytes, 0, bytes.length))
    if (shard.index === 0) wheel.set(this, clock.monotonicMs() + Math.min(intervalMs, FIRST_MS))
  }

  /** The node's own part of the tree. */
  get prefix(): string {
    return `$SYS/brokers/${this.#facts.node}`
  }

  timeout(nowMs: number): number {
    const { shard } = this.#broker.services
    this.#counts.clear()
    this.#take(0, countsOf(this.#broker))
    for (let other = 1; other < shard.count; other++) {
      const writer = this.#mailbox.begin(other)
      writer.uint8(ASK)
      this.#mailbox.end(writer)
    }
    return nowMs + this.#intervalMs
  }

  /**
   * Publishes what has just happened, on its own topic name as it is and on `all` in RobustMQ's form with `kind` before it; for the next
   * subscriber it has not.
   */
  tell(topic: string, facts: object, all: string, kind: object): void {
    const nowMs = this.#broker.services.clock.nowMs()
    this.#publish(messageOf(topic, JSON.stringify(facts), nowMs))
    this.#publish(messageOf(all, inEnvelope(this.#facts, nowMs, { ...kind, ...facts }), nowMs))
  }

  /** Somebody may hear what happens. */
  get isHeard(): boolean {
    return this.#broker.services.router.hasSystemFilters
  }

  /** A session has subscribed to a filter: what is known comes at once. */
  replay(session: Session, filter: string): void {
    if (!filter.startsWith("$SYS/")) return
    const identifiers = session.subscriptionOf(filter)?.identifiers ?? NO_IDENTIFIERS
    for (const [topic, message] of this.#values)
      if (matches(filter, topic)) session.send(message, 0, true, identifiers, 0)
  }

  #receive(from: number, reader: ByteReader): void {
    const kind = reader.uint8()
    if (kind === ASK) {
      const counts = countsOf(this.#broker)
      const writer = this.#mailbox.begin(from)
      writer.uint8(COUNTS)
      writer.uint32(counts.length)
      for (const count of counts) writer.uint53(count)
      this.#mailbox.end(writer)
    } else if (kind === COUNTS) {
      this.#take(
        from,
        Array.from({ length: reader.uint32() }, () => reader.uint53())
      )
    } else if (kind === VALUE) this.#keep(reader.text(), reader.text())
  }

  #take(shard: number, counts: ReadonlyArray<number>): void {
    this.#counts.set(shard, counts)
    const { services } = this.#broker
    if (this.#counts.size < services.shard.count) return
    const sums = counts.map((_, place) => {
      let sum = 0
      for (const each of this.#counts.values()) sum += each[place] ?? 0
      return sum
    })
    const gauges = sums.slice(0, GAUGE_NAMES.length)
    const counters = sums.slice(GAUGE_NAMES.length)
    const nowMs = services.clock.nowMs()
    for (const [topic, payload] of systemValues(this.#facts, { gauges, counters }, this.#peaks, nowMs)) {
      const message = this.#keep(topic, payload)
      for (let other = 1; other < services.shard.count; other++) {
        const writer = this.#mailbox.begin(other)
        writer.uint8(VALUE)
        writer.text(topic)
        writer.text(payload)
        this.#mailbox.end(writer)
      }
      this.#publish(message)
    }
  }

  #keep(topic: string, payload: string): Message {
    const message = messageOf(topic, payload, this.#broker.services.clock.nowMs())
    this.#values.set(topic, message)
    return message
  }

  #publish(message: Message): void {
    if (this.isHeard) this.#broker.services.ingress.publishUnsafe(message, BROKER)
  }
}

function messageOf(topic: string, payload: string, nowMs: number): Message {
  const message = new Message()
  message.topic = encoder.encode(topic)
  message.topicEnd = message.topic.length
  message.payload = encoder.encode(payload)
  message.payloadEnd = message.payload.length
  message.timestamp = nowMs
  message.begin()
  return message.owned()
}
