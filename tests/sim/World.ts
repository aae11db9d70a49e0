/**
 * What the clients of a run share: the clock, chance, what is known of every message that was ever sent, and how a broken promise
 * is told.
 */
import type { Simulation } from "../../core/platform/simulated.ts"
import type { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { Qos, Scenario } from "./Scenario.ts"
import type { SimulatedNode } from "./SimulatedNode.ts"

/** A promise was broken: what, when, and with which seed. */
export class Violation extends Error {
  override readonly name = "Violation"
}

/** One message, told apart from all others by the number that its payload begins with. */
export interface SimMessage {
  readonly id: number
  /** A client identifier, or "producer-1/2/0": a Kafka producer, its connection, a partition. */
  readonly publisher: string
  readonly source: "mqtt" | "will" | "kafka"
  /** The topic name; "" where MQTT subscribers must never get it. */
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: Qos
  readonly retain: boolean
  /** Whether it was published with the user property that carries its number. */
  readonly hasProperty: boolean
  /** Moment (see {@link World.moment}) before the first byte was handed to a socket. */
  readonly sentAt: number
  /** How often it was sent. */
  transmissions: number
  /** Moment of its acknowledgement; 0 = not yet. */
  acknowledgedAt: number
  /** A will that may not be published (any more). */
  forbidden: string
}

export class World {
  readonly simulation: Simulation
  readonly node: SimulatedNode
  readonly scenario: Scenario
  readonly chance: Xoshiro128
  readonly messages: Array<SimMessage> = []
  readonly seed: number
  stepsLeft: number
  /** No more new traffic: everybody brings to an end what was begun. */
  isSettling = false
  /** Things looked at, so that a run that checks nothing does not pass for a good one. */
  readonly counts = {
    delivered: 0,
    acknowledged: 0,
    owed: 0,
    records: 0,
    replays: 0,
    wills: 0,
    resumed: 0,
    takeOvers: 0
  }
  readonly #recent: Array<string> = []
  #moment = 0

  constructor(simulation: Simulation, node: SimulatedNode, scenario: Scenario, seed: number) {
    this.simulation = simulation
    this.node = node
    this.scenario = scenario
    this.chance = scenario.chance
    this.seed = seed
    this.stepsLeft = scenario.steps
  }

  get nowMs(): number {
    return this.simulation.clock.monotonicMs()
  }

  /** A number that rises with every call: what was noted earlier is smaller. */
  moment(): number {
    this.#moment += 1
    return this.#moment
  }

  /** Mixes a line into the trace and keeps the newest for the report of a failure. */
  note(line: string): void {
    this.simulation.note(line)
    this.#recent.push(`${this.nowMs.toFixed(3)} ${line}`)
    if (this.#recent.length > 4_000) this.#recent.splice(0, 2_000)
  }

  /** The newest notes that hold `part`. */
  recent(count: number, part = ""): ReadonlyArray<string> {
    return this.#recent.filter((line) => line.includes(part)).slice(-count)
  }

  violation(what: string): Violation {
    return new Violation(`at ${this.nowMs.toFixed(3)} ms: ${what}`)
  }

  fail(what: string): never {
    throw this.violation(what)
  }

  check(condition: boolean, what: () => string): void {
    if (!condition) this.fail(what())
  }

  pick<Value>(values: ReadonlyArray<Value>): Value {
    return values[this.chance.below(values.length)] as Value
  }

  after(delayMs: number, task: () => void): void {
    this.simulation.clock.after(delayMs, task)
  }

  message(fields: {
    readonly publisher: string
    readonly source: SimMessage["source"]
    readonly topic: string
    readonly qos: Qos
    readonly retain: boolean
    readonly hasProperty: boolean
    readonly paddingMax: number
  }): SimMessage {
    const { paddingMax, ...rest } = fields
    const id = this.messages.length + 1
    const padding = this.chance.below(paddingMax + 1)
    const payload = Buffer.from(`${id} ${fields.publisher} ${"abcdefghij".repeat(Math.ceil(padding / 10))}`)
    const message = { ...rest, id, payload, sentAt: this.moment(), transmissions: 0, acknowledgedAt: 0, forbidden: "" }
    this.messages.push(message)
    return message
  }

  /** The message behind a payload, which must be one that was sent, byte for byte. */
  messageOf(payload: Uint8Array, where: string): SimMessage {
    const text = Buffer.from(payload).toString("latin1")
    const message = this.messages[Number.parseInt(text, 10) - 1]
    if (message === undefined) this.fail(`${where}: nobody ever sent ${JSON.stringify(text.slice(0, 40))}`)
    this.check(
      Buffer.compare(message.payload, payload) === 0,
      () => `${where}: the payload of ${show(message)} changed`
    )
    return message
  }
}

export function show(message: SimMessage): string {
  const { id, publisher, topic, qos, retain, source } = message
  return `${source} message ${id} of ${publisher} on "${topic}" (QoS ${qos}${retain ? ", retain" : ""})`
}
