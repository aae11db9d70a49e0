/**
 * What one seed stands for: how the network behaves, the bounds of the broker, which topic names there are, who the clients are.
 * Drawn from a stream of its own, so that a change of the broker or the network moves no scenario.
 */
import type { SimulationOptions } from "../../core/platform/simulated.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"

/** The stream of random numbers that scenarios and clients draw from; 0 and 1 are the simulation's. */
const STREAM_SCENARIO = 2
export const SESSION_NEVER_EXPIRES = 4_294_967_295
/** MQTT 3.1.1 and 5.0. */
export type Version = 4 | 5
export type Qos = 0 | 1 | 2

/** A client identifier and the habits of who uses it. */
export interface Persona {
  readonly clientId: string
  readonly version: Version
  /** Seconds; of version 3.1.1 either 0 (always clean) or {@link SESSION_NEVER_EXPIRES}. */
  readonly sessionExpiry: number
  readonly receiveMaximum: number
  /** Seconds; 0 = none. */
  readonly keepAlive: number
  /** Of 16 connections, how many ask for a clean start. */
  readonly cleanOf16: number
  /** Of 16 connections, how many carry a will. */
  readonly willOf16: number
  /** Longest time, ms, that an acknowledgement is kept back. */
  readonly acknowledgeMsMax: number
  /** Of 64 actions, how many cut the connection, and how many leave it half open. */
  readonly cutsOf64: number
  readonly halfOpenOf64: number
  /** Mean time between actions, ms. */
  readonly pauseMs: number
  /** Unacknowledged messages it sends at most. */
  readonly windowMax: number
  readonly payloadBytesMax: number
}

export interface Scenario {
  readonly shards: number
  readonly network: SimulationOptions
  /** How long a busy loop may put off what is to run after the waiting events, ms: ends of turns, frames to other shards. */
  readonly immediateMsMax: number
  readonly mqttBounds: Readonly<Record<string, number>>
  /** Whether the bounds may drop QoS 1 and 2 messages. */
  readonly isQueueTight: boolean
  readonly binding: { readonly topic: string; readonly filter: string; readonly partitions: number }
  /** The topic of the binding is committed up to so much later than it is appended, ms; 0 = it is in memory, where nothing waits. */
  readonly commitMsMax: number
  /** Partitions of topics that Kafka clients create. */
  readonly kafkaPartitions: number
  readonly personas: ReadonlyArray<Persona>
  readonly producers: number
  readonly fetchers: number
  /** Actions of all clients together before they settle. */
  readonly steps: number
  readonly chance: Xoshiro128
}

/** Names that the binding is the home of. */
const BOUND = ["devices/a/telemetry", "devices/b/telemetry", "devices/c/telemetry", "devices/d/telemetry"]
/** Plain names: their topics are made by the first PUBLISH. */
const PLAIN = ["room/a", "room/b", "hall"]
/** Plain names whose topics a Kafka client may make first. */
const SHARED = ["made/x", "made/y"]
/** Names that no topic is the home of. */
const LOOSE = ["loose name/a", "loose name/b", "$sim/c"]
export const LIVE_NAMES: ReadonlyArray<string> = [...BOUND, ...PLAIN, ...SHARED, ...LOOSE]
/**
 * Names of retained messages, with the QoS of all that is written to them. One publisher writes each, in one QoS: a QoS 1 message
 * that is sent again may take the place of a later one of QoS 0 or 2, which is not.
 */
const RETAINED: ReadonlyArray<readonly [name: string, qos: Qos]> = [
  ["state/a", 1],
  ["state/b", 2],
  ["devices/s/telemetry", 1],
  ["odd state/c", 1],
  ["odd state/d", 0]
]
export const RETAINED_NAMES: ReadonlyArray<string> = RETAINED.map(([name]) => name)
export const RETAINED_QOS: ReadonlyMap<string, Qos> = new Map(RETAINED)
export const BOUND_NAMES: ReadonlyArray<string> = BOUND
export const KAFKA_MADE_TOPICS: ReadonlyArray<string> = ["made.x", "made.y"]
export const FILTERS: ReadonlyArray<string> = [
  ...LIVE_NAMES,
  ...RETAINED_NAMES,
  "#",
  "+/+",
  "devices/+/telemetry",
  "devices/#",
  "devices/a/+",
  "room/+",
  "room/#",
  "hall/#",
  "made/+",
  "loose name/#",
  "$sim/#",
  "state/+",
  "+/+/telemetry",
  "wills/#",
  "wills/+"
]

export function willName(clientId: string): string {
  return `wills/${clientId}`
}

export function drawScenario(seed: number, shards: number, steps: number): Scenario {
  const chance = Xoshiro128.seeded(seed, STREAM_SCENARIO)
  const pick = <Value>(values: ReadonlyArray<Value>): Value => values[chance.below(values.length)] as Value
  const isQueueTight = chance.chance(1, 8)
  const timerLatenessMsMax = pick([0, 0, 3])
  const receiveMaximum = pick([5, 10, 65_535])
  const persona = (index: number): Persona => {
    const version = pick<Version>([4, 5])
    const isLongLived = chance.chance(5, 8)
    const expiry = version === 4 ? SESSION_NEVER_EXPIRES : pick([3, 30, SESSION_NEVER_EXPIRES])
    return {
      clientId: `client-${index}`,
      version,
      sessionExpiry: isLongLived ? expiry : 0,
      receiveMaximum: version === 4 ? 65_535 : pick([1, 2, 5, 20, 65_535]),
      keepAlive: pick([0, 0, 1, 5]),
      cleanOf16: pick([0, 1, 4]),
      willOf16: pick([0, 8, 16]),
      acknowledgeMsMax: pick([0, 2, 20, 200]),
      cutsOf64: pick([0, 1, 3, 8]),
      halfOpenOf64: pick([0, 0, 1]),
      pauseMs: pick([2, 20, 200]),
      windowMax: Math.min(pick([1, 4, 10, 40]), receiveMaximum),
      payloadBytesMax: pick([10, 200, 200, 4_000])
    }
  }
  const commitMsMax = pick([0, 0, 1, 10, 100])
  return {
    shards,
    commitMsMax,
    network: {
      delayMsMax: pick([1, 4, 20]),
      windowBytesMin: 64,
      windowBytesMax: pick([256, 4_096, 65_536]),
      partialWritesOfEight: chance.below(6),
      timerLatenessMsMax
    },
    // Late timers would come out of order.
    immediateMsMax: timerLatenessMsMax === 0 ? pick([0, 2, 20]) : 0,
    mqttBounds: {
      receive_maximum: receiveMaximum,
      inflight_max: pick([1, 3, 10, 1_000]),
      queue_messages_max: isQueueTight ? pick([0, 3, 10]) : 100_000,
      output_bytes_max: pick([1_000, 5_000, 65_536]),
      output_bytes_total_max: pick([4_000, 1_048_576, 1_048_576])
    },
    isQueueTight,
    binding: { topic: "telemetry", filter: "devices/+/telemetry", partitions: 1 + chance.below(4) },
    kafkaPartitions: 1 + chance.below(3),
    personas: Array.from({ length: 2 + chance.below(5) }, (_, index) => persona(index)),
    producers: chance.below(3),
    fetchers: 1 + chance.below(2),
    steps,
    chance
  }
}
