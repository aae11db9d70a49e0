import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import * as v from "valibot"
import { CONTRACT_VERSION, type Plugin } from "../plugin/Plugin.ts"
import { fieldsOf } from "./check-value.ts"
import { externalPlugins } from "./external.ts"
import { builtins, fakeProtocol, fakeStorage, load } from "./fakes.ts"
import { formatFault } from "./faults.ts"
import type { Config, ConfigSource } from "./load.ts"
import * as schemas from "./schema.ts"
import { refused } from "./testing.ts"

function loaded(text: string | undefined, more: Partial<ConfigSource> = {}): Config {
  const { config, faults } = load(text, more)
  assert.deepEqual(faults.map(formatFault), [])
  assert.ok(config !== undefined)
  return config
}

/** The plugin without its key-value store. */
function withoutStore(plugin: Plugin): Plugin {
  const { keyValueStore: _, ...rest } = plugin as Plugin & { readonly keyValueStore?: unknown }
  return rest as Plugin
}

const linesOf = (text: string | undefined, more: Partial<ConfigSource> = {}): ReadonlyArray<string> =>
  load(text, more).faults.map(formatFault)

const namesOf = (config: Config): ReadonlyArray<string> => config.plugins.map(({ plugin }) => plugin.name)

const optionsOf = (config: Config, name: string): unknown =>
  config.plugins.find(({ plugin }) => plugin.name === name)?.options

test("no file: the defaults", () => {
  const config = loaded(undefined)
  assert.deepEqual(config.node, {
    id: "node-1",
    data: "./data",
    shards: 1,
    retained_messages_max: 1_000_000,
    retained_bytes_max: 536_870_912,
    data_bytes_max: 0,
    tenant_bytes_max: 0,
    compaction_map_bytes: 33_554_432,
    compaction_rate: 33_554_432,
    compaction_interval: 15
  })
  assert.deepEqual(config.topics, { partitions: 1, engine: "memory", mode: "memory" })
  assert.deepEqual([config.defaults.autoCreate, config.defaults.autoCreateMqtt], [true, "memory"])
  assert.deepEqual(config.declared, [])
  assert.deepEqual(namesOf(config), ["storage-memory", "meta-raft", "protocol-mqtt", "protocol-kafka", "admin-http"])
  assert.deepEqual(optionsOf(config, "protocol-kafka"), { tcp: ["127.0.0.1:9092"] })
})

test("file, then environment, then --set; the later wins", () => {
  const text =
    '[node]\nid = "file"\ndata = "file"\nshards = 3\n[[plugin]]\nuse = "protocol-mqtt"\noptions.tcp = "a:1"\n'
  const environment = {
    MANIFOLD_NODE__DATA: "environment",
    MANIFOLD_NODE__SHARDS: "4",
    MANIFOLD_PROTOCOL_MQTT__TCP: "b:1,c:1",
    MANIFOLD_PROTOCOL_MQTT__WEBSOCKET: ""
  }
  const sets = ["node.shards=5", "node.shards=6", "protocol-mqtt.receive_maximum=7"]
  const config = loaded(text, { environment, sets })
  const { id, data, shards } = config.node
  assert.deepEqual([id, data, shards], ["file", "environment", 6])
  assert.deepEqual(optionsOf(config, "protocol-mqtt"), {
    tcp: ["b:1", "c:1"],
    websocket: [],
    receive_maximum: 7,
    greeting: ""
  })
})

/** A value of each key that is not its default, as it is set from outside and as it is read. */
const settings: ReadonlyArray<readonly [section: string, key: string, text: string, value: unknown]> = [
  ["node", "id", "n.2", "n.2"],
  ["node", "data", "12", "12"],
  ["node", "shards", "3", 3],
  ["node", "retained_messages_max", "9", 9],
  ["node", "retained_bytes_max", "1048576", 1_048_576],
  ["node", "data_bytes_max", "402653184", 402_653_184],
  ["node", "tenant_bytes_max", "1048576", 1_048_576],
  ["node", "compaction_map_bytes", "1048576", 1_048_576],
  ["node", "compaction_rate", "65536", 65_536],
  ["node", "compaction_interval", "1", 1],
  ["topics", "auto_create", "false", false],
  ["topics", "auto_create_mqtt", "off", "off"],
  ["topics", "partitions", "4", 4],
  ["topics", "engine", "other", "other"],
  ["topics", "mode", "persistent", "persistent"],
  ["topics", "retention_time", "60", { ms: 60_000, bytes: 7 }],
  ["topics", "retention_bytes", "7", { ms: 60_000, bytes: 7 }],
  ["topics", "compression", "zstd", "zstd"],
  ["protocol-mqtt", "tcp", "a:1, b:2", ["a:1", "b:2"]],
  ["protocol-mqtt", "websocket", "", []],
  ["protocol-mqtt", "receive_maximum", "7", 7],
  ["protocol-mqtt", "greeting", "a,b", "a,b"],
  ["protocol-mqtt", "password", "12345678", "12345678"],
  ["protocol-kafka", "tcp", "a:1", ["a:1"]],
  ["admin-http", "tcp", "a:1", ["a:1"]]
]

