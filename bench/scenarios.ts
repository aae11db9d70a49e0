/**
 * What is measured: every scenario with its sizes, and a small form of each that a test can afford.
 *
 * Topic names are plain (`bench/p0`), so that a broker which stores what is published makes a topic for each.
 * Fan-in and fan-out use one topic name: its number of topics must not depend on the number of connections.
 */
import type { QualityOfService } from "./driver/frames.ts"
import { quickScale, SCALE_SCENARIOS, type ScaleScenario } from "./scale-scenarios.ts"

/**
 * `pair`: publisher i to subscriber i; `shared`: all publish to and subscribe to one topic name; `group`: publisher i to a name of
 * its own, all subscribers are members of one shared subscription to all of them.
 */
export type Topics = "pair" | "shared" | "group"

/** Publishers send as fast as their windows let them. */
export interface ClosedLoop {
  readonly kind: "closed-loop"
  readonly name: string
  readonly about: string
  readonly qos: QualityOfService
  readonly topics: Topics
  readonly publishers: number
  readonly subscribers: number
  /** Open messages a publisher. */
  readonly window: number
}

/** Messages leave on a fixed schedule, whatever the broker does. */
export interface OpenLoop {
  readonly kind: "open-loop"
  readonly name: string
  readonly about: string
  readonly qos: QualityOfService
  readonly pairs: number
  /** Messages a second over all pairs. */
  readonly rate: number
}

/** Connections that are opened as fast as possible and then stay. */
export interface Idle {
  readonly kind: "idle"
  readonly name: string
  readonly about: string
  readonly connections: number
  readonly inProgress: number
  /** Memory is read when the broker has had so long to come to rest. */
  readonly restSeconds: number
}

/** Connect, CONNACK, disconnect, again and again. */
export interface ConnectRate {
  readonly kind: "connect-rate"
  readonly name: string
  readonly about: string
  readonly inProgress: number
  /** Local ports of closed connections stay taken for a while: more than this would measure that. */
  readonly cyclesMax: number
}

/** Durable publishing on a fixed schedule: the latency is that of the PUBACK. Nobody is connected to receive. */
export interface Acknowledge {
  readonly kind: "acknowledge"
  readonly name: string
  readonly about: string
  readonly publishers: number
  /** Topic names over all publishers. */
  readonly topics: number
  /** Messages a second over all publishers. */
  readonly rate: number
  /** Whether entries and syncs of the journal are counted. */
  readonly journal: boolean
}

/** Messages for sessions that are away, then the sessions come back. */
export interface Offline {
  readonly kind: "offline"
  readonly name: string
  readonly about: string
  readonly sessions: number
  readonly messagesEach: number
  readonly publishers: number
  /** Open messages a publisher. */
  readonly window: number
  readonly payloadBytes: number
  /** What happens to the broker between store and drain. */
  readonly between: "nothing" | "kill"
  /** What is not stored by then is not stored: brokers that write everything anew each time would never end. */
  readonly secondsMax: number
  /** Nothing arrived for so long: what is missing then does not come. */
  readonly quietSeconds: number
}

/** A start over many durable sessions. */
export interface Restart {
  readonly kind: "restart"
  readonly name: string
  readonly about: string
  readonly sessions: number
  /** Sessions that are looked at afterwards. */
  readonly sample: number
  readonly end: "stop" | "kill"
}

export type Scenario = ClosedLoop | OpenLoop | Idle | ConnectRate | Acknowledge | Offline | Restart | ScaleScenario

