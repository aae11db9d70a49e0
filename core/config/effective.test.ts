import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { parse } from "smol-toml"
import * as v from "valibot"
import { type Effective, effectiveConfig } from "./effective.ts"
import { effectiveOrigins, effectiveToml, effectiveValues } from "./effective-text.ts"
import { fakeProtocol, fakeStorage, builtins as fakes, load as loadAny } from "./fakes.ts"
import { formatFault } from "./faults.ts"
import type { Config, ConfigSource, Loaded } from "./load.ts"

/** With the default engine. */
const builtins = [...fakes, fakeStorage("storage-segment", [{ name: "segment", modes: ["hybrid", "persistent"] }])]

const load = (text: string | undefined, more: Partial<ConfigSource> = {}): Loaded =>
  loadAny(text, { builtins, ...more })

const mine = fakeProtocol(
  "mine",
  v.pipe(
    v.strictObject({
      tls: v.optional(v.strictObject({ port: v.optional(v.number(), 1), name: v.optional(v.string()) }), {}),
      seconds: v.optional(
        v.pipe(
          v.string(),
          v.transform((text) => Number.parseInt(text, 10))
        ),
        "5s"
      ),
      labels: v.optional(v.record(v.string(), v.unknown()), {}),
      token: v.optional(v.string()),
      upstream: v.optional(v.string(), "nats://127.0.0.1")
    }),
    v.check(() => true)
  )
)
const external = new Map([["./mine.ts", { plugin: mine }]])

function effective(text: string | undefined, more: Partial<ConfigSource> = {}): Effective {
  return effectiveConfig({ text, file: "manifold.toml", environment: {}, sets: [], builtins, external, ...more })
}

const printed = (text: string | undefined, more: Partial<ConfigSource> = {}, withOrigin = false): string =>
  effectiveToml(effective(text, more).tables, withOrigin).join("\n")

const linesOf = (text: string, more: Partial<ConfigSource> = {}): ReadonlyArray<string> =>
  load(text, { external, ...more }).faults.map(formatFault)

/** What a configuration is, as plain data; the rules only through names that the tests use. */
function plain(config: Config): unknown {
  return {
    node: config.node,
    topics: config.topics,
    autoCreate: [config.defaults.autoCreate, config.defaults.autoCreateMqtt],
    names: ["a", "ab", "b.c", "x", "t0"].map(config.defaults.forName),
    declared: config.declared,
    plugins: config.plugins.map(({ plugin, options }) => ({ name: plugin.name, options }))
  }
}

test("every key with the layer that set it", () => {
  const text = `[node]
shards = 3
[topics]
partitions = 2
[[topics.rule]]
match = "a*"
partitions = 8
[[binding]]
topic = "ab"
filter = "a/+"
[[binding]]
topic = "x"
filter = "x"
engine = "memory"
[[plugin]]
use = "./mine.ts"
options.tls.name = "n"
[[plugin]]
use = "protocol-mqtt"
options.receive_maximum = 5
`
  const environment = { MANIFOLD_NODE__DATA: "/data", MANIFOLD_MINE__TLS__PORT: "7" }
  const sets = ["node.data=/later", "protocol-mqtt.tcp=a:1,b:2", "mine.seconds=9s"]
  assert.deepEqual(printed(text, { environment, sets }, true).split("\n"), [
    "[node]",
    'id = "node-1"                    # default',
    'data = "/later"                  # --set node.data',
    "shards = 3                       # manifold.toml:2",
    "retained_messages_max = 1000000  # default",
    "retained_bytes_max = 536870912   # default",
    "data_bytes_max = 0               # default",
    "tenant_bytes_max = 0             # default",
    "compaction_map_bytes = 33554432  # default",
    "compaction_rate = 33554432       # default",
    "compaction_interval = 15         # default",
    "",
    "[topics]",
    "auto_create = true           # default",
    'auto_create_mqtt = "memory"  # default',
    "partitions = 2               # manifold.toml:4",
    'engine = "segment"           # default',
    'mode = "persistent"          # default',
    "retention_time = 604800      # default",
    "retention_bytes = 0          # default",
    'compression = "none"         # default',
    "",
    "[[topics.rule]]",
    'match = "a*"             # manifold.toml:6',
    'engine = "segment"       # topics.engine: default',
    'mode = "persistent"      # topics.mode: default',
    "partitions = 8           # manifold.toml:7",
    "retention_time = 604800  # topics.retention_time: default",
    "retention_bytes = 0      # topics.retention_bytes: default",
    'compression = "none"     # topics.compression: default',
    "# configs: not set",
    "",
    "[[binding]]",
    'topic = "ab"             # manifold.toml:9',
    'filter = "a/+"           # manifold.toml:10',
    "partitions = 8           # topics.rule.0.partitions: manifold.toml:7",
    'engine = "segment"       # topics.engine: default',
    'mode = "persistent"      # topics.mode: default',
    "retention_time = 604800  # topics.retention_time: default",
    "retention_bytes = 0      # topics.retention_bytes: default",
    'compression = "none"     # topics.compression: default',
    'partition_by = "name"    # default',
    "",
    "[[binding]]",
    'topic = "x"              # manifold.toml:12',
    'filter = "x"             # manifold.toml:13',
    "partitions = 2           # topics.partitions: manifold.toml:4",
    'engine = "memory"        # manifold.toml:14',
    'mode = "memory"          # default of engine memory',
    "retention_time = 604800  # topics.retention_time: default",
    "retention_bytes = 0      # topics.retention_bytes: default",
    'compression = "none"     # topics.compression: default',
    'partition_by = "name"    # default',
    "",
    "[[plugin]]",
    'use = "./mine.ts"  # manifold.toml:16',
    "enabled = true     # default",
    "[plugin.options]",
    'seconds = "9s"                 # --set mine.seconds',
    "labels = {}                    # default",
    "# token: not set",
    'upstream = "nats://127.0.0.1"  # default',
    "[plugin.options.tls]",
    "port = 7    # MANIFOLD_MINE__TLS__PORT",
    'name = "n"  # manifold.toml:17',
    "",
    "[[plugin]]",
    'use = "protocol-mqtt"  # manifold.toml:19',
    "enabled = true         # default",
    "[plugin.options]",
    'tcp = ["a:1", "b:2"]            # --set protocol-mqtt.tcp',
    'websocket = ["127.0.0.1:8083"]  # default',
    "receive_maximum = 5             # manifold.toml:20",
    'greeting = ""                   # default',
    "# password: not set",
    "",
    "[[plugin]]",
    'use = "storage-memory"  # default',
    "enabled = true          # default",
    "",
    "[[plugin]]",
    'use = "meta-raft"  # default',
    "enabled = true     # default",
    "",
    "[[plugin]]",
    'use = "storage-segment"  # default',
    "enabled = true           # default"
  ])
})

