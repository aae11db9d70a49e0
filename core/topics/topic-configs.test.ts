/** The table of Kafka's topic configurations: what each takes, as Kafka's own LogConfig does. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { parseConfigValue } from "./config-values.ts"
import { CONFIG_VALUE_LENGTH_MAX, checkTopicConfigs, configRow, TOPIC_CONFIGS, topicConfigOf } from "./topic-configs.ts"
import { settingsOf } from "./topic-settings.ts"

test("every configuration has a name of its own, in order, and a default that it takes as it is", () => {
  const names = TOPIC_CONFIGS.map(({ name }) => name)
  assert.deepEqual(names, [...new Set(names)].toSorted())
  // As many as org.apache.kafka.storage.internals.log.LogConfig has, its internal one left out.
  assert.equal(names.length, 33)
  for (const { name, type, range, default: value, about } of TOPIC_CONFIGS) {
    assert.equal(parseConfigValue(type, range, value), value, name)
    assert.ok(about.length > 10, name)
  }
})

test("values as LogConfig.validate takes them, and as it shows them again", () => {
  for (const [name, given, expected] of [
    ["cleanup.policy", "", ""],
    ["cleanup.policy", "delete,delete", "delete"],
    ["cleanup.policy", " compact , delete ", "compact,delete"],
    ["cleanup.policy", "none", undefined],
    ["cleanup.policy", "compact,", undefined],
    ["compression.gzip.level", "0", undefined],
    ["compression.gzip.level", "-1", "-1"],
    ["compression.type", "GZIP", undefined],
    ["compression.type", "zstd", "zstd"],
    ["leader.replication.throttled.replicas", "*", "*"],
    ["leader.replication.throttled.replicas", "0:1,1:2", "0:1,1:2"],
    ["leader.replication.throttled.replicas", "x", undefined],
    ["retention.ms", "-2", undefined],
    ["retention.ms", " 12 ", "12"],
    ["retention.ms", "+5", "5"],
    ["retention.ms", "", undefined],
    ["retention.ms", "1.5", undefined],
    ["retention.ms", "1e3", undefined],
    ["retention.bytes", "-5", "-5"],
    ["flush.ms", "9223372036854775807", "9223372036854775807"],
    ["flush.ms", "9223372036854775808", undefined],
    ["max.message.bytes", "3000000000", undefined],
    ["preallocate", "TRUE", "true"],
    ["preallocate", "yes", undefined],
    ["min.cleanable.dirty.ratio", "1.5", undefined],
    ["min.cleanable.dirty.ratio", ".5", "0.5"],
    ["min.cleanable.dirty.ratio", "1e-1", "0.1"],
    ["segment.bytes", "14", undefined],
    ["remote.storage.enable", "true", undefined]
  ] as const) {
    const config = topicConfigOf(name)
    assert.ok(config !== undefined)
    assert.equal(parseConfigValue(config.type, config.range, given), expected, `${name}=${given}`)
    const checked = checkTopicConfigs({ [name]: given })
    if (expected === undefined) assert.match(String(checked), new RegExp(`^${name.replaceAll(".", "\\.")} cannot be`))
    else assert.deepEqual(checked, { [name]: expected })
  }
})

test("what belongs together, and how long it may be", () => {
  assert.match(String(checkTopicConfigs({ "no.such": "1" })), /no topic configuration "no\.such"/)
  const lags = { "min.compaction.lag.ms": "100", "max.compaction.lag.ms": "10" }
  assert.match(String(checkTopicConfigs(lags)), /cannot be more than/)
  const long = "1:1,".repeat(CONFIG_VALUE_LENGTH_MAX / 4 + 2).slice(0, -1)
  assert.equal(typeof checkTopicConfigs({ "leader.replication.throttled.replicas": long }), "string")
  assert.ok(String(checkTopicConfigs({ ["x".repeat(10_000)]: "1" })).length < 200)
})

test("the defaults of the table are those that engines and producers are given", () => {
  const none = settingsOf({})
  const all = settingsOf({ configs: Object.fromEntries(TOPIC_CONFIGS.map((config) => [config.name, config.default])) })
  const { segmentMs, segmentBytes, ...rest } = all
  assert.deepEqual([segmentMs, segmentBytes], [604_800_000, 1_073_741_824])
  const { segmentMs: _ms, segmentBytes: _bytes, ...defaults } = none
  for (const [name, value] of Object.entries(defaults)) {
    const given = (rest as Record<string, unknown>)[name]
    // "For ever" is a number that Kafka's type can hold.
    if (value === Number.MAX_SAFE_INTEGER) assert.ok((given as number) >= Number.MAX_SAFE_INTEGER, name)
    else assert.deepEqual(given, value, name)
  }
})

test("the page about administration shows the table as it is", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/kafka-admin.md"), "utf8")
  const [, below = ""] = page.split("<!-- topic configurations -->\n")
  const rows = below.split("\n").slice(2)
  assert.deepEqual(rows.slice(0, TOPIC_CONFIGS.length), TOPIC_CONFIGS.map(configRow))
  assert.equal(rows[TOPIC_CONFIGS.length], "")
})
