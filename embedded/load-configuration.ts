/** From a program's configuration to what a node is built from. Every fault is found before anything starts. */
import { Schema } from "effect"
import { builtins } from "../cli/builtins.ts"
import { VERSION } from "../cli/version.ts"
import { type Fault, formatFault, loadConfig } from "../core/config/mod.ts"
import type { NodeOptions } from "../core/node/mod.ts"
import { checkPlugin } from "../core/plugin/check-plugin.ts"
import type { PluginFile } from "../core/plugin/load-plugin.ts"
import type { Plugin } from "../core/plugin/Plugin.ts"
import { PluginFault } from "../core/plugin/PluginFault.ts"
import { plugin as embedded } from "../plugins/embedded/mod.ts"
import type { Configuration, Surroundings } from "./Configuration.ts"

/** What is wrong with the configuration: a line a fault, each with its key, what was found and what is allowed. */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>()("ConfigurationError", {
  message: Schema.String,
  faults: Schema.Array(
    Schema.Struct({
      key: Schema.String,
      source: Schema.String,
      found: Schema.String,
      allowed: Schema.String,
      nearest: Schema.optionalKey(Schema.String)
    })
  )
}) {}

/** How faults call what the program gave. */
const SOURCE = "configuration"

/** The options of built-in plugins that open listeners; where none of them is given, the first gets a free port on loopback. */
const LISTENERS: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["protocol-mqtt", ["tcp", "websocket"]],
  ["protocol-kafka", ["tcp"]],
  ["admin-http", ["tcp"]]
])
const FREE_PORT = "127.0.0.1:0"

/** What the node is built from, or every fault of the configuration. */
export function loadConfiguration(
  configuration: Configuration,
  surroundings: Surroundings
): NodeOptions | ConfigurationError {
  const external = new Map<string, PluginFile>()
  const environment = surroundings.environment ?? {}
  const isKept = configuration.node?.data !== undefined || environment["MANIFOLD_NODE__DATA"] !== undefined
  const entries = pluginsOf(configuration.plugin, external)
  // Without a directory to keep it in, nothing is durable.
  const own = isKept ? builtins : builtins.filter((plugin) => !isDurable(plugin) || isListed(plugin.name, entries))
  const values = { ...configuration, plugin: entries }
  const loaded = loadConfig({ text: undefined, values, file: SOURCE, environment, sets: [], builtins: own, external })
  if (loaded.config === undefined) return errorOf(isKept ? loaded.faults : loaded.faults.map(withDirectory))
  const { node, topics, defaults, retained, budget, compaction, declared, plugins } = loaded.config
  const durable = plugins.find(({ plugin }) => isDurable(plugin))?.plugin.name
  if (durable !== undefined && !isKept) {
    return errorOf([
      { key: "node.data", source: SOURCE, found: "nothing", allowed: `a directory: ${durable} needs one` }
    ])
  }
  if (plugins.some(({ plugin }) => plugin.name === embedded.name)) {
    const allowed = "a name of its own; this one is the program's face"
    return errorOf([{ key: "plugin", source: SOURCE, found: JSON.stringify(embedded.name), allowed }])
  }
  return {
    id: node.id,
    version: VERSION,
    dataDirectory: node.data,
    makesDataDirectory: isKept,
    shards: node.shards,
    retained,
    budget,
    compaction,
    defaults,
    defaultTopic: topics,
    declared,
    plugins,
    insecure: surroundings.insecure ?? false,
    log: surroundings.log ?? (() => {})
  }
}

function isDurable(plugin: Plugin): boolean {
  return plugin.kind === "storage" && (plugin.keyValueStore === "durable" || plugin.needsJournal === true)
}

function isListed(name: string, entries: unknown): boolean {
  return Array.isArray(entries) && entries.some((entry) => isRecord(entry) && entry["use"] === name)
}

/** A fault of an engine that is there where a directory is named says so. */
function withDirectory(fault: Fault): Fault {
  const engines = builtins.flatMap((plugin) => (isDurable(plugin) && plugin.kind === "storage" ? plugin.engines : []))
  const isMeant = fault.key.endsWith(".engine") && engines.some(({ name }) => fault.found === JSON.stringify(name))
  return isMeant ? { ...fault, allowed: `${fault.allowed}; ${fault.found} needs a directory: node.data` } : fault
}

function errorOf(faults: ReadonlyArray<Fault>): ConfigurationError {
  return new ConfigurationError({ message: faults.map(formatFault).join("\n"), faults })
}

/**
 * The entries as a manifest has them: by name. Plugins that came as values are judged as those from disk are, and put into `external`; what
 * is no entry is left as it is, to be told.
 */
function pluginsOf(entries: unknown = [], external: Map<string, PluginFile>): unknown {
  return Array.isArray(entries) ? entries.map((entry, index) => entryOf(entry, index, external)) : entries
}

function entryOf(entry: unknown, index: number, external: Map<string, PluginFile>): unknown {
  if (!isRecord(entry)) return entry
  const { use, options = {} } = entry
  if (typeof use === "string") return { ...entry, options: withListeners(use, options) }
  if (!isRecord(use)) return entry
  const builtin = builtins.find((plugin: unknown) => plugin === use)
  if (builtin !== undefined) return { ...entry, use: builtin.name, options: withListeners(builtin.name, options) }
  const name = typeof use["name"] === "string" && use["name"] !== "" ? use["name"] : `value ${index}`
  external.set(name, judge(use))
  return { ...entry, use: name, options }
}

function judge(use: unknown): PluginFile {
  try {
    return { plugin: checkPlugin({ plugin: use }) }
  } catch (error) {
    if (error instanceof PluginFault) return { fault: error.message }
    throw error
  }
}

/** A listener that is not named is not opened; a protocol that names none gets one on a free port. */
function withListeners(name: string, options: unknown): unknown {
  const listeners = LISTENERS.get(name)
  if (listeners === undefined || !isRecord(options)) return options
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const isNamed = listeners.some((listener) => listener in given)
  const unnamed = listeners.map((listener, index) => [listener, !isNamed && index === 0 ? FREE_PORT : []])
  return { ...Object.fromEntries(unnamed), ...given }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
