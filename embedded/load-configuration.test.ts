/** A program's configuration: what its types let through, what is told at start, what is the default. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Layer } from "effect"
import * as v from "valibot"
import { builtins } from "../cli/builtins.ts"
import { CONTRACT_VERSION, type Plugin } from "../core/mod.ts"
import type { NodeOptions } from "../core/node/mod.ts"
import type { BuiltinOptions, Configuration } from "./Configuration.ts"
import { ConfigurationError, loadConfiguration } from "./load-configuration.ts"

function load(configuration: Configuration, environment: Record<string, string> = {}): NodeOptions {
  const loaded = loadConfiguration(configuration, { environment })
  if (loaded instanceof ConfigurationError) throw loaded
  return loaded
}

/** What the configuration's faults say, one line each. */
function faultsOf(configuration: unknown): ReadonlyArray<string> {
  const loaded = loadConfiguration(configuration as Configuration, {})
  assert.ok(loaded instanceof ConfigurationError)
  assert.equal(loaded.message.split("\n").length, loaded.faults.length)
  return loaded.message.split("\n")
}

const namesOf = ({ plugins }: NodeOptions): ReadonlyArray<string> => plugins.map(({ plugin }) => plugin.name).toSorted()
const optionsOf = ({ plugins }: NodeOptions, name: string): unknown =>
  plugins.find(({ plugin }) => plugin.name === name)?.options

const mine: Plugin = {
  name: "mine",
  version: "1.0.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  runs: "node",
  options: v.strictObject({ greeting: v.optional(v.string(), "hello") }),
  layer: () => Layer.empty
}

test("nothing given: storage and meta store, no protocol, no directory", () => {
  const options = load({})
  assert.deepEqual(namesOf(options), ["meta-raft", "storage-memory"])
  assert.deepEqual(
    [options.id, options.shards, options.makesDataDirectory, options.insecure],
    ["node-1", 1, false, false]
  )
})

test("a data directory that is named is made, and everything is kept in it", () => {
  for (const options of [load({ node: { data: "there" } }), load({}, { MANIFOLD_NODE__DATA: "there" })]) {
    assert.equal(options.makesDataDirectory, true)
    assert.deepEqual(namesOf(options), ["meta-raft", "storage-memory", "storage-segment", "storage-sqlite"])
    assert.deepEqual(options.defaultTopic, { partitions: 1, engine: "segment", mode: "persistent" })
  }
})

test("without one everything is in memory, and who asks for more is told what is missing", () => {
  const memory = { partitions: 1, engine: "memory", mode: "memory" }
  assert.deepEqual(load({}).defaultTopic, memory)
  assert.deepEqual(load({ topics: { engine: undefined } as never }).defaultTopic, memory)
  assert.deepEqual(load({ topics: { rule: [{ match: "a", partitions: 2 }] } }).defaultTopic, memory)
  assert.deepEqual(load({ plugin: [{ use: "storage-sqlite", enabled: false }] }).defaultTopic, memory)
  const needs = '"sqlite" needs a directory: node.data'
  const asked: ReadonlyArray<readonly [Configuration, string]> = [
    [{ topics: { engine: "sqlite" } }, needs],
    [{ topics: { rule: [{ match: "a", engine: "sqlite" }] } }, needs],
    [{ binding: [{ topic: "a", filter: "a", engine: "sqlite" }] }, needs],
    [
      { plugin: [{ use: "storage-sqlite" }] },
      "configuration: node.data: found nothing; allowed: a directory: storage-sqlite needs one"
    ]
  ]
  for (const [configuration, text] of asked) {
    const lines = faultsOf(configuration)
    assert.equal(lines.length, 1)
    assert.ok(String(lines[0]).endsWith(text), String(lines[0]))
    load({ ...configuration, node: { data: "there" } })
  }
})

