/**
 * Manifold itself: the compiled executable where `dist/` holds one for this machine, else from source.
 *
 * Three times: under the default manifest, where a PUBLISH makes its topic and every message is stored; with
 * `topics.auto_create_mqtt=off`, where a message that nobody stores is routed and forgotten; and with topics on disk.
 */
import { spawnSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { denoPath } from "../../scripts/bootstrap.mjs"
import { fileName, hostTarget } from "../../scripts/packaging/targets.ts"
import type { Broker } from "./Broker.ts"
import type { CertificateFiles } from "./certificate.ts"
import { BROKER_CORE, launch } from "./launch.ts"

/** Which build is measured. `auto` takes the executable where there is one; `deno` is the source under Deno. */
export type Build = "auto" | "source" | "executable" | "deno"

const ROOT = new URL("../..", import.meta.url).pathname
const PROGRAM = join(ROOT, "cli/main.ts")
/** A start over much that was stored may take this long; the bench says how long it took. */
const START_MS_MAX = 120_000
/** Every listener gets a port of its own; only MQTT over TCP is used. */
const PORTS = [
  "protocol-mqtt.tcp=127.0.0.1:0",
  "protocol-mqtt.websocket=127.0.0.1:0",
  "protocol-kafka.tcp=127.0.0.1:0",
  "admin-http.tcp=127.0.0.1:0"
]

const MEMORY = "in its topic, in memory; lost on restart"
/** The durable settings: topics on disk, and those that are used are declared. */
const durable = (engine: string): readonly string[] => [
  "topics.auto_create_mqtt=off",
  `topics.engine=${engine}`,
  "topics.mode=persistent"
]
const PERSISTENT = "in the journal, synced (fdatasync)"

/** Default manifest as it is today: a topic for every name, engine and mode memory. */
export const manifold = (build: Build): Broker =>
  broker({ name: "manifold", storage: "memory, memory", promise: MEMORY, survives: "nothing", build, set: [] })
/** No topics: what the router alone does. */
export const manifoldWithoutTopic = (build: Build): Broker =>
  broker({
    name: "manifold-no-topic",
    storage: "no topic",
    promise: "routed to who is connected, and forgotten",
    survives: "nothing",
    build,
    set: ["topics.auto_create_mqtt=off"]
  })
/** Topics on disk, every PUBACK after the sync. Where a build cannot do it yet, in memory, and every row says so. */
export const manifoldDurable = (build: Build): Broker => durableWith("manifold-durable", "segment", build)
/** The same with the other engine that keeps something. */
export const manifoldSqlite = (build: Build): Broker => durableWith("manifold-sqlite", "sqlite", build)

function durableWith(name: string, engine: string, build: Build): Broker {
  const set = durable(engine)
  const isThere = knows(build, set)
  return broker({
    name,
    storage: isThere ? `${engine}, persistent` : `this build has no engine ${engine}: memory, memory`,
    promise: isThere ? PERSISTENT : MEMORY,
    survives: isThere ? "a kill" : "nothing",
    build,
    set: isThere ? set : ["topics.auto_create_mqtt=off"],
    isDeclared: true
  })
}

interface Variant {
  readonly name: string
  readonly storage: string
  readonly promise: string
  readonly survives: Broker["survives"]
  readonly build: Build
  /** Settings beside the ports, as --set takes them. */
  readonly set: readonly string[]
  /** Whether topics are declared in the manifest, not made by a PUBLISH. */
  readonly isDeclared?: boolean
}

/** A manifest that declares a topic for each name; for everything below `bench/` where there are none. */
export function manifestOf(topicNames: readonly string[]): string[] {
  if (topicNames.length === 0) return ["[[binding]]", 'topic = "bench"', 'filter = "bench/#"']
  return topicNames.flatMap((name) => [
    "[[binding]]",
    `topic = ${JSON.stringify(name.replaceAll("/", "."))}`,
    `filter = ${JSON.stringify(name)}`
  ])
}

function broker({ build, set, isDeclared = false, ...facts }: Variant): Broker {
  return {
    ...facts,
    storesForSubscribersOnly: false,
    hasTls: true,
    settings: () => {
      const options = set.map((setting) => `--set ${setting}`)
      if (isDeclared) return [...options, ...manifestOf([])]
      return options.length === 0 ? ["# the default manifest"] : options
    },
    missing: () => {
      if (commandOf(build) !== undefined) return undefined
      return build === "executable" ? "dist/ holds no executable for this machine" : "cli/main.ts is not there"
    },
    about: () => (commandOf(build) ?? []).join(" ").replace(ROOT, ""),
    start: async (folder, topicNames = [], certificate) => {
      const program = commandOf(build)
      if (program === undefined) throw new Error("there is nothing to start")
      const options = [...PORTS, ...set, ...tlsSettings(certificate)].flatMap((setting) => ["--set", setting])
      if (isDeclared) {
        const file = join(folder, "manifold.toml")
        writeFileSync(file, `${manifestOf(topicNames).join("\n")}\n`)
        options.push("--config", file)
      }
      const startMs = performance.now()
      const arguments_ = ["start", "--data", join(folder, "data"), ...options]
      const child = launch([...program, ...arguments_], BROKER_CORE, { silentMsMax: START_MS_MAX })
      try {
        const ready = await child.line((line) => (line.startsWith("ready") ? line : undefined))
        const readyMs = performance.now() - startMs
        const listener = certificate === undefined ? "protocol-mqtt.tcp" : "protocol-mqtt.tls"
        const [mqtt, http] = [listener, "admin-http.tcp"].map((name) => portIn(ready, name))
        if (mqtt === undefined) throw new Error(`the ready line names no MQTT listener: ${ready}`)
        const metrics = http === undefined ? {} : { metricsUrl: `http://127.0.0.1:${http}/metrics` }
        return { pid: child.pid, port: mqtt, readyMs, ...metrics, stop: child.stop, kill: child.kill }
      } catch (error) {
        await child.stop()
        throw error
      }
    }
  }
}

function tlsSettings(files: CertificateFiles | undefined): string[] {
  if (files === undefined) return []
  return [
    "protocol-mqtt.tls=127.0.0.1:0",
    `protocol-mqtt.certificate=${files.certificate}`,
    `protocol-mqtt.private_key=${files.privateKey}`
  ]
}

/** The port of `listener`, such as `protocol-mqtt.tcp`, in the ready line. */
function portIn(ready: string, listener: string): number | undefined {
  const port = new RegExp(`${listener.replace(".", "\\.")}=\\S*?:(\\d+)`).exec(ready)?.[1]
  return port === undefined ? undefined : Number(port)
}

/** Whether that build accepts `settings`. */
function knows(build: Build, settings: readonly string[]): boolean {
  const [program, ...rest] = commandOf(build) ?? []
  if (program === undefined) return false
  const set = settings.flatMap((setting) => ["--set", setting])
  return spawnSync(program, [...rest, "check-config", ...set], { stdio: "ignore" }).status === 0
}

/** The command line up to the verb, or undefined where that build does not exist. */
export function commandOf(build: Build): string[] | undefined {
  if (build === "deno") return [denoPath(), "run", "-A", "--quiet", PROGRAM]
  const executable = build === "source" ? undefined : hostExecutable()
  if (executable !== undefined) return [executable]
  return build !== "executable" && existsSync(PROGRAM) ? [process.execPath, PROGRAM] : undefined
}

/** The executable in `dist/` that is for this machine. */
function hostExecutable(): string | undefined {
  const path = join(ROOT, "dist", fileName(hostTarget()))
  return existsSync(path) ? path : undefined
}