test("every key of [node], of [topics] and of every plugin can be set, by variable and by --set", () => {
  const other = fakeStorage("storage-other", [{ name: "other", modes: ["memory", "persistent"] }])
  const plugins = [...builtins, other]
  const known = [
    ...Object.keys(schemas.node.entries).map((key) => `node.${key}`),
    ...Object.keys(schemas.topics.entries).map((key) => `topics.${key}`),
    ...plugins.flatMap(({ name, options }) => Object.keys(fieldsOf(options) ?? {}).map((key) => `${name}.${key}`))
  ]
  const tried = settings.map(([section, key]) => `${section}.${key}`)
  assert.deepEqual([...tried, "topics.rule"].toSorted(), known.toSorted())
  const sets = settings.map(([section, key, text]) => `${section}.${key}=${text}`)
  const variables = settings.map(([section, key, text]) => [
    `MANIFOLD_${section.replace("-", "_")}__${key}`.toUpperCase(),
    text
  ])
  for (const more of [{ sets }, { environment: Object.fromEntries(variables) }]) {
    const config = loaded(undefined, { ...more, builtins: plugins })
    const { autoCreate, autoCreateMqtt } = config.defaults
    const { retention, compression } = config.defaults.forName("any")
    const kept = { retention_time: retention, retention_bytes: retention, compression }
    const topics = { ...config.topics, ...kept, auto_create: autoCreate, auto_create_mqtt: autoCreateMqtt }
    for (const [section, key, , value] of settings) {
      const found = section === "node" ? config.node : section === "topics" ? topics : optionsOf(config, section)
      assert.deepEqual((found as Record<string, unknown>)[key], value, `${section}.${key}`)
    }
  }
})

test("a declared topic is compressed as its binding says, else as its rule, else as [topics]", () => {
  const bindings = ["a", "b", "c"].map((name) => `[[binding]]\ntopic = "${name}"\nfilter = "${name}/#"\n`)
  const [a = "", b = "", c = ""] = bindings
  const rule = '[[topics.rule]]\nmatch = "b"\ncompression = "none"\n'
  const config = loaded(`[topics]\ncompression = "zstd"\n${rule}${a}${b}${c}compression = "none"\n`)
  const compressions = config.declared.map(({ topic, compression }) => [topic, compression])
  assert.deepEqual(compressions, [
    ["a", "zstd"],
    ["b", "none"],
    ["c", "none"]
  ])
})

test("what was set is an own copy: the next load does not see it", () => {
  loaded("[node]\nshards = 2\n", { sets: ["node.shards=5"] })
  assert.equal(loaded("[node]\nshards = 2\n").node.shards, 2)
})

test("[[plugin]] replaces the default protocols and admin-http; storage and meta need no entry", () => {
  assert.deepEqual(namesOf(loaded('[[plugin]]\nuse = "protocol-kafka"\n')), [
    "storage-memory",
    "meta-raft",
    "protocol-kafka"
  ])
  const metaStores = builtins.filter(({ kind }) => kind === "meta")
  const other = { builtins: [...builtins, ...metaStores.map((plugin) => ({ ...plugin, name: "meta-other" }))] }
  const off = '[[plugin]]\nuse = "protocol-mqtt"\nenabled = false\n[[plugin]]\nuse = "meta-raft"\nenabled = false\n'
  assert.deepEqual(namesOf(loaded(off, other)), ["storage-memory", "meta-other"])
  assert.deepEqual(namesOf(loaded("plugin = []")), ["storage-memory", "meta-raft"])
})

