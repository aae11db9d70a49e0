/** DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources over real topics. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { ALLOW, ALTER, DENY, DESCRIBE, TOPIC_CONFIGS } from "../../../core/mod.ts"
import { alterConfigs, describeConfigs, incrementalAlterConfigs, listConfigResources } from "../wire/apis.ts"
import { type AdminFixture, makeAdminFixture } from "./testing.ts"

const TOPIC = 2
const BROKER = 4
const SET = 0
const DELETE = 1
const APPEND = 2
const SUBTRACT = 3

async function describeOne(fixture: AdminFixture, resourceName = "t", given: object = {}, version = 4) {
  const resources = [{ resourceType: TOPIC, resourceName, configurationKeys: null, ...given }]
  const request = { resources, includeSynonyms: true, includeDocumentation: true }
  const [result] = (await fixture.call(describeConfigs, version, request)).results
  ok(result !== undefined)
  return result
}

async function configOf(fixture: AdminFixture, name: string) {
  const { configs } = await describeOne(fixture, "t", { configurationKeys: [name] })
  const [found] = configs
  return [
    found?.value,
    found?.configSource,
    ...(found?.synonyms ?? []).map((each) => [each.name, each.value, each.source])
  ]
}

type Change = readonly [name: string, operation: number, value: string | null]
async function change(fixture: AdminFixture, changes: ReadonlyArray<Change>, given: object = {}, validateOnly = false) {
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }))
  const resources = [{ resourceType: TOPIC, resourceName: "t", configs, ...given }]
  const answer = await fixture.call(incrementalAlterConfigs, 1, { resources, validateOnly })
  const [outcome] = answer.responses
  if (outcome?.errorCode !== 0) ok((outcome?.errorMessage?.length ?? 0) > 10)
  return outcome?.errorCode
}

describe("DescribeConfigs of a topic", () => {
  for (const version of [1, 2, 3, 4]) {
    test(`version ${version}: every configuration of Kafka with its type, source and documentation`, async () => {
      const { configs, errorCode } = await describeOne(makeAdminFixture(), "t", {}, version)
      equal(errorCode, 0)
      deepStrictEqual(
        configs.map(({ name }) => name),
        TOPIC_CONFIGS.map(({ name }) => name)
      )
      deepStrictEqual(
        configs.map(({ value }) => value),
        TOPIC_CONFIGS.map((config) => config.default)
      )
      const policy = configs[0]
      deepStrictEqual([policy?.configSource, policy?.isSensitive, policy?.readOnly], [5, false, false])
      deepStrictEqual(policy?.synonyms, [{ name: "log.cleanup.policy", value: "delete", source: 5 }])
      equal(policy?.configType, version >= 3 ? 7 : 0)
      equal((policy?.documentation?.length ?? 0) > 20, version >= 3)
    })
  }
  test("what is not asked for is left out", async () => {
    const fixture = makeAdminFixture()
    const { configs } = await describeOne(fixture, "t", { configurationKeys: ["retention.ms", "no.such"] })
    deepStrictEqual(
      configs.map(({ name }) => name),
      ["retention.ms"]
    )
    const resources = [{ resourceType: TOPIC, resourceName: "t", configurationKeys: null }]
    const [plain] = (await fixture.call(describeConfigs, 4, { resources })).results
    ok(plain?.configs.every(({ synonyms, documentation }) => synonyms.length === 0 && documentation === null))
  })
  test("sources and synonyms: the topic's own, the manifest's, Kafka's", async () => {
    const rule = { partitions: 1, engine: "memory", mode: "memory" } as const
    const forName = () => ({ ...rule, retention: { ms: 60_000, bytes: 0 }, configs: { "cleanup.policy": "compact" } })
    const fixture = makeAdminFixture({ defaults: { forName } })
    // Made before the rule was: what it says now is not the topic's.
    deepStrictEqual((await configOf(fixture, "cleanup.policy")).slice(0, 2), ["delete", 1])
    equal(
      await change(fixture, [
        ["cleanup.policy", DELETE, null],
        ["retention.ms", DELETE, null]
      ]),
      0
    )
    const ruled = ["log.cleanup.policy", "compact", 4]
    const fallback = ["log.cleanup.policy", "delete", 5]
    deepStrictEqual(await configOf(fixture, "cleanup.policy"), ["compact", 4, ruled, fallback])
    equal(
      await change(fixture, [
        ["cleanup.policy", SET, "compact,delete"],
        ["retention.ms", SET, "-1"]
      ]),
      0
    )
    const own = ["cleanup.policy", "compact,delete", 1]
    deepStrictEqual(await configOf(fixture, "cleanup.policy"), ["compact,delete", 1, own, ruled, fallback])
    deepStrictEqual(await configOf(fixture, "retention.ms"), [
      ...["-1", 1],
      ["retention.ms", "-1", 1],
      ["log.retention.ms", "60000", 4],
      ["log.retention.ms", "604800000", 5]
    ])
  })
  test("unknown topics, names that are none, types that have nothing here, rights", async () => {
    const fixture = makeAdminFixture()
    equal((await describeOne(fixture, "nope")).errorCode, 3)
    equal((await describeOne(fixture, "a/b")).errorCode, 17)
    equal((await describeOne(fixture, "g", { resourceType: 32 })).errorCode, 42)
    equal((await describeOne(fixture, "x", { resourceType: 99 })).errorCode, 42)
    equal((await describeOne(fixture, "metrics", { resourceType: 16 })).errorCode, 0)
    const access = { checkUnsafe: (_: unknown, action: number) => (action === DESCRIBE ? DENY : ALLOW) }
    const denied = makeAdminFixture({ access })
    equal((await describeOne(denied)).errorCode, 29)
    equal((await describeOne(denied, "1", { resourceType: BROKER })).errorCode, 31)
  })
})

describe("DescribeConfigs of the broker", () => {
  test("what the manifest says, to be read only; of another broker nothing", async () => {
    const fixture = makeAdminFixture({ settings: { message_size_max: 5_000 } })
    const { configs } = await describeOne(fixture, "1", { resourceType: BROKER })
    const found = (name: string) => {
      const config = configs.find((each) => each.name === name)
      return [config?.value, config?.configSource, config?.readOnly, config?.configType]
    }
    deepStrictEqual(found("node.id"), ["1", 4, true, 3])
    deepStrictEqual(found("message.max.bytes"), ["5000", 4, true, 3])
    deepStrictEqual(found("log.retention.ms"), ["604800000", 5, true, 5])
    deepStrictEqual(found("advertised.listeners"), ["PLAINTEXT://broker.example:19092", 4, true, 7])
    deepStrictEqual(found("log.dirs"), ["/data", 4, true, 7])
    const names = configs.map(({ name }) => name)
    deepStrictEqual(names, [...new Set(names)].toSorted())
    deepStrictEqual((await describeOne(fixture, "", { resourceType: BROKER })).configs, [])
    equal((await describeOne(fixture, "2", { resourceType: BROKER })).errorCode, 42)
    equal((await describeOne(fixture, "x", { resourceType: BROKER })).errorCode, 42)
    deepStrictEqual((await describeOne(fixture, "1", { resourceType: 8 })).configs, [])
  })
})

describe("IncrementalAlterConfigs", () => {
  test("set, append, subtract, delete; each once, in one step", async () => {
    const fixture = makeAdminFixture()
    const policy = async () => (await configOf(fixture, "cleanup.policy")).slice(0, 2)
    equal(
      await change(fixture, [
        ["cleanup.policy", APPEND, "compact"],
        ["retention.bytes", SET, "123"]
      ]),
      0
    )
    deepStrictEqual(await policy(), ["delete,compact", 1])
    deepStrictEqual(fixture.broker.topics.find(0, "t")?.retention, { ms: 604_800_000, bytes: 123 })
    equal(await change(fixture, [["cleanup.policy", SUBTRACT, "delete"]]), 0)
    deepStrictEqual(await policy(), ["compact", 1])
    equal(
      await change(fixture, [
        ["cleanup.policy", DELETE, null],
        ["retention.bytes", DELETE, null]
      ]),
      0
    )
    deepStrictEqual(await policy(), ["delete", 5])
    const topic = fixture.broker.topics.find(0, "t")
    deepStrictEqual([topic?.configs, topic?.retention], [undefined, { ms: 604_800_000, bytes: 0 }])
  })
  test("one that is wrong changes nothing", async () => {
    const fixture = makeAdminFixture()
    const right: Change = ["retention.ms", SET, "5"]
    for (const [wrong, expected] of [
      [["no.such.thing", SET, "1"], 40],
      [["no.such.thing", DELETE, null], 40],
      [["max.message.bytes", SET, "-1"], 40],
      [["max.message.bytes", APPEND, "1"], 40],
      [["max.message.bytes", SUBTRACT, "1"], 40],
      [["cleanup.policy", SET, "none"], 40],
      [["cleanup.policy", SET, null], 42],
      [["cleanup.policy", 4, "delete"], 42],
      [["cleanup.policy", -1, "delete"], 42],
      [["retention.ms", SET, "6"], 42],
      [["remote.storage.enable", SET, "true"], 40],
      [["max.compaction.lag.ms", SET, "0"], 40]
    ] as const) {
      equal(await change(fixture, [right, wrong]), expected, String(wrong))
    }
    equal(
      await change(fixture, [
        ["min.compaction.lag.ms", SET, "9"],
        ["max.compaction.lag.ms", SET, "8"]
      ]),
      40
    )
    equal(fixture.broker.topics.find(0, "t")?.retention, undefined)
    const many = Array.from({ length: 101 }, (_, index): Change => [`config.${index}`, SET, "1"])
    equal(await change(fixture, many), 42)
  })
  test("a trial checks and changes nothing", async () => {
    const fixture = makeAdminFixture()
    equal(await change(fixture, [["retention.ms", SET, "5"]], {}, true), 0)
    equal(await change(fixture, [["retention.ms", SET, "x"]], {}, true), 40)
    equal(fixture.broker.topics.find(0, "t")?.retention, undefined)
  })
  test("what a broker is set to is not changed here; unknown topics; the same twice; rights", async () => {
    const fixture = makeAdminFixture()
    const set: ReadonlyArray<Change> = [["retention.ms", SET, "5"]]
    equal(await change(fixture, set, { resourceType: BROKER, resourceName: "1" }), 42)
    equal(await change(fixture, set, { resourceType: BROKER, resourceName: "" }), 42)
    equal(await change(fixture, set, { resourceType: 32, resourceName: "g" }), 42)
    equal(await change(fixture, set, { resourceName: "nope" }), 3)
    equal(await change(fixture, set, { resourceName: "a/b" }), 17)
    const one = { resourceType: TOPIC, resourceName: "t", configs: [] }
    const answer = await fixture.call(incrementalAlterConfigs, 0, { resources: [one, one], validateOnly: false })
    deepStrictEqual(
      answer.responses.map(({ errorCode }) => errorCode),
      [42]
    )
    const access = { checkUnsafe: (_: unknown, action: number) => (action === ALTER ? DENY : ALLOW) }
    equal(await change(makeAdminFixture({ access }), set), 29)
    equal(await change(makeAdminFixture({ access }), set, { resourceType: BROKER, resourceName: "1" }), 31)
  })
  test("asked on one shard, known on all", async () => {
    const fixture = makeAdminFixture({ shard: 1 })
    equal(await change(fixture, [["retention.ms", SET, "5"]]), 0)
    for (const { topics } of fixture.joined.shards) equal(topics.find(0, "t")?.retention?.ms, 5)
  })
})

describe("AlterConfigs", () => {
  for (const version of [0, 1, 2]) {
    test(`version ${version}: what is not named goes back to its default`, async () => {
      const fixture = makeAdminFixture()
      equal(
        await change(fixture, [
          ["retention.ms", SET, "5"],
          ["segment.ms", SET, "7"]
        ]),
        0
      )
      const alter = async (configs: ReadonlyArray<{ name: string; value: string | null }>) => {
        const resources = [{ resourceType: TOPIC, resourceName: "t", configs }]
        return (await fixture.call(alterConfigs, version, { resources, validateOnly: false })).responses[0]?.errorCode
      }
      equal(await alter([{ name: "max.message.bytes", value: "99" }]), 0)
      const topic = fixture.broker.topics.find(0, "t")
      deepStrictEqual([topic?.configs, topic?.retention?.ms], [{ "max.message.bytes": "99" }, 604_800_000])
      equal(await alter([{ name: "max.message.bytes", value: null }]), 42)
      equal(await alter([]), 0)
      equal(fixture.broker.topics.find(0, "t")?.configs, undefined)
    })
  }
})

describe("ListConfigResources", () => {
  test("all, some, and those that there are not", async () => {
    const fixture = makeAdminFixture()
    const ask = async (version: number, resourceTypes: ReadonlyArray<number>) => {
      const { errorCode, configResources } = await fixture.call(listConfigResources, version, { resourceTypes })
      return [errorCode, ...configResources.map(({ resourceName, resourceType }) => `${resourceType}:${resourceName}`)]
    }
    deepStrictEqual(await ask(0, []), [0])
    deepStrictEqual(await ask(1, []), [0, "8:1", "4:1", "2:t"])
    deepStrictEqual(await ask(1, [TOPIC]), [0, "2:t"])
    deepStrictEqual(await ask(1, [99]), [35])
  })
})
