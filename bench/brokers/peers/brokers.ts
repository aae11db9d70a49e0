/**
 * The peers but mosquitto: how each is configured and started, and what its PUBACK promises.
 *
 * Each stands here as it comes, with only those limits raised that the scenarios would run into (named in `lines`), and where
 * it can persist a second time with persistence on. What a PUBACK promises was read in the source of the version named here.
 */
import { join } from "node:path"
import type { Broker } from "../Broker.ts"
import { type Configured, configured } from "../configured.ts"
import { aedesFolder, type Package, packageNamed } from "./packages.ts"

const AEDES = new URL("./aedes.mjs", import.meta.url).pathname

/** Every peer, in the order of the tables. */
export const peers = (): readonly Broker[] => [
  rumqttd(),
  nats(),
  natsStrict(),
  mochi(),
  mochiBolt(),
  aedes(),
  aedesLevel()
]

/** rumqttd keeps its commit log in memory: there is no setting that survives a restart. */
export const rumqttd = (): Broker =>
  peer("rumqttd", {
    name: "rumqttd",
    extension: "toml",
    storage: "commit log in memory",
    promise: "in the commit log, in memory; nothing outlives the process",
    survives: "nothing",
    storesForSubscribersOnly: true,
    lines: ({ port }) => [
      "id = 0",
      "[router]",
      "id = 0",
      "max_connections = 10010",
      "max_outgoing_packet_count = 200",
      "max_segment_size = 104857600",
      "max_segment_count = 10",
      "[v4.1]",
      'name = "v4-1"',
      `listen = "127.0.0.1:${port}"`,
      "# 1 in its sample file: thousands of clients would wait for each other",
      "next_connection_delay_ms = 0",
      "[v4.1.connections]",
      "connection_timeout_ms = 60000",
      "max_payload_size = 20480",
      "max_inflight_count = 100",
      "dynamic_filters = true"
    ],
    command: ({ file }) => [program("rumqttd"), "--quiet", "--config", file]
  })

/** nats-server with its MQTT listener: QoS 1 messages go through JetStream. */
export const nats = (): Broker =>
  natsWith(
    "nats",
    [],
    "file, synced every 2 min",
    "written to the stream's file, not synced (sync_interval 2m)",
    "a stop"
  )

/** The same, every write synced. */
export const natsStrict = (): Broker =>
  natsWith(
    "nats-strict",
    ["sync_interval: always"],
    "file, synced always",
    "written to the stream's file and synced",
    "a kill"
  )

function natsWith(
  name: string,
  settings: readonly string[],
  storage: string,
  promise: string,
  survives: Broker["survives"]
): Broker {
  return peer("nats-server", {
    name,
    storage,
    promise,
    survives,
    storesForSubscribersOnly: true,
    lines: ({ port, data }) => [
      'server_name: "bench"',
      'listen: "127.0.0.1:-1"',
      `jetstream { ${[`store_dir: ${JSON.stringify(data)}`, ...settings].join(", ")} }`,
      "# 1024 by default; a filter with # counts twice, and 65535 is the most for a session",
      `mqtt { listen: "127.0.0.1:${port}", max_ack_pending: 30000 }`
    ],
    command: ({ file }) => [program("nats-server"), "-c", file]
  })
}

/** mochi-mqtt, memory only. */
export const mochi = (): Broker =>
  peer("mochi-mqtt", {
    name: "mochi",
    storage: "none, in process",
    promise: "not looked at yet: PUBACK is written first, then it is put into queues in memory",
    survives: "nothing",
    storesForSubscribersOnly: true,
    lines: () => ["# no file: peers/mochi.go.txt, default capabilities"],
    command: ({ port }) => [program("mochi-mqtt"), "-address", `127.0.0.1:${port}`]
  })

/** mochi-mqtt with its bolt storage hook, as it comes: one synced transaction a change. */
export const mochiBolt = (): Broker =>
  peer("mochi-mqtt", {
    name: "mochi-bolt",
    storage: "bolt, synced each change",
    promise: "not looked at yet: PUBACK is written first, then each subscriber's copy is a synced transaction in bolt",
    survives: "a kill",
    storesForSubscribersOnly: true,
    lines: () => ["# no file: peers/mochi.go.txt -bolt DATA/bolt.db, default capabilities"],
    command: ({ port, data }) => [
      program("mochi-mqtt"),
      "-address",
      `127.0.0.1:${port}`,
      "-bolt",
      join(data, "bolt.db")
    ]
  })

/** aedes on Node, memory only. */
export const aedes = (): Broker =>
  peer("aedes", {
    name: "aedes",
    storage: "none, in process",
    promise: "not looked at yet: PUBACK is written first",
    survives: "nothing",
    storesForSubscribersOnly: true,
    lines: () => ["# no file: peers/aedes.mjs, default options"],
    command: ({ port }) => [program("aedes"), AEDES, String(port), aedesFolder()]
  })

/** aedes with its LevelDB persistence, as it comes: written, not synced. */
export const aedesLevel = (): Broker =>
  peer("aedes", {
    name: "aedes-level",
    storage: "LevelDB, not synced",
    promise: "not looked at yet: PUBACK is written first, then it is put into LevelDB, which does not sync",
    survives: "a stop",
    storesForSubscribersOnly: true,
    lines: () => ["# no file: peers/aedes.mjs with a level persistence in DATA, default options"],
    command: ({ port, data }) => [program("aedes"), AEDES, String(port), aedesFolder(), join(data, "level")]
  })

function peer(packageName: string, facts: Omit<Configured, "missing" | "about">): Broker {
  const from: Package = packageNamed(packageName)
  return configured({
    ...facts,
    missing: () =>
      from.find() === undefined ? `${from.name} is not installed (npm run bench:compare installs it)` : undefined,
    about: () => `${from.name} ${from.version} (${from.registry})`
  })
}

/** The path of a package's program; only asked for when it is not missing. */
function program(packageName: string): string {
  const found = packageNamed(packageName).find()
  if (found === undefined) throw new Error(`${packageName} is not installed`)
  return found.path
}
