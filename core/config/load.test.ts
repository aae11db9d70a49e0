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

function loaded(text: string | undefined, more: Partial<ConfigSource> = {}): Config {
  const { config, faults } = load(text, more)
  assert.deepEqual(faults.map(formatFault), [])
  assert.ok(config !== undefined)
  return config
}

const linesOf = (text: string | undefined, more: Partial<ConfigSource> = {}): ReadonlyArray<string> =>
  load(text, more).faults.map(formatFault)

const namesOf = (config: Config): ReadonlyArray<string> => config.plugins.map(({ plugin }) => plugin.name)

const optionsOf = (config: Config, name: string): unknown =>
  config.plugins.find(({ plugin }) => plugin.name === name)?.options

test("no file: the defaults", () => {
  const config = loaded(undefined)
  assert.deepEqual(config.node, { id: "node-1", data: "./data", shards: 1 })
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
  assert.deepEqual(config.node, { id: "file", data: "environment", shards: 6 })
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
  ["topics", "auto_create", "false", false],
  ["topics", "auto_create_mqtt", "off", "off"],
  ["topics", "partitions", "4", 4],
  ["topics", "engine", "other", "other"],
  ["topics", "mode", "persistent", "persistent"],
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
    const topics = { ...config.topics, auto_create: autoCreate, auto_create_mqtt: autoCreateMqtt }
    for (const [section, key, , value] of settings) {
      const found = section === "node" ? config.node : section === "topics" ? topics : optionsOf(config, section)
      assert.deepEqual((found as Record<string, unknown>)[key], value, `${section}.${key}`)
    }
  }
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
  assert.deepEqual(linesOf(binding('engine = "memory"\n'), plugins), [
    'manifold.toml:5: binding.0.mode: found "hybrid"; allowed: memory (what engine "memory" promises)'
  ])
  assert.deepEqual(linesOf(binding('mode = "memory"\n'), plugins), [
    'manifold.toml:8: binding.0.mode: found "memory"; allowed: hybrid | persistent (what engine "other" promises)'
  ])
})

test("an unknown key does not hide what else is wrong", () => {
  const text = '[[binding]]\ntopic = "a/b"\nfilter = "#/a"\nfiltr = 1\n[[plugin]]\nuse = "nothing"\nusse = 1\n'
  assert.equal(linesOf(text).length, 5)
})