test("as plain data: the values, and the origins by path", () => {
  const { tables } = effective('[node]\nid = "a"\n[[plugin]]\nuse = "./mine.ts"\noptions.labels.x = 1\n')
  assert.deepEqual(effectiveValues(tables), parse(effectiveToml(tables, true).join("\n")))
  const origins = effectiveOrigins(tables)
  assert.equal(origins["node.id"], "manifold.toml:2")
  assert.equal(origins["plugin.0.options.labels"], "manifold.toml:5")
  assert.equal(origins["plugin.0.options.tls.port"], "default")
  assert.equal(origins["plugin.0.options.token"], undefined)
})

test("a secret is not printed, and what stands for it is refused, wherever it was given", () => {
  const text = `[[plugin]]
use = "./mine.ts"
[plugin.options]
token = "hunter2"
upstream = "nats://me:hunter2@host"
labels = { api_key = "hunter2", list = ["https://me:hunter2@host", "plain"], inner = { passphrase = "hunter2" } }
[[plugin]]
use = "protocol-mqtt"
[[plugin]]
use = "protocol-kafka"
enabled = false
options.password = "hunter2"
`
  const environment = { MANIFOLD_PROTOCOL_MQTT__PASSWORD: "hunter22" }
  assert.deepEqual(load(text, { external, environment }).faults, [])
  const shown = printed(text, { environment }, true)
  assert.ok(!shown.includes("hunter"), shown)
  assert.match(shown, /^token = "\(not shown\)" +# manifold\.toml:4$/m)
  assert.match(shown, /^password = "\(not shown\)" +# MANIFOLD_PROTOCOL_MQTT__PASSWORD$/m)
  assert.match(shown, /"plain"/)
  const allowed = "the secret itself, which config print does not tell"
  const told = linesOf(printed(text, { environment }))
  assert.equal(told.length, 7)
  for (const line of told) assert.ok(line.endsWith(`found "(not shown)"; allowed: ${allowed}`), line)
  assert.deepEqual(linesOf("", { sets: ["protocol-mqtt.password=(not shown)"] }), [
    `--set protocol-mqtt.password: protocol-mqtt.password: found "(not shown)"; allowed: ${allowed}`
  ])
})

test("of a configuration with faults: what was given, as it was given", () => {
  const text = `nodes = 1
topics = 5
[node]
shards = "many"
idd = 1
[[binding]]
filter = "a/#/b"
[[plugin]]
use = "nothing"
options.x = 1979-05-27
[[plugin]]
options = 5
`
  const { tables, faults } = effective(text)
  assert.equal(faults.length, 8)
  const values = effectiveValues(tables) as Record<string, unknown>
  assert.deepEqual(values["node"], {
    id: "node-1",
    data: "./data",
    shards: "many",
    retained_messages_max: 1_000_000,
    retained_bytes_max: 536_870_912,
    data_bytes_max: 0,
    tenant_bytes_max: 0,
    compaction_map_bytes: 33_554_432,
    compaction_rate: 33_554_432,
    compaction_interval: 15
  })
  assert.deepEqual(values["binding"], [
    {
      filter: "a/#/b",
      partitions: 1,
      engine: "segment",
      mode: "persistent",
      retention_time: 604_800,
      retention_bytes: 0,
      compression: "none",
      partition_by: "name"
    }
  ])
  const list = values["plugin"] as ReadonlyArray<Record<string, unknown>>
  assert.deepEqual(
    list.map(({ use }) => use),
    ["nothing", undefined, "storage-memory", "meta-raft", "storage-segment"]
  )
  assert.match(effectiveToml(tables, false).join("\n"), /^x = 1979-05-27$/m)
  assert.deepEqual(effective("x = = 1\n").tables, [])
  assert.equal(effective("x = = 1\n").faults.length, 1)
})

const name = fc.constantFrom("a", "ab", "b.c", "x")
const partitions = fc.integer({ min: 1, max: 10_000 })
const engine = fc.constantFrom("memory", "segment")
const mode = fc.constantFrom("persistent", "persistent", "hybrid", "memory")
/** A text with what TOML has to escape. */
const odd = fc.oneof(fc.string({ minLength: 1 }), fc.string({ unit: "binary", minLength: 1 }))
const manifest = fc.record(
  {
    node: fc.record(
      { id: fc.constantFrom("n", "n.1"), data: odd, shards: fc.integer({ min: 1, max: 64 }) },
      {
        requiredKeys: []
      }
    ),
    topics: fc.record(
      {
        auto_create: fc.boolean(),
        auto_create_mqtt: fc.constantFrom("memory", "default", "off"),
        partitions,
        engine,
        mode,
        rule: fc.array(
          fc.record(
            { match: fc.oneof(fc.constantFrom("a*", "*", "b.?"), odd), partitions, engine },
            { requiredKeys: ["match"] }
          ),
          { maxLength: 3 }
        )
      },
      { requiredKeys: [] }
    ),
    binding: fc.uniqueArray(
      fc.record(
        { topic: name, filter: fc.constantFrom("a/+", "b/+", "c", "#"), partitions, engine, mode },
        { requiredKeys: ["topic", "filter"] }
      ),
      { maxLength: 2, selector: ({ topic }) => topic }
    ),
    plugin: fc.uniqueArray(
      fc.oneof(
        fc.record(
          { use: fc.constantFrom("protocol-kafka", "storage-memory", "meta-raft"), enabled: fc.boolean() },
          { requiredKeys: ["use"] }
        ),
        fc.record({
          use: fc.constant("protocol-mqtt"),
          options: fc.record(
            { tcp: fc.constantFrom("a:1", ["b:1", "c:0"], []), greeting: odd, receive_maximum: partitions },
            { requiredKeys: [] }
          )
        }),
        fc.record({
          use: fc.constant("./mine.ts"),
          options: fc.record(
            {
              tls: fc.record({ port: fc.double(), name: odd }, { requiredKeys: [] }),
              seconds: fc.constantFrom("1s", "2s"),
              labels: fc.dictionary(odd, fc.oneof(odd, fc.integer(), fc.boolean(), fc.array(odd)))
            },
            { requiredKeys: [] }
          )
        })
      ),
      { maxLength: 4, selector: ({ use }) => use }
    )
  },
  { requiredKeys: [] }
)

test("what is printed loads to the same configuration, alone, with every layer in use", () => {
  const environment = fc.constantFrom({}, { MANIFOLD_TOPICS__PARTITIONS: "3", MANIFOLD_MINE__TLS__NAME: "e" })
  const sets = fc.subarray([
    "node.shards=7",
    "protocol-mqtt.tcp=",
    "protocol-mqtt.websocket=a:1,b:2",
    "mine.seconds=8s"
  ])
  let loadedCount = 0
  fc.assert(
    fc.property(manifest, environment, sets, fc.boolean(), (values, variables, settings, withOrigin) => {
      const more = { values, external, environment: variables, sets: settings }
      const before = load(undefined, more)
      if (before.config === undefined) return
      loadedCount++
      const text = printed(undefined, more, withOrigin)
      const after = load(text, { external })
      assert.deepEqual(after.faults.map(formatFault), [], text)
      assert.ok(after.config !== undefined)
      assert.deepStrictEqual(plain(after.config), plain(before.config), text)
      assert.equal(printed(text), printed(undefined, more), "printing again says the same")
    }),
    { numRuns: 1_000 }
  )
  assert.ok(loadedCount > 300, `only ${loadedCount} of the manifests were right`)
})

test("a mode that nobody gave is the engine's, and is told as its default", () => {
  const text = '[topics]\nengine = "memory"\n[[topics.rule]]\nmatch = "a*"\nengine = "segment"\n'
  assert.equal(effectiveOrigins(effective(text).tables)["topics.mode"], "default of engine memory")
  assert.equal(effectiveOrigins(effective(text).tables)["topics.rule.0.mode"], "default of engine segment")
  const without = effectiveOrigins(effective("", { builtins: fakes }).tables)
  assert.equal(without["topics.engine"], "default without engine segment")
  assert.equal(without["topics.mode"], "default of engine memory")
})