test("a setting of a plugin that is not started does nothing, but must be one", () => {
  const text = '[[plugin]]\nuse = "protocol-mqtt"\n'
  assert.deepEqual(namesOf(loaded(text, { sets: ["protocol-kafka.tcp=127.0.0.1:0"] })), [
    "storage-memory",
    "meta-raft",
    "protocol-mqtt"
  ])
  assert.equal(linesOf(text, { sets: ["protocol-kafka.tcpp=127.0.0.1:0"] }).length, 1)
  const needy = fakeProtocol("needy", v.strictObject({ needed: v.string(), more: v.optional(v.number()) }))
  const idle = { builtins: [...builtins, needy] }
  assert.equal(namesOf(loaded(text, idle)).includes("needy"), false)
  assert.deepEqual(linesOf(text, { ...idle, sets: ["needy.more=x"] }), [
    '--set needy.more: needy.more: found "x"; allowed: a number'
  ])
})

test("rules and bindings: what they leave out comes from the rule of the topic's name, then from the defaults", () => {
  const text = `
[topics]
partitions = 2
[[topics.rule]]
match = "many.*"
partitions = 8
[[binding]]
topic = "many.one"
filter = "many/#"
[[binding]]
topic = "one"
filter = "one/+"
partitions = 3
[[binding]]
topic = "other"
filter = "other"
`
  const declared = loaded(text).declared.map(({ topic, filter, partitions }) => [topic, filter, partitions])
  assert.deepEqual(declared, [
    ["many.one", "many/#", 8],
    ["one", "one/+", 3],
    ["other", "other", 2]
  ])
})

test("filters may overlap where one is the better home, and be alike where they do not overlap", () => {
  const filters = ["a/+", "a/b", "+/b", "+/+", "b/+", "c/+/d", "c/+/e"]
  const text = filters.map((filter, index) => `[[binding]]\ntopic = "t${index}"\nfilter = "${filter}"\n`).join("")
  assert.deepEqual(
    loaded(text).declared.map(({ filter }) => filter),
    filters
  )
})

test("a binding's own engine and mode are judged together with what its rule leaves over", () => {
  const other = fakeStorage("storage-other", [{ name: "other", modes: ["hybrid", "persistent"] }])
  const plugins = { builtins: [...builtins, other] }
  const rule = '[[topics.rule]]\nmatch = "o*"\nengine = "other"\nmode = "hybrid"\n'
  const binding = (more: string): string => `${rule}[[binding]]\ntopic = "o"\nfilter = "o/+"\n${more}`
  const declaredOf = (more: string): unknown => {
    const [one] = loaded(binding(more), plugins).declared
    return [one?.engine, one?.mode]
  }
  assert.deepEqual(declaredOf(""), ["other", "hybrid"])
  assert.deepEqual(declaredOf('mode = "persistent"\n'), ["other", "persistent"])
  assert.deepEqual(declaredOf('engine = "other"\n'), ["other", "hybrid"])
  assert.deepEqual(declaredOf('engine = "memory"\n'), ["memory", "memory"])
  assert.deepEqual(linesOf(binding('engine = "memory"\nmode = "hybrid"\n'), plugins), [
    'manifold.toml:9: binding.0.mode: found "hybrid"; allowed: memory (what engine "memory" promises)'
  ])
  assert.deepEqual(linesOf(binding('mode = "memory"\n'), plugins), [
    'manifold.toml:8: binding.0.mode: found "memory"; allowed: hybrid | persistent (what engine "other" promises)'
  ])
})

test("an unknown key does not hide what else is wrong", () => {
  const text = '[[binding]]\ntopic = "a/b"\nfilter = "#/a"\nfiltr = 1\n[[plugin]]\nuse = "nothing"\nusse = 1\n'
  assert.equal(linesOf(text).length, 5)
})

for (const [name, text, sets, expected] of refused) {
  test(`refused: ${name}`, () => assert.deepEqual([...linesOf(text, { sets })].sort(), [...expected].sort()))
}

test("a fault of the environment names the variable", () => {
  assert.deepEqual(
    linesOf(undefined, { environment: { MANIFOLD_NODE__SHARDS: "0", MANIFOLD_PROTOCOL_MQTT__TPC: "a:1" } }),
    [
      "MANIFOLD_NODE__SHARDS: node.shards: found 0; allowed: 1 or more",
      'MANIFOLD_PROTOCOL_MQTT__TPC: protocol-mqtt.tpc: found unknown "tpc"; allowed: tcp, websocket, receive_maximum, greeting, password; did you mean "tcp"?'
    ]
  )
})