export const SCENARIOS: readonly Scenario[] = [
  closed("q0-pair", "QoS 0, 10 publishers to 10 subscribers, 1,000 open each", 0, "pair", 10, 10, 1000),
  closed("q1-pair", "QoS 1, 10 publishers to 10 subscribers, 100 open each", 1, "pair", 10, 10, 100),
  closed("q2-pair", "QoS 2, 10 publishers to 10 subscribers, 100 open each", 2, "pair", 10, 10, 100),
  closed("fan-out", "QoS 0, 1 publisher to 1,000 subscribers, 20 open", 0, "shared", 1, 1000, 20),
  closed("fan-in", "QoS 0, 1,000 publishers to 1 subscriber, 20 open each", 0, "shared", 1000, 1, 20),
  closed("q0-single", "QoS 0, 50 pairs, one outstanding message each", 0, "pair", 50, 50, 1),
  closed(
    "driver-limit",
    "QoS 0, 10 pairs, 20,000 open each; against the floor, what the driver can do",
    0,
    "pair",
    10,
    10,
    20_000
  ),
  closed(
    "shared-q0",
    "QoS 0, 10 publishers to a shared subscription of 10 members, 1,000 open each",
    0,
    "group",
    10,
    10,
    1000
  ),
  closed(
    "shared-q1",
    "QoS 1, 10 publishers to a shared subscription of 10 members, 100 open each",
    1,
    "group",
    10,
    10,
    100
  ),
  open("latency-1k", "QoS 1, 10 pairs, 1,000 messages/s on a fixed schedule", 1, 10, 1000),
  open("latency-20k", "QoS 1, 10 pairs, 20,000 messages/s on a fixed schedule", 1, 10, 20_000),
  idle("idle", 5000, 0.5),
  idle("idle-10k", 10_000, 3),
  idle("idle-19k", 19_000, 3),
  {
    kind: "connect-rate",
    name: "connect-rate",
    about: "connect, CONNACK, DISCONNECT, close; 64 at a time",
    inProgress: 64,
    cyclesMax: 15_000
  },
  acknowledge(
    "durable-1k",
    "durable QoS 1, 10 publishers, 1,000 messages/s on a fixed schedule, to PUBACK",
    10,
    10,
    1000
  ),
  acknowledge(
    "durable-50k",
    "durable QoS 1, 50 publishers, 50,000 messages/s on a fixed schedule, to PUBACK",
    50,
    50,
    50_000
  ),
  journal("journal-1", "durable QoS 1, 5,000 messages/s on 1 topic name: entries and syncs", 1),
  journal("journal-1000", "durable QoS 1, 5,000 messages/s on 1,000 topic names: entries and syncs", 1000),
  offline(
    "offline",
    "1,000 sessions that are away, 100 messages of 256 B for each, QoS 1; then they come back",
    "nothing"
  ),
  offline("offline-kill", "the same; the broker is killed (SIGKILL) and started again before they come back", "kill"),
  restart("restart-stop", "100,000 durable sessions, one subscription each; a stop, and the start over them", "stop"),
  restart(
    "restart-kill",
    "100,000 durable sessions, one subscription each; a SIGKILL, and the start over them",
    "kill"
  ),
  ...SCALE_SCENARIOS
]

/** The same scenario, small enough for a test on a busy machine: shapes stay, numbers of clients and messages shrink. */
export function quick(scenario: Scenario): Scenario {
  const about = `quick, not for comparison: a small form of "${scenario.about}"`
  switch (scenario.kind) {
    case "closed-loop": {
      const publishers = Math.min(scenario.publishers, 100)
      return { ...scenario, about, publishers, subscribers: Math.min(scenario.subscribers, 100) }
    }
    case "open-loop":
      return { ...scenario, about, rate: Math.min(scenario.rate, 5000) }
    case "idle":
      return { ...scenario, about, connections: scenario.connections / 10, restSeconds: 0.2 }
    case "connect-rate":
      return { ...scenario, about, cyclesMax: 1000 }
    case "acknowledge":
      return { ...scenario, about, rate: Math.min(scenario.rate, 5000), topics: Math.min(scenario.topics, 100) }
    case "offline":
      return { ...scenario, about, sessions: 50, messagesEach: 20, secondsMax: 5, quietSeconds: 1 }
    case "restart":
      return { ...scenario, about, sessions: 500, sample: 100 }
    default:
      return quickScale(scenario)
  }
}

/** The scenario called `name`, or undefined. */
export function scenarioNamed(name: string): Scenario | undefined {
  return SCENARIOS.find((scenario) => scenario.name === name)
}

function closed(
  name: string,
  about: string,
  qos: QualityOfService,
  topics: Topics,
  publishers: number,
  subscribers: number,
  window: number
): ClosedLoop {
  return { kind: "closed-loop", name, about, qos, topics, publishers, subscribers, window }
}

function open(name: string, about: string, qos: QualityOfService, pairs: number, rate: number): OpenLoop {
  return { kind: "open-loop", name, about, qos, pairs, rate }
}

function idle(name: string, connections: number, restSeconds: number): Idle {
  const about = `${connections.toLocaleString("en-US")} connections that do nothing`
  return { kind: "idle", name, about, connections, inProgress: 128, restSeconds }
}

function acknowledge(name: string, about: string, publishers: number, topics: number, rate: number): Acknowledge {
  return { kind: "acknowledge", name, about, publishers, topics, rate, journal: false }
}

function journal(name: string, about: string, topics: number): Acknowledge {
  return { kind: "acknowledge", name, about, publishers: 10, topics, rate: 5000, journal: true }
}

function offline(name: string, about: string, between: "nothing" | "kill"): Offline {
  const sizes = { sessions: 1000, messagesEach: 100, publishers: 10, window: 100, payloadBytes: 256 }
  return { kind: "offline", name, about, ...sizes, between, secondsMax: 30, quietSeconds: 5 }
}

function restart(name: string, about: string, end: "stop" | "kill"): Restart {
  return { kind: "restart", name, about, sessions: 100_000, sample: 1000, end }
}