const listeners: ReadonlyArray<readonly [NonNullable<Configuration["plugin"]>[number], Record<string, unknown>]> = [
  [{ use: "protocol-mqtt" }, { tcp: ["127.0.0.1:0"], websocket: [] }],
  [
    { use: "protocol-mqtt", options: { tcp: "127.0.0.1:5" } },
    { tcp: ["127.0.0.1:5"], websocket: [] }
  ],
  [
    { use: "protocol-mqtt", options: { websocket: "127.0.0.1:5" } },
    { tcp: [], websocket: ["127.0.0.1:5"] }
  ],
  [
    { use: "protocol-mqtt", options: { tcp: [] } },
    { tcp: [], websocket: [] }
  ],
  [
    { use: "protocol-mqtt", options: { tcp: undefined, websocket: undefined } },
    { tcp: ["127.0.0.1:0"], websocket: [] }
  ],
  [{ use: "protocol-kafka" }, { tcp: ["127.0.0.1:0"] }],
  [
    { use: "admin-http", options: { requests_max: 5 } },
    { tcp: ["127.0.0.1:0"], requests_max: 5 }
  ]
]
for (const [entry, expected] of listeners) {
  test(`listens where it is told to, once at least: ${JSON.stringify(entry)}`, () => {
    const found = optionsOf(load({ plugin: [entry] }), String(entry.use)) as Record<string, unknown>
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, found[key]])), expected)
  })
}

test("a protocol that is not enabled does not run", () => {
  assert.deepEqual(namesOf(load({ plugin: [{ use: "protocol-mqtt", enabled: false }] })), [
    "meta-raft",
    "storage-memory"
  ])
})

test("a plugin as a value: a third party's, and one of ours", () => {
  const mqtt = builtins.find(({ name }) => name === "protocol-mqtt")
  assert.ok(mqtt !== undefined)
  const options = load({ plugin: [{ use: mine, options: { greeting: "hi" } }, { use: mqtt }] })
  assert.deepEqual(namesOf(options), ["meta-raft", "mine", "protocol-mqtt", "storage-memory"])
  assert.deepEqual(optionsOf(options, "mine"), { greeting: "hi" })
  assert.deepEqual((optionsOf(options, "protocol-mqtt") as { tcp: unknown }).tcp, ["127.0.0.1:0"])
})

test("the environment is read where it is given, and comes over the configuration", () => {
  const environment = { MANIFOLD_NODE__ID: "other", MANIFOLD_PROTOCOL_MQTT__TCP: "127.0.0.1:7" }
  const options = load({ node: { id: "mine" }, plugin: [{ use: "protocol-mqtt" }] }, environment)
  assert.equal(options.id, "other")
  assert.deepEqual((optionsOf(options, "protocol-mqtt") as { tcp: unknown }).tcp, ["127.0.0.1:7"])
})

test("topics, rules and bindings are those of a manifest", () => {
  const options = load({
    topics: { partitions: 3, rule: [{ match: "a.*", partitions: 5 }] },
    binding: [{ topic: "telemetry", filter: "devices/+/telemetry", partitions: 8 }]
  })
  assert.deepEqual([options.defaults.forName("a.b").partitions, options.defaults.forName("b").partitions], [5, 3])
  assert.deepEqual(
    options.declared.map(({ topic, filter, partitions }) => [topic, filter, partitions]),
    [["telemetry", "devices/+/telemetry", 8]]
  )
})

test("the configuration is not changed by being read, a frozen one will do", () => {
  const given: Configuration = Object.freeze({
    node: Object.freeze({ shards: 2 }),
    plugin: Object.freeze([Object.freeze({ use: "protocol-mqtt" })])
  })
  const before = JSON.stringify(given)
  load(given, { MANIFOLD_NODE__ID: "other" })
  assert.equal(JSON.stringify(given), before)
})