test("a variable that is nearly a setting is a fault", () => {
  const allowed = "allowed: MANIFOLD_SECTION__KEY, in capitals, with two underscores between them; did you mean"
  assert.deepEqual(linesOf(undefined, { environment: { MANIFOLD_NODE_ID: "a", MANIFOLD_URL: "b" } }), [
    `environment: MANIFOLD_NODE_ID: found unknown "MANIFOLD_NODE_ID"; ${allowed} "MANIFOLD_NODE__ID"?`
  ])
})

test("an empty value is one: a list without entries, and for the rest a fault", () => {
  const environment = { MANIFOLD_NODE__ID: "", MANIFOLD_NODE__SHARDS: "", MANIFOLD_PROTOCOL_MQTT__TCP: "" }
  assert.deepEqual(linesOf(undefined, { environment }), [
    'MANIFOLD_NODE__ID: node.id: found ""; allowed: 1 to 64 of A-Z a-z 0-9 . _ -',
    'MANIFOLD_NODE__SHARDS: node.shards: found ""; allowed: a number'
  ])
})

test("a secret is not shown, neither by itself nor inside", () => {
  const text = '[[plugin]]\nuse = "protocol-mqtt"\noptions.password = "hunter2"\n'
  assert.deepEqual(linesOf(text), [
    'manifold.toml:3: protocol-mqtt.password: found "(not shown)"; allowed: 8 or more characters'
  ])
  const inside = linesOf('[binding]\npassword = "hunter2"\n')
  assert.ok(!inside.join().includes("hunter2") && inside.join().includes("(not shown)"))
})

test("engines are those of the plugins that are loaded, with the modes they promise", () => {
  const other = fakeStorage("storage-other", [{ name: "other", modes: ["hybrid", "persistent"] }])
  const text = '[topics]\nengine = "other"\nmode = "persistent"\n'
  const config = loaded(text, { builtins: [...builtins, other] })
  assert.deepEqual(config.topics, { partitions: 1, engine: "other", mode: "persistent" })
  assert.deepEqual(linesOf('[topics]\nengine = "other"\nmode = "memory"\n', { builtins: [...builtins, other] }), [
    'manifold.toml:3: topics.mode: found "memory"; allowed: hybrid | persistent (what engine "other" promises)'
  ])
  assert.deepEqual(linesOf('[[plugin]]\nuse = "storage-memory"\nenabled = false\n').length, 3)
})

test("plugins from disk: named by path, told by their own names", () => {
  const plugin = fakeProtocol("third-party", v.strictObject({ tcp: v.optional(v.string(), "none") }))
  const text = '[[plugin]]\nuse = "./mine/mod.ts"\noptions.tcp = "file"\n'
  const external = new Map([["./mine/mod.ts", { plugin }]])
  assert.deepEqual(externalPlugins(text), [{ use: "./mine/mod.ts" }])
  assert.deepEqual(optionsOf(loaded(text, { external }), "third-party"), { tcp: "file" })
  const set = loaded(text, { external, environment: { MANIFOLD_THIRD_PARTY__TCP: "environment" } })
  assert.deepEqual(optionsOf(set, "third-party"), { tcp: "environment" })
  assert.deepEqual(linesOf(text, { external, sets: ["third-party.tpc=x"] }), [
    '--set third-party.tpc: third-party.tpc: found unknown "tpc"; allowed: tcp; did you mean "tcp"?'
  ])
  assert.deepEqual(linesOf(text, { external: new Map([["./mine/mod.ts", { fault: "a file that loads" }]]) }), [
    'manifold.toml:2: plugin.0.use: found "./mine/mod.ts"; allowed: a file that loads'
  ])
  const twin = { plugin: { ...plugin, name: "protocol-mqtt" } }
  assert.deepEqual(linesOf(text, { external: new Map([["./mine/mod.ts", twin]]) }).length, 1)
  const again = `${text}[[plugin]]\nuse = "./twin.ts"\n`
  assert.deepEqual(linesOf(again, { external: new Map([...external, ["./twin.ts", { plugin: { ...plugin } }]]) }), [
    'manifold.toml:5: plugin.1.use: found "./twin.ts"; allowed: a plugin of a new name; there is another "third-party"'
  ])
  const off = text.replace("options.tcp", "enabled = false\noptions.tcp")
  assert.deepEqual(externalPlugins(off), [])
  assert.equal(optionsOf(loaded(off, { external }), "third-party"), undefined)
  assert.deepEqual(namesOf(loaded('[[plugin]]\nuse = "../other.ts"\nenabled = false\n')), [
    "storage-memory",
    "meta-raft"
  ])
  assert.equal(plugin.contractVersion, CONTRACT_VERSION)
})

