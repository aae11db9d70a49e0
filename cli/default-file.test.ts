/** `manifold.toml` in the root says what holds without it: the file and the defaults in the schemas cannot drift apart. */
import assert from "node:assert"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { parse } from "smol-toml"
import { type Config, formatFault, loadConfig } from "../core/config/mod.ts"
import { builtins } from "./builtins.ts"

const TEXT = readFileSync(join(import.meta.dirname, "../manifold.toml"), "utf8")
/** With the defaults that the file only shows. */
const WHOLE = TEXT.replaceAll(/^#(?=[a-z_]+ = )/gm, "")

/** The file as a parser sees it. */
interface Shown {
  readonly node: object
  readonly topics: object
  readonly plugin: ReadonlyArray<{ readonly use: string; readonly options: object }>
}

function load(text: string | undefined): Config {
  const { config, faults } = loadConfig({ text, file: "manifold.toml", environment: {}, sets: [], builtins })
  assert.deepEqual(faults.map(formatFault), [])
  assert.ok(config !== undefined)
  return config
}

/** What a configuration is, as plain data. */
const plain = (config: Config): unknown => ({
  node: config.node,
  topics: config.topics,
  autoCreate: [config.defaults.autoCreate, config.defaults.autoCreateMqtt],
  anyTopic: config.defaults.forName("any.topic"),
  declared: config.declared,
  plugins: config.plugins.map(({ plugin, options }) => ({ name: plugin.name, options }))
})

test("the file says the defaults", () => {
  assert.deepStrictEqual(plain(load(TEXT)), plain(load(undefined)))
})

test("what the file only shows are the defaults too", () => {
  assert.deepStrictEqual(plain(load(WHOLE)), plain(load(undefined)))
})

test("the file shows every key that there is", () => {
  const { node, topics, plugin } = parse(WHOLE) as unknown as Shown
  assert.deepEqual(Object.keys(node), [
    "id",
    "data",
    "shards",
    "retained_messages_max",
    "retained_bytes_max",
    "data_bytes_max",
    "tenant_bytes_max",
    "compaction_map_bytes",
    "compaction_rate",
    "compaction_interval"
  ])
  assert.deepEqual(Object.keys(topics), [
    "auto_create",
    "auto_create_mqtt",
    "partitions",
    "engine",
    "mode",
    "retention_time",
    "retention_bytes",
    "compression"
  ])
  const faces = load(undefined).plugins.filter(({ plugin }) => plugin.kind === "protocol" || plugin.kind === "http")
  assert.deepEqual(plugin.map(({ use }) => use).toSorted(), faces.map((face) => face.plugin.name).toSorted())
  for (const { use, options } of plugin) {
    const known = faces.find((face) => face.plugin.name === use)?.options
    assert.deepEqual(Object.keys(options).toSorted(), Object.keys(known as object).toSorted(), use)
  }
})

test("the examples in its comments hold", () => {
  const examples = TEXT.replaceAll(/^# {3}(?=\[|[a-z]+ = )/gm, "")
  const config = load(examples)
  const retention = { ms: 604_800_000, bytes: 0 }
  assert.deepEqual(config.defaults.forName("agents.one"), {
    partitions: 1,
    engine: "sqlite",
    mode: "persistent",
    retention,
    compression: "none"
  })
  assert.deepEqual(config.defaults.forName("state.one").configs, { "cleanup.policy": "compact" })
  const telemetry = {
    topic: "telemetry",
    filter: "devices/+/telemetry",
    partitions: 8,
    engine: "segment",
    mode: "persistent",
    retention,
    compression: "none"
  }
  assert.deepEqual(config.declared, [telemetry])
})