const faults: ReadonlyArray<readonly [string, unknown, ReadonlyArray<RegExp>]> = [
  ["an unknown section", { nod: {} }, [/^configuration: nod: found unknown "nod"; .*did you mean "node"\?$/]],
  ["a wrong value", { node: { shards: 0 } }, [/^configuration: node\.shards: found 0; allowed: 1 or more$/]],
  [
    "all of several",
    { node: { shards: "2", id: "" }, plugin: [{ use: "protocol-mqtt", options: { tpc: "127.0.0.1:0" } }] },
    [
      /node\.id/,
      /node\.shards: found "2"; allowed: a number/,
      /protocol-mqtt\.tpc: found unknown "tpc".*did you mean "tcp"/
    ]
  ],
  ["an unknown plugin", { plugin: [{ use: "protocol-mqt" }] }, [/plugin\.0\.use.*did you mean "protocol-mqtt"/]],
  [
    "a plugin twice",
    { plugin: [{ use: "protocol-mqtt" }, { use: "protocol-mqtt" }] },
    [/plugin\.1\.use.*each plugin once/]
  ],
  [
    "a value with a name of ours",
    { plugin: [{ use: { ...mine, name: "protocol-mqtt" } }] },
    [/plugin\.0\.use.*new name/]
  ],
  ["a value with the face's name", { plugin: [{ use: { ...mine, name: "embedded" } }] }, [/plugin: found "embedded"/]],
  ["a value that is no plugin", { plugin: [{ use: {} }] }, [/plugin\.0\.use.*"name"/]],
  [
    "a value for another contract",
    { plugin: [{ use: { ...mine, contractVersion: 0 } }] },
    [/plugin\.0\.use.*plugin mine written for contract version 1/]
  ],
  ["a value without a schema", { plugin: [{ use: { ...mine, options: {} } }] }, [/plugin\.0\.use.*strictObject/]],
  ["a value's wrong option", { plugin: [{ use: mine, options: { greting: 1 } }] }, [/mine\.greting.*"greeting"/]],
  [
    "an address that is none",
    { plugin: [{ use: "admin-http", options: { tcp: "8080" } }] },
    [/admin-http\.tcp.*host:port/]
  ],
  ["plugins that are no list", { plugin: { use: "protocol-mqtt" } }, [/plugin: found .*a list/]],
  ["an entry that is nothing", { plugin: [null] }, [/plugin\.0/]],
  ["options that are no table", { plugin: [{ use: "protocol-mqtt", options: [] }] }, [/plugin\.0\.options.*a table/]]
]
for (const [name, configuration, expected] of faults) {
  test(`faults: ${name}`, () => {
    const found = faultsOf(configuration)
    for (const fault of expected)
      assert.ok(
        found.some((line) => fault.test(line)),
        `${fault}\n${found.join("\n")}`
      )
    assert.equal(found.length, expected.length)
  })
}

test("the types know every built-in plugin", () => {
  const known: Record<keyof BuiltinOptions, true> = {
    "admin-http": true,
    "bridge-mqtt": true,
    "meta-raft": true,
    "protocol-kafka": true,
    "protocol-mqtt": true,
    "storage-memory": true,
    "storage-segment": true,
    "storage-sqlite": true
  }
  const names = builtins.map(({ name }) => name).toSorted()
  assert.deepEqual(names, Object.keys(known).toSorted())
})

test("what is wrong does not compile", () => {
  const right: Configuration = {
    node: { id: "a", shards: 2 },
    topics: { auto_create_mqtt: "off", rule: [{ match: "a.*", engine: "memory" }] },
    plugin: [{ use: "protocol-mqtt", options: { tcp: ["127.0.0.1:0"], receive_maximum: 10 } }, { use: mine }]
  }
  const wrong: ReadonlyArray<Configuration> = [
    // @ts-expect-error: no such section
    { nodes: {} },
    // @ts-expect-error: no such key
    { node: { shard: 2 } },
    // @ts-expect-error: a text is no number
    { node: { shards: "2" } },
    // @ts-expect-error: not one of the words
    { topics: { auto_create_mqtt: "on" } },
    // @ts-expect-error: no such plugin
    { plugin: [{ use: "protocol-mqt" }] },
    // @ts-expect-error: no such option of this plugin
    { plugin: [{ use: "protocol-mqtt", options: { advertised: "127.0.0.1:0" } }] },
    // @ts-expect-error: an option with a value of another kind
    { plugin: [{ use: "protocol-kafka", options: { tcp: 9092 } }] },
    // @ts-expect-error: this plugin has no options
    { plugin: [{ use: "meta-raft", options: { voters: 3 } }] }
  ]
  load(right)
  for (const configuration of wrong) assert.ok(faultsOf(configuration).length > 0)
})