/** Which of the services that a node cannot do without is missing, and what is told. */
const needs: ReadonlyArray<readonly [string, string, ReadonlyArray<Plugin>, ReadonlyArray<string>]> = [
  [
    "no meta store, for it is switched off",
    '[[plugin]]\nuse = "meta-raft"\nenabled = false\n',
    builtins,
    [
      "manifold.toml:3: plugin.0.enabled: found false; allowed: true for meta-raft, or another plugin that brings a meta store"
    ]
  ],
  [
    "no meta store at all",
    "",
    builtins.filter(({ kind }) => kind !== "meta"),
    ["manifold.toml: plugin: found none that brings a meta store; allowed: a plugin that brings a meta store"]
  ],
  [
    "no key-value store",
    '[[plugin]]\nuse = "storage-memory"\nenabled = false\n',
    [...builtins, withoutStore(fakeStorage("other", [{ name: "memory", modes: ["memory"] }]))],
    [
      "manifold.toml:3: plugin.0.enabled: found false; allowed: true for storage-memory, or another plugin that brings a key-value store"
    ]
  ],
  [
    "an engine that two bring",
    "",
    [...builtins, fakeStorage("other", [{ name: "memory", modes: ["memory"] }])],
    [
      'manifold.toml: plugin: found engine "memory"; allowed: each engine once; storage-memory and other both bring it: switch one off'
    ]
  ]
]
for (const [name, text, plugins, expected] of needs) {
  test(`what a node needs: ${name}`, () => assert.deepEqual(linesOf(text, { builtins: plugins }), expected))
}

test("a plugin that is not found is the fault, not what it might have brought", () => {
  const text = '[[plugin]]\nuse = "./meta.ts"\n[[plugin]]\nuse = "meta-raft"\nenabled = false\n'
  const external = new Map([["./meta.ts", { fault: "a module that loads" }]])
  assert.deepEqual(linesOf(text, { external }), [
    'manifold.toml:2: plugin.0.use: found "./meta.ts"; allowed: a module that loads'
  ])
})

test("digests: their form, their place in the file, and none for what is built in", () => {
  const hex = "0123456789abcdef".repeat(4)
  const right = `[[plugin]]\nuse = "./a.ts"\ndigest = "sha256-${hex}"\n`
  assert.deepEqual(externalPlugins(right), [{ use: "./a.ts", digest: `sha256-${hex}` }])
  const external = new Map([["./a.ts", { fault: `sha256-${"0".repeat(64)}, what lies there`, key: "digest" as const }]])
  const [line = "", ...more] = linesOf(right, { external })
  assert.ok(line.startsWith('manifold.toml:3: plugin.0.digest: found "sha256-0123'), line)
  assert.ok(line.endsWith(`; allowed: sha256-${"0".repeat(64)}, what lies there`), line)
  assert.deepEqual(more, [])
  for (const digest of [`sha256-${hex.toUpperCase()}`, `sha256-${hex.slice(1)}`, `sha512-${hex}`, ""]) {
    const text = `[[plugin]]\nuse = "./a.ts"\ndigest = "${digest}"\n`
    // What cannot be verified must not be loaded.
    assert.deepEqual(externalPlugins(text), [])
    assert.match(linesOf(text).join("\n"), /^manifold\.toml:3: plugin\.0\.digest: .*64 of 0-9 a-f/)
  }
  assert.deepEqual(externalPlugins(`${right}[[plugin]]\nuse = "./a.ts"\n`), [])
  const builtIn = `[[plugin]]\nuse = "protocol-mqtt"\ndigest = "sha256-${hex}"\n`
  assert.match(linesOf(builtIn).join("\n"), /^manifold\.toml:3: plugin\.0\.digest: .*part of this build$/)
})

test("a schema of options that throws is told, and nothing else of it is asked", () => {
  const throwing = v.pipe(
    v.strictObject({ a: v.optional(v.string(), "b") }),
    v.check(() => {
      throw new Error("no such luck")
    })
  )
  const external = new Map([["./a.ts", { plugin: fakeProtocol("third-party", throwing) }]])
  assert.deepEqual(linesOf('[[plugin]]\nuse = "./a.ts"\n', { external }), [
    "manifold.toml:1: third-party: found a schema of options that throws: no such luck; allowed: one that says what is wrong"
  ])
})

