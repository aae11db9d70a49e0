/** Plugins that do nothing, for the tests of the configuration. */
import { Layer } from "effect"
import * as v from "valibot"
import { CONTRACT_VERSION, type EngineFact, type Plugin } from "../plugin/Plugin.ts"
import { addressList } from "./address-list.ts"
import { type ConfigSource, type Loaded, loadConfig } from "./load.ts"

const base = { version: "0.0.0", contractVersion: CONTRACT_VERSION, layer: () => Layer.empty }

export function fakeStorage(name: string, engines: ReadonlyArray<EngineFact>): Plugin {
  return {
    ...base,
    name,
    kind: "storage",
    runs: "shard",
    engines,
    keyValueStore: "memory",
    options: v.strictObject({})
  }
}

export function fakeProtocol(name: string, options: Plugin["options"]): Plugin {
  return { ...base, name, kind: "protocol", runs: "shard", options }
}

export const builtins: ReadonlyArray<Plugin> = [
  fakeStorage("storage-memory", [{ name: "memory", modes: ["memory"] }]),
  { ...base, name: "meta-raft", kind: "meta", runs: "node", options: v.strictObject({}) },
  fakeProtocol(
    "protocol-mqtt",
    v.strictObject({
      tcp: v.optional(addressList, ["127.0.0.1:1883"]),
      websocket: v.optional(addressList, ["127.0.0.1:8083"]),
      receive_maximum: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)), 65_535),
      greeting: v.optional(v.string(), ""),
      password: v.optional(v.pipe(v.string(), v.minLength(8)))
    })
  ),
  fakeProtocol("protocol-kafka", v.strictObject({ tcp: v.optional(addressList, ["127.0.0.1:9092"]) })),
  {
    ...base,
    name: "admin-http",
    kind: "http",
    runs: "node",
    options: v.strictObject({ tcp: v.optional(addressList, []) })
  }
]

/** Loads `text` as the file `manifold.toml`, with the plugins above and an empty environment. */
export function load(text: string | undefined, more: Partial<ConfigSource> = {}): Loaded {
  return loadConfig({ text, file: "manifold.toml", environment: {}, sets: [], builtins, ...more })
}
