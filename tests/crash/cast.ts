/**
 * What one seed stands for: the topics of the broker, the topic names, who the clients are. Drawn from a stream of its own, so that a
 * change of the plans moves no cast.
 */
import { join } from "node:path"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { Qos } from "../support/mqtt-packets.ts"
import { ROOT } from "../support/runtime.ts"
import { HAS_DURABLE_STORAGE } from "./has-durable-storage.ts"

const STREAM_CAST = 10
export const SESSION_NEVER_EXPIRES = 4_294_967_295
/** Longer than any run. */
const LONG_SECONDS = 3_600

/**
 * What an acknowledgement is to promise. "state": topics are in memory, and nothing is asked of them; sessions, retained messages and
 * wills are kept. "lossy": nothing survives the process; a run must then find losses.
 */
export type CrashMode = "persistent" | "hybrid" | "state" | "lossy"

/** A client identifier and the habits of who uses it. */
export interface Persona {
  readonly clientId: string
  readonly version: 4 | 5
  /** Seconds; of version 3.1.1 {@link SESSION_NEVER_EXPIRES} or, always clean, 0. */
  readonly sessionExpiry: number
  readonly receiveMaximum: number
  /** Unacknowledged messages it sends at most. */
  readonly windowMax: number
  /** Mean time between two publishes, ms; 0 = it publishes nothing. */
  readonly publishMs: number
  readonly paddingMax: number
  /** The retained names that it alone writes. */
  readonly retainedNames: ReadonlyArray<string>
  /** Topic filters that it subscribes to at first and never leaves. */
  readonly fixed: ReadonlyArray<{ readonly filter: string; readonly qos: Qos }>
  /** Topic filters that it chooses among, now and then; none = it subscribes to nothing else. */
  readonly choices: ReadonlyArray<string>
  readonly noLocalOf8: number
  /** Longest time that an acknowledgement is kept back, ms. */
  readonly acknowledgeMsMax: number
  /** Of 8 cycles, in how many it connects. */
  readonly onlineOf8: number
  /** Of 32 connections, how many ask for a clean start. */
  readonly cleanOf32: number
  /** Of 8 connections, how many carry a will, and with which delays, seconds. */
  readonly willOf8: number
  readonly willDelays: ReadonlyArray<number>
  /** Of 8 cycles, in how many it cuts its connection, or leaves in order, and comes back. */
  readonly cutsOf8: number
  readonly leavesOf8: number
}

export interface Topic {
  readonly name: string
  readonly filter: string
  readonly partitions: number
  readonly mode: "persistent" | "hybrid"
}

export interface Cast {
  readonly seed: number
  readonly topics: ReadonlyArray<Topic>
  readonly autoCreateMqtt: "memory" | "default" | "off"
  /** Whether partitions outlive the broker. */
  readonly keepsTopics: boolean
  readonly personas: ReadonlyArray<Persona>
  readonly producers: number
  /** The client that gets every will, QoS 2. */
  readonly watcher: string
}

/** A topic that the producers have made for them; its topic name. */
export const MADE_TOPIC = "made.x"
export const MADE_NAME = "made/x"
export const MADE_PARTITIONS = 2
const BOUND = ["devices/a/telemetry", "devices/b/telemetry", "devices/c/telemetry", "events/x", "events/y/z"]
const PLAIN = ["room/a", "room/b", "hall"]
const LOOSE = ["loose name/a", "loose name/b"]
export const LIVE_NAMES: ReadonlyArray<string> = [...BOUND, ...PLAIN, ...LOOSE]
export const BOUND_NAMES: ReadonlyArray<string> = BOUND
/** Names of retained messages, with the QoS of all that is written to them, so that nothing sent again passes something newer. */
export const RETAINED_QOS: ReadonlyMap<string, Qos> = new Map<string, Qos>([
  ["state/a", 1],
  ["state/b", 2],
  ["state/c", 1],
  ["devices/s/telemetry", 1],
  ["odd state/d", 2],
  ["odd state/e", 1]
])
export const FILTERS: ReadonlyArray<string> = [
  ...LIVE_NAMES,
  "devices/+/telemetry",
  "devices/#",
  "devices/a/+",
  "events/#",
  "room/+",
  "room/#",
  "hall/#",
  "loose name/#",
  "+/+",
  "+/x",
  "state/+",
  "odd state/#",
  "made/+",
  "#"
]