test("a plugin that was left out of the executable is told as such, wherever it is named", () => {
  const without = { leftOut: ["protocol-coap"] }
  const allowed =
    "a plugin that was compiled in; this one is not in this executable; it has: storage-memory, meta-raft, protocol-mqtt"
  const text = '[[plugin]]\nuse = "protocol-coap"\n'
  const [line = "", ...more] = linesOf(text, without)
  assert.ok(line.startsWith(`manifold.toml:2: plugin.0.use: found "protocol-coap"; allowed: ${allowed}`), line)
  assert.deepEqual(more, [])
  const off = `${text}enabled = false\n`
  assert.deepEqual(namesOf(loaded(off, without)), ["storage-memory", "meta-raft"])
  const set = linesOf("", { ...without, sets: ["protocol-coap.tcp=x"] })
  const environment = linesOf("", { ...without, environment: { MANIFOLD_PROTOCOL_COAP__TCP: "x" } })
  assert.ok(
    set[0]?.startsWith(`--set protocol-coap.tcp: protocol-coap.tcp: found "protocol-coap"; allowed: ${allowed}`)
  )
  assert.ok(environment[0]?.startsWith("MANIFOLD_PROTOCOL_COAP__TCP: protocol-coap.tcp: "), environment[0] ?? "")
  assert.equal(linesOf('[[plugin]]\nuse = "protocol-coop"\n', without)[0]?.includes("executable"), false)
})

test("the words of a key path cannot reach what every object has", () => {
  const text = "__proto__ = 5\n[node]\nconstructor = 1\n__proto__ = 2\n[topics]\ntoString = 1\n"
  assert.equal(linesOf(text).length, 4)
  assert.equal(linesOf("", { sets: ["__proto__.id=1", "node.__proto__=1", "constructor.name=x"] }).length, 3)
  assert.equal(linesOf("", { environment: { MANIFOLD___PROTO____X: "1" } }).length, 1)
})

test("any text is loaded or refused with lines, never thrown at", () => {
  const piece = fc.constantFrom(
    "[node]\n",
    "[topics]\n",
    "[[topics.rule]]\n",
    "[[binding]]\n",
    "[[plugin]]\n",
    "[plugin.options]\n",
    'id = "a"\n',
    'use = "protocol-mqtt"\n',
    "shards = 2\n",
    "partitions = inf\n",
    "partitions = nan\n",
    'match = "*"\n',
    'engine = "memory"\n',
    "tcp = [[1]]\n",
    'filter = "a/+"\n',
    'topic = "a"\n',
    "options = 1\n",
    "data = 1979-05-27T07:32:00Z\n",
    "enabled = {}\n"
  )
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: piece }, fc.string()), { maxLength: 12 }), (pieces) => {
      const { config, faults } = load(pieces.join(""))
      assert.equal(config === undefined, faults.length > 0)
      for (const fault of faults) assert.ok(!formatFault(fault).includes("undefined"), formatFault(fault))
    }),
    { numRuns: 3_000 }
  )
})

test("Kafka's configurations of a rule are for the topics of that rule, declared ones too", () => {
  const rule = '[[topics.rule]]\nmatch = "state.*"\nconfigs = { "cleanup.policy" = "compact", "segment.ms" = "5" }\n'
  const config = loaded(`${rule}[[binding]]\ntopic = "state.a"\nfilter = "a/+"\n`)
  const configs = { "cleanup.policy": "compact", "segment.ms": "5" }
  assert.deepEqual(config.defaults.forName("state.x").configs, configs)
  assert.equal(config.defaults.forName("other").configs, undefined)
  assert.deepEqual(config.declared[0]?.configs, configs)
})

test("configurations that Kafka does not have, values that they cannot have, and what the rule says in its own words", () => {
  const faultsOf = (configs: string): ReadonlyArray<string> =>
    linesOf(`[[topics.rule]]\nmatch = "a"\nconfigs = { ${configs} }\n`)
  const faults = faultsOf('"no.such" = "1", "segment.ms" = "0", "retention.ms" = "5", "retention.bytes" = "5"')
  assert.equal(faults.length, 4)
  for (const expected of [
    /no topic configuration/,
    /from 1 on/,
    /retention_time of the rule/,
    /retention_bytes of the rule/
  ]) {
    assert.ok(
      faults.some((line) => expected.test(line)),
      String(expected)
    )
  }
  const together = faultsOf('"min.compaction.lag.ms" = "9", "max.compaction.lag.ms" = "8"')
  assert.match(together.join(), /min\.compaction\.lag\.ms cannot be more than/)
  assert.equal(faultsOf('"segment.ms" = 5').length, 1)
})