/** A configuration and the whole lines that it is refused with, in order. */
const refused: ReadonlyArray<readonly [string, string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
  [
    "unknown keys, all of them",
    "[node]\nshardz = 2\nidd = 1\n[nodes]\nx = 1\n",
    [],
    [
      'manifold.toml:4: nodes: found unknown "nodes"; allowed: node, topics, binding, plugin; did you mean "node"?',
      'manifold.toml:2: node.shardz: found unknown "shardz"; allowed: id, data, shards; did you mean "shards"?',
      'manifold.toml:3: node.idd: found unknown "idd"; allowed: id, data, shards; did you mean "id"?'
    ]
  ],
  [
    "an unknown key that is like none",
    "[topics]\nxyzzyplugh = 1\n",
    [],
    [
      'manifold.toml:2: topics.xyzzyplugh: found unknown "xyzzyplugh"; allowed: auto_create, auto_create_mqtt, partitions, engine, mode, rule'
    ]
  ],
  [
    "wrong kinds and ranges",
    '[node]\nshards = "many"\nid = "a b"\n[topics]\npartitions = -3\nauto_create = "yes"\nauto_create_mqtt = "of"\n',
    [],
    [
      'manifold.toml:3: node.id: found "a b"; allowed: 1 to 64 of A-Z a-z 0-9 . _ -',
      'manifold.toml:2: node.shards: found "many"; allowed: a number',
      'manifold.toml:6: topics.auto_create: found "yes"; allowed: true or false',
      'manifold.toml:7: topics.auto_create_mqtt: found "of"; allowed: memory | default | off; did you mean "off"?',
      "manifold.toml:5: topics.partitions: found -3; allowed: 1 or more"
    ]
  ],
  ["a section that is no table", "node = 5\n", ["node.id=a"], ["manifold.toml:1: node: found 5; allowed: a table"]],
  ["a list for a table", '[[node]]\nid = "a"\n', [], ['manifold.toml:1: node: found [{"id":"a"}]; allowed: a table']],
  [
    "a date for a table",
    "topics = 2024-01-01\n",
    [],
    ['manifold.toml:1: topics: found "2024-01-01"; allowed: a table']
  ],
  [
    "a table for a list",
    '[binding]\ntopic = "a"\nfilter = "b"\n',
    [],
    ['manifold.toml:1: binding: found {"topic":"a","filter":"b"}; allowed: a list: [[binding]]']
  ],
  [
    "an engine and a mode that are not there",
    '[topics]\nengine = "segment"\n[[topics.rule]]\nmatch = "a"\nengine = "memry"\n[[topics.rule]]\nmatch = "b"\nengine = "memory"\nmode = "persistent"\n',
    [],
    [
      'manifold.toml:2: topics.engine: found "segment"; allowed: memory (the engines of this release and of the plugins that are loaded)',
      'manifold.toml:5: topics.rule.0.engine: found "memry"; allowed: memory (the engines of this release and of the plugins that are loaded); did you mean "memory"?',
      'manifold.toml:9: topics.rule.1.mode: found "persistent"; allowed: memory (what engine "memory" promises)'
    ]
  ],
  [
    "a fault beside an engine that is not there",
    '[topics]\npartitions = 0\nengine = "segment"\n',
    [],
    [
      "manifold.toml:2: topics.partitions: found 0; allowed: 1 or more",
      'manifold.toml:3: topics.engine: found "segment"; allowed: memory (the engines of this release and of the plugins that are loaded)'
    ]
  ],
  [
    "bindings",
    '[[binding]]\ntopic = "a/b"\nfilter = "a/#/b"\n[[binding]]\ntopic = "c"\nfilter = "$share/g/c"\n[[binding]]\ntopic = "c"\nfilter = "x/+"\n[[binding]]\ntopic = "d"\nfilter = "x/+"\n[[binding]]\ntopic = "e"\n',
    [],
    [
      "manifold.toml:13: binding.4.filter: found nothing; allowed: filter",
      'manifold.toml:2: binding.0.topic: found "a/b"; allowed: 1 to 249 of A-Z a-z 0-9 . _ -',
      'manifold.toml:3: binding.0.filter: found "a/#/b"; allowed: an MQTT topic filter, + for one level, # at the end',
      'manifold.toml:6: binding.1.filter: found "$share/g/c"; allowed: an MQTT topic filter, + for one level, # at the end',
      'manifold.toml:8: binding.2.topic: found "c"; allowed: each topic once',
      'manifold.toml:12: binding.3.filter: found "x/+"; allowed: no overlap with "x/+", which has the same rank: a name has one home'
    ]
  ],
  [
    "plugins",
    '[[plugin]]\nuse = "protocol-mqqt"\n[[plugin]]\nuse = "protocol-kafka"\n[[plugin]]\nuse = "protocol-kafka"\n[[plugin]]\nuse = "elsewhere"\nenabled = false\n',
    [],
    [
      'manifold.toml:2: plugin.0.use: found unknown "protocol-mqqt"; allowed: storage-memory, meta-raft, protocol-mqtt, protocol-kafka, admin-http, a package in the node_modules beside the manifest, or a path that begins with ./ or /; did you mean "protocol-mqtt"?',
      'manifold.toml:6: plugin.2.use: found "protocol-kafka"; allowed: each plugin once'
    ]
  ],
  [
    "options of plugins",
    '[[plugin]]\nuse = "protocol-kafka"\n[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\ntcp = ["127.0.0.1:0", "nonsense"]\nwebsockets = []\nreceive_maximum = 70000\n',
    ["protocol-kafka.tcp=127.0.0.1:99999"],
    [
      'manifold.toml:7: protocol-mqtt.websockets: found unknown "websockets"; allowed: tcp, websocket, receive_maximum, greeting, password; did you mean "websocket"?',
      'manifold.toml:6: protocol-mqtt.tcp.1: found "nonsense"; allowed: "host:port"',
      "manifold.toml:8: protocol-mqtt.receive_maximum: found 70000; allowed: 65535 or less",
      '--set protocol-kafka.tcp: protocol-kafka.tcp: found "127.0.0.1:99999"; allowed: "host:port"'
    ]
  ],
  [
    "what is set from outside",
    "",
    ["nonsense", "node.shards=0", "nod.id=1", "protocol-mqtt.tcpp=1"],
    [
      '--set: nonsense: found "nonsense"; allowed: section.key=value',
      "--set node.shards: node.shards: found 0; allowed: 1 or more",
      '--set protocol-mqtt.tcpp: protocol-mqtt.tcpp: found unknown "tcpp"; allowed: tcp, websocket, receive_maximum, greeting, password; did you mean "tcp"?',
      '--set nod.id: nod.id: found unknown "nod"; allowed: node, topics, storage-memory, meta-raft, protocol-mqtt, protocol-kafka, admin-http; did you mean "node.id"?'
    ]
  ],
  [
    "what cannot be set from outside",
    "",
    ["topics.rule=a", "binding.topic=a", "plugin.0.use=x", "node.data.x=1"],
    [
      '--set topics.rule: topics.rule: found "a"; allowed: tables in the file: a list of tables cannot be written in one line',
      "--set binding.topic: binding.topic: found a setting of a list of tables; allowed: [[binding]] in the file; from outside: node, topics, and a plugin's options by its name",
      "--set plugin.0.use: plugin.0.use: found a setting of a list of tables; allowed: [[plugin]] in the file; from outside: node, topics, and a plugin's options by its name",
      '--set node.data.x: node.data: found {"x":"1"}; allowed: a text'
    ]
  ],
  [
    "tables within tables without end",
    `[node]\nid${".a".repeat(50_000)} = 1\n`,
    [],
    ["manifold.toml:1: node: found more than 32 tables within tables; allowed: 32 or fewer"]
  ],
  [
    "lists within lists without end",
    `[node]\nid = ${"[".repeat(50_000)}\n`,
    [],
    [
      "manifold.toml:2: column 1006: found document contains excessively nested structures. aborting.; allowed: TOML 1.0"
    ]
  ],
  [
    "a table twice, in lines that end with CR LF, behind a byte order mark",
    '\uFEFF[node]\r\nid = "a"\r\n[node]\r\nshards = 1\r\n',
    [],
    ["manifold.toml:3: column 2: found trying to redefine an already defined table or value; allowed: TOML 1.0"]
  ],
  [
    "a fault behind a byte order mark and CR LF has its line",
    '\uFEFF[node]\r\nid = "a b"\r\n',
    [],
    ['manifold.toml:2: node.id: found "a b"; allowed: 1 to 64 of A-Z a-z 0-9 . _ -']
  ],
  [
    "a whole number that is too large for one",
    "[node]\nshards = 99999999999999999999\n",
    [],
    ["manifold.toml:2: column 10: found integer value cannot be represented losslessly; allowed: TOML 1.0"]
  ],
  [
    "text that is no TOML",
    '[node]\nid = "a"\nshards = = 2\n',
    [],
    ["manifold.toml:3: column 10: found invalid value; allowed: TOML 1.0"]
  ],
  [
    "a key twice",
    '[node]\nid = "a"\nid = "b"\n',
    [],
    ["manifold.toml:3: column 1: found trying to redefine an already defined table or value; allowed: TOML 1.0"]
  ]
]
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
  const allowed = "allowed: MANIFOLD_SECTION__KEY, with two underscores between them; did you mean"
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
  assert.deepEqual(linesOf('[topics]\nengine = "other"\n', { builtins: [...builtins, other] }), [
    'manifold.toml:1: topics.mode: found "memory"; allowed: hybrid | persistent (what engine "other" promises)'
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
    [...builtins, { ...fakeStorage("other", [{ name: "memory", modes: ["memory"] }]), keyValueStore: false } as Plugin],
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