/** A name that nobody but one client asks for by itself: a message to it proves that the subscription is there. */
export function probeName(clientId: string, index: number): string {
  return `only/${clientId}/${index}`
}
export const PROBES_PER_CLIENT = 2
export function willName(clientId: string): string {
  return `wills/${clientId}`
}

export function drawCast(seed: number, mode: CrashMode): Cast {
  const chance = Xoshiro128.seeded(seed, STREAM_CAST)
  const pick = <Value>(values: ReadonlyArray<Value>): Value => values[chance.below(values.length)] as Value
  const durable = mode === "hybrid" ? "hybrid" : "persistent"
  const topics: ReadonlyArray<Topic> = [
    { name: "telemetry", filter: "devices/+/telemetry", partitions: 1 + chance.below(4), mode: durable },
    { name: "events", filter: "events/#", partitions: 1 + chance.below(3), mode: "hybrid" },
    { name: "wills", filter: "wills/+", partitions: 1, mode: "persistent" }
  ]
  const retained = [...RETAINED_QOS.keys()]
  const publishers = 4
  const quiet: Omit<Persona, "clientId"> = {
    version: 5,
    sessionExpiry: LONG_SECONDS,
    receiveMaximum: 65_535,
    windowMax: 10,
    publishMs: 0,
    paddingMax: 200,
    retainedNames: [],
    fixed: [],
    choices: [],
    noLocalOf8: 0,
    acknowledgeMsMax: 0,
    onlineOf8: 8,
    cleanOf32: 0,
    willOf8: 0,
    willDelays: [0],
    cutsOf8: 0,
    leavesOf8: 0
  }
  const age = (): Pick<Persona, "version" | "sessionExpiry"> =>
    chance.chance(1, 2)
      ? { version: 4, sessionExpiry: SESSION_NEVER_EXPIRES }
      : { version: 5, sessionExpiry: pick([LONG_SECONDS, SESSION_NEVER_EXPIRES]) }
  const publisher = (index: number): Persona => ({
    ...quiet,
    ...age(),
    clientId: `pub-${index}`,
    windowMax: pick([1, 4, 10, 30]),
    publishMs: pick([4, 10, 20]),
    paddingMax: pick([10, 200, 200, 3_000]),
    retainedNames: retained.filter((_, place) => place % publishers === index),
    willOf8: pick([0, 4, 8]),
    cutsOf8: pick([0, 2]),
    leavesOf8: pick([0, 1])
  })
  const probes = (clientId: string): Persona["fixed"] =>
    Array.from({ length: PROBES_PER_CLIENT }, (_, index) => ({
      filter: probeName(clientId, index),
      qos: pick<Qos>([1, 2])
    }))
  const subscriber = (index: number): Persona => {
    const clientId = `sub-${index}`
    const versioned = age()
    return {
      ...quiet,
      ...versioned,
      clientId,
      receiveMaximum: versioned.version === 4 ? 65_535 : pick(index < 2 ? [20, 65_535] : [1, 5, 20, 65_535]),
      // The first has all the names, QoS 2, and is there always; the second all the same, and mostly away.
      fixed: [...probes(clientId), ...(index < 2 ? [{ filter: "#", qos: 2 as const }] : [])],
      choices: index < 2 ? [] : FILTERS,
      acknowledgeMsMax: pick([0, 5, 40, 200]),
      onlineOf8: index === 0 ? 8 : index === 1 ? 2 : pick([2, 4, 8]),
      cleanOf32: index < 2 ? 0 : pick([0, 1, 4]),
      cutsOf8: pick([0, 2]),
      leavesOf8: pick([0, 2])
    }
  }
  const both: Persona = {
    ...quiet,
    clientId: "both-0",
    sessionExpiry: SESSION_NEVER_EXPIRES,
    publishMs: 20,
    fixed: probes("both-0"),
    choices: FILTERS,
    noLocalOf8: 4,
    acknowledgeMsMax: 10,
    onlineOf8: 6,
    cutsOf8: 2
  }
  const watcher: Persona = {
    ...quiet,
    ...age(),
    clientId: "watch-0",
    fixed: [{ filter: "wills/#", qos: 2 }],
    acknowledgeMsMax: 20,
    onlineOf8: 6
  }
  const mourned = (index: number): Persona => ({
    ...quiet,
    clientId: `will-${index}`,
    sessionExpiry: LONG_SECONDS,
    willOf8: 8,
    willDelays: [[0], [1, 3], [0, 2, 30]][index % 3] ?? [0],
    onlineOf8: pick([4, 8]),
    cutsOf8: pick([0, 4]),
    leavesOf8: pick([0, 2])
  })
  const mayfly = (index: number): Persona => ({
    ...quiet,
    clientId: `mayfly-${index}`,
    sessionExpiry: 1 + index,
    fixed: probes(`mayfly-${index}`),
    choices: ["room/+", "devices/#"],
    onlineOf8: 4,
    leavesOf8: 6
  })
  const clean: Persona = {
    ...quiet,
    clientId: "clean-0",
    version: 4,
    sessionExpiry: 0,
    publishMs: 15,
    fixed: probes("clean-0"),
    choices: FILTERS,
    acknowledgeMsMax: 5,
    onlineOf8: 6,
    cutsOf8: 2
  }
  return {
    seed,
    topics,
    autoCreateMqtt: pick(["memory", "default", "off"]),
    keepsTopics: mode !== "state",
    producers: mode === "state" ? 0 : 2,
    watcher: watcher.clientId,
    personas: [
      watcher,
      ...Array.from({ length: 6 }, (_, index) => subscriber(index)),
      ...Array.from({ length: publishers }, (_, index) => publisher(index)),
      both,
      ...[0, 1, 2].map(mourned),
      ...[0, 1].map(mayfly),
      clean
    ]
  }
}

