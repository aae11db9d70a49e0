/** From a program's configuration to what a node is built from. Every fault is found before anything starts. */
import { Schema } from "effect"
import { builtins } from "../cli/builtins.ts"
import { VERSION } from "../cli/version.ts"
import { type Fault, formatFault, loadConfig } from "../core/config/mod.ts"
import type { Plugin } from "../core/mod.ts"
import type { NodeOptions } from "../core/node/mod.ts"
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

type Entry = NonNullable<Configuration["plugin"]>[number]

/** What the node is built from, or every fault of the configuration. */
export function loadConfiguration(
  configuration: Configuration,
  surroundings: Surroundings
): NodeOptions | ConfigurationError {
  const given = new Map<string, Plugin>()
  const values = { ...configuration, plugin: pluginsOf(configuration.plugin, given) }
  const external = new Map([...given].map(([name, plugin]) => [name, { plugin }]))
  const environment = surroundings.environment ?? {}
  const loaded = loadConfig({ text: undefined, values, file: SOURCE, environment, sets: [], builtins, external })
  if (loaded.config === undefined) return errorOf(loaded.faults)
  const { node, topics, defaults, declared, plugins } = loaded.config
  if (plugins.some(({ plugin }) => plugin.name === embedded.name)) {
    const allowed = "a name of its own; this one is the program's face"
    return errorOf([{ key: "plugin", source: SOURCE, found: JSON.stringify(embedded.name), allowed }])
  }
  return {
    id: node.id,
    version: VERSION,
    dataDirectory: node.data,
    makesDataDirectory: configuration.node?.data !== undefined || environment["MANIFOLD_NODE__DATA"] !== undefined,
    shards: node.shards,
    defaults,
    defaultTopic: topics,
    declared,
    plugins,
    insecure: surroundings.insecure ?? false,
    log: surroundings.log ?? (() => {})
  }
}

function errorOf(faults: ReadonlyArray<Fault>): ConfigurationError {
  return new ConfigurationError({ message: faults.map(formatFault).join("\n"), faults })
}

/** The entries as a manifest has them: by name; values are put into `given`. A manifest's faults are left as they are, to be told. */
function pluginsOf(entries: Configuration["plugin"], given: Map<string, Plugin>): unknown {
  if (entries === undefined) return []
  return Array.isArray(entries) ? entries.map((entry: Entry) => entryOf(entry, given)) : entries
}

function entryOf(entry: Entry, given: Map<string, Plugin>): unknown {
  if (typeof entry !== "object" || entry === null) return entry
  const { use } = entry
  if (typeof use === "string") return { ...entry, options: withListeners(use, entry.options) }
  if (typeof use !== "object" || use === null) return entry
  const isBuiltin = builtins.includes(use)
  if (!isBuiltin) given.set(use.name, use)
  return {
    ...entry,
    use: use.name,
    options: isBuiltin ? withListeners(use.name, entry.options) : (entry.options ?? {})
  }
}

/** A listener that is not named is not opened; a protocol that names none gets one on a free port. */
function withListeners(name: string, options: unknown = {}): unknown {
  const listeners = LISTENERS.get(name)
  if (listeners === undefined || typeof options !== "object" || options === null || Array.isArray(options))
    return options
  const isNamed = listeners.some((listener) => listener in options)
  const unnamed = listeners.map((listener, index) => [listener, !isNamed && index === 0 ? FREE_PORT : []])
  return { ...Object.fromEntries(unnamed), ...options }
}