/** What keeps partitions over a restart. The last one is the example of a third party's. */
export const CRASH_ENGINES = ["sqlite", "segment", "jsonl"] as const
export type CrashEngine = (typeof CRASH_ENGINES)[number]
const JSONL = join(ROOT, "examples/storage-jsonl/mod.ts")

/**
 * The manifest of a cast's broker: the engines in turn, topic by topic, and one of them for topics that are made; every third topic is
 * compressed. Segments are small and checkpoints frequent, so that kills fall into both.
 */
export function manifestOf(
  { seed, topics, autoCreateMqtt }: Cast,
  mode: CrashMode,
  shards: number,
  engines: ReadonlyArray<CrashEngine>
): string {
  const isMemory = mode === "lossy" || mode === "state"
  const engineOf = (index: number): string =>
    isMemory ? "memory" : (engines[(seed + index) % engines.length] ?? "sqlite")
  const modeOf = (wanted: string): string => (isMemory ? "memory" : wanted)
  const lines = [
    "[node]",
    `shards = ${shards}`,
    "[topics]",
    `auto_create_mqtt = "${autoCreateMqtt}"`,
    `partitions = ${MADE_PARTITIONS}`,
    `engine = "${engineOf(topics.length)}"`,
    `mode = "${modeOf(mode)}"`
  ]
  for (const [index, { name, filter, partitions, mode: own }] of topics.entries()) {
    lines.push("[[binding]]", `topic = "${name}"`, `filter = "${filter}"`, `partitions = ${partitions}`)
    lines.push(`engine = "${engineOf(index)}"`, `mode = "${modeOf(own)}"`)
    if ((seed + index) % 3 === 0) lines.push('compression = "zstd"')
  }
  if (!HAS_DURABLE_STORAGE) return `${lines.join("\n")}\n`
  // A list of plugins replaces the default one. The listeners are set from outside.
  for (const name of ["protocol-mqtt", "protocol-kafka", "admin-http"]) lines.push("[[plugin]]", `use = "${name}"`)
  lines.push("[[plugin]]", 'use = "storage-segment"', "[plugin.options]")
  lines.push("segment_bytes = 65536", "checkpoint_interval_ms = 200")
  if (mode === "lossy") lines.push("[[plugin]]", 'use = "storage-sqlite"', "enabled = false")
  if (engines.includes("jsonl")) lines.push("[[plugin]]", `use = ${JSON.stringify(JSONL)}`)
  return `${lines.join("\n")}\n`
}
