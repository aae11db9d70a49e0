/** CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords and DescribeTopicPartitions over real topics, of one shard and of two. */
import { deepStrictEqual, equal, notEqual, ok } from "node:assert"
import { describe, test } from "node:test"
import { ALLOW, ALTER, CREATE, DELETE, DENY, NOT_AVAILABLE } from "../../../core/mod.ts"
import { makeBatch, TOPIC_ID } from "../fakes.ts"
import {
  createPartitions,
  createTopics,
  deleteRecords,
  deleteTopics,
  describeConfigs,
  describeTopicPartitions,
  incrementalAlterConfigs,
  metadata
} from "../wire/apis.ts"
import { UUID_ZERO } from "../wire/schema.ts"
import { type AdminFixture, makeAdminFixture } from "./testing.ts"

interface Wanted {
  readonly numPartitions?: number
  readonly replicationFactor?: number
  readonly assignments?: ReadonlyArray<{ readonly partitionIndex: number; readonly brokerIds: ReadonlyArray<number> }>
  readonly configs?: ReadonlyArray<{ readonly name: string; readonly value: string | null }>
}
const wish = (name: string, given: Wanted = {}) => ({
  ...{ name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] },
  ...given
})
const assigned = (...brokers: ReadonlyArray<ReadonlyArray<number>>) =>
  brokers.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))

async function create(fixture: AdminFixture, version: number, ...topics: ReadonlyArray<ReturnType<typeof wish>>) {
  const answer = await fixture.call(createTopics, version, { topics, timeoutMs: 1_000, validateOnly: false })
  return answer.topics
}

describe("CreateTopics", () => {
  for (const shard of [0, 1]) {
    for (const version of [2, 3, 4, 5, 6, 7]) {
      test(`version ${version}, asked on shard ${shard}: what is answered is there, on all shards`, async () => {
        const fixture = makeAdminFixture({ shard })
        const [made] = await create(fixture, version, wish("made", { numPartitions: 3, replicationFactor: 1 }))
        deepStrictEqual([made?.name, made?.errorCode, made?.errorMessage], ["made", 0, null])
        const known = fixture.joined.shards.map(({ topics }) => topics.find(0, "made"))
        deepStrictEqual(
          known.map((topic) => topic?.partitions),
          [3, 3]
        )
        if (version < 5) return
        deepStrictEqual([made?.numPartitions, made?.replicationFactor], [3, 1])
        const policy = made?.configs?.find(({ name }) => name === "cleanup.policy")
        deepStrictEqual([policy?.value, policy?.configSource, policy?.readOnly], ["delete", 5, false])
        equal(made?.topicId, version < 7 ? UUID_ZERO : known[0]?.id)
      })
    }
  }
  test("defaults: the rule says how many partitions; configurations are kept and in effect", async () => {
    const forName = () => ({ partitions: 4, engine: "memory", mode: "memory" }) as const
    const fixture = makeAdminFixture({ defaults: { forName } })
    const configs = [
      { name: "cleanup.policy", value: "compact" },
      { name: "retention.ms", value: "1000" },
      { name: "retention.bytes", value: "5000" }
    ]
    const [made] = await create(fixture, 7, wish("made", { configs }))
    equal(made?.numPartitions, 4)
    const sources = made?.configs?.filter(({ configSource }) => configSource === 1).map(({ name }) => name)
    deepStrictEqual(sources, ["cleanup.policy", "retention.bytes", "retention.ms"])
    const topic = fixture.broker.topics.find(0, "made")
    deepStrictEqual(topic?.retention, { ms: 1_000, bytes: 5_000 })
    equal(topic?.configs?.["cleanup.policy"], "compact")
  })
  test("each topic has its own outcome", async () => {
    const fixture = makeAdminFixture()
    const config = (name: string, value: string | null) => ({ configs: [{ name, value }] })
    const answers = await create(
      fixture,
      7,
      wish("t"),
      wish("twice"),
      wish("a/b"),
      wish("zero", { numPartitions: 0 }),
      wish("less", { numPartitions: -2 }),
      wish("many", { numPartitions: 10_001 }),
      wish("two-replicas", { numPartitions: 1, replicationFactor: 2 }),
      wish("no-replicas", { numPartitions: 1, replicationFactor: 0 }),
      wish("unknown", config("no.such.thing", "1")),
      wish("mistyped", config("retention.ms", "soon")),
      wish("null", config("retention.ms", null)),
      wish("below", config("segment.bytes", "14")),
      wish("twice")
    )
    deepStrictEqual(Object.fromEntries(answers.map(({ name, errorCode }) => [name, errorCode])), {
      ...{ t: 44, twice: 42, "a/b": 44, zero: 44, less: 44, many: 44, "two-replicas": 44, "no-replicas": 44 },
      ...{ unknown: 44, mistyped: 44, null: 44, below: 44 }
    })
    // Without the one that asks for more than a request may.
    const codes: Record<string, number> = {}
    for (const one of [
      wish("t"),
      wish("a/b"),
      wish("zero", { numPartitions: 0 }),
      wish("less", { numPartitions: -2 }),
      wish("two-replicas", { numPartitions: 1, replicationFactor: 2 }),
      wish("no-replicas", { numPartitions: 1, replicationFactor: 0 }),
      wish("unknown", config("no.such.thing", "1")),
      wish("prototype", config("__proto__", "1")),
      wish("mistyped", config("retention.ms", "soon")),
      wish("null", config("retention.ms", null)),
      wish("below", config("segment.bytes", "14"))
    ]) {
      const [answer] = await create(fixture, 7, one)
      codes[one.name] = answer?.errorCode ?? -1
      notEqual(answer?.errorMessage, null)
    }
    deepStrictEqual(codes, {
      ...{ t: 36, "a/b": 17, zero: 37, less: 37, "two-replicas": 38, "no-replicas": 38 },
      ...{ unknown: 40, prototype: 40, mistyped: 40, null: 40, below: 40 }
    })
    equal(fixture.broker.topics.list(0).length, 1)
  })
  test("an assignment of replicas is right where it names this broker, and says how many partitions there are", async () => {
    const fixture = makeAdminFixture()
    const [right] = await create(fixture, 7, wish("right", { assignments: assigned([1], [1]) }))
    deepStrictEqual([right?.errorCode, right?.numPartitions], [0, 2])
    for (const [name, given, expected] of [
      ["elsewhere", { assignments: assigned([2]) }, 39],
      ["two", { assignments: assigned([1, 2]) }, 39],
      ["none", { assignments: assigned([]) }, 39],
      ["gap", { assignments: [{ partitionIndex: 1, brokerIds: [1] }] }, 39],
      ["same", { assignments: [...assigned([1]), ...assigned([1])] }, 39],
      ["both", { numPartitions: 1, assignments: assigned([1]) }, 42]
    ] as const) {
      const [answer] = await create(fixture, 7, wish(name, given))
      equal(answer?.errorCode, expected, name)
    }
  })
  test("a trial makes nothing and says what would be made", async () => {
    const fixture = makeAdminFixture()
    const request = { topics: [wish("made", { numPartitions: 2 }), wish("t")], timeoutMs: 0, validateOnly: true }
    const { topics } = await fixture.call(createTopics, 7, request)
    deepStrictEqual(
      topics.map(({ errorCode, numPartitions }) => [errorCode, numPartitions]),
      [
        [0, 2],
        [36, -1]
      ]
    )
    equal(fixture.broker.topics.find(0, "made"), undefined)
  })
  test("partitions of one request are bounded, those of the defaults too", async () => {
    const fixture = makeAdminFixture()
    const many = Array.from({ length: 5_001 }, (_, index) => wish(`many-${index}`, { numPartitions: 2 }))
    const answers = await create(fixture, 7, ...many)
    deepStrictEqual([...new Set(answers.map(({ errorCode }) => errorCode))], [44])
    const defaults = Array.from({ length: 10_001 }, (_, index) => wish(`default-${index}`))
    equal((await create(fixture, 7, ...defaults))[0]?.errorCode, 44)
    equal(fixture.broker.topics.list(0).length, 1)
  })
  test("configurations have a bound, too", async () => {
    const fixture = makeAdminFixture()
    const value = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => `${from + index}:1`).join(",")
    const leader = "leader.replication.throttled.replicas"
    const configs = [
      { name: leader, value: value(10_000, 4_000) },
      { name: "follower.replication.throttled.replicas", value: value(10_000, 4_000) }
    ]
    equal((await create(fixture, 7, wish("fits", { configs })))[0]?.errorCode, 0)
    // One value may not grow beyond what an answer can carry.
    const append = { name: leader, configOperation: 2, value: value(20_000, 4_000) }
    const resources = [{ resourceType: 2, resourceName: "fits", configs: [append] }]
    const answer = await fixture.call(incrementalAlterConfigs, 1, { resources, validateOnly: false })
    equal(answer.responses[0]?.errorCode, 40)
    const described = await fixture.call(describeConfigs, 4, {
      resources: [{ resourceType: 2, resourceName: "fits", configurationKeys: null }]
    })
    equal(described.results[0]?.configs.find(({ name }) => name === leader)?.value?.length, 31_999)
  })
  test("without the right to create nothing is made", async () => {
    const access = { checkUnsafe: (_: unknown, action: number) => (action === CREATE ? DENY : ALLOW) }
    const fixture = makeAdminFixture({ access })
    equal((await create(fixture, 7, wish("made")))[0]?.errorCode, 29)
  })
})

describe("DeleteTopics", () => {
  for (const shard of [0, 1]) {
    test(`by name and by id, on shard ${shard}`, async () => {
      const fixture = makeAdminFixture({ shard })
      for (const version of [1, 3, 5]) {
        await create(fixture, 7, wish("gone"))
        const answer = await fixture.call(deleteTopics, version, { topicNames: ["gone", "nope"], timeoutMs: 0 })
        deepStrictEqual(
          answer.responses.map(({ name, errorCode }) => [name, errorCode]),
          [
            ["gone", 0],
            ["nope", 3]
          ]
        )
      }
      const unknown = "99999999-0000-4000-8000-000000000000"
      const topics = [
        { name: null, topicId: TOPIC_ID },
        { name: null, topicId: unknown },
        { name: "nope", topicId: UUID_ZERO },
        { name: "t", topicId: TOPIC_ID },
        { name: null, topicId: UUID_ZERO }
      ]
      const answer = await fixture.call(deleteTopics, 6, { topics, timeoutMs: 0 })
      deepStrictEqual(
        answer.responses.map(({ name, errorCode }) => [name, errorCode]),
        [
          ["t", 0],
          [null, 100],
          ["nope", 3],
          ["t", 42],
          [null, 42]
        ]
      )
      for (const { topics: known } of fixture.joined.shards) equal(known.find(0, "t"), undefined)
    })
  }
  test("the same twice in a request: nothing is deleted", async () => {
    const fixture = makeAdminFixture()
    const answer = await fixture.call(deleteTopics, 5, { topicNames: ["t", "t"], timeoutMs: 0 })
    deepStrictEqual(
      answer.responses.map(({ errorCode }) => errorCode),
      [42]
    )
    ok(fixture.broker.topics.find(0, "t") !== undefined)
  })
  test("a topic that was made anew has another id: the old one deletes nothing", async () => {
    const fixture = makeAdminFixture()
    await fixture.call(deleteTopics, 5, { topicNames: ["t"], timeoutMs: 0 })
    await create(fixture, 7, wish("t"))
    const byId = { topics: [{ name: null, topicId: TOPIC_ID }], timeoutMs: 0 }
    equal((await fixture.call(deleteTopics, 6, byId)).responses[0]?.errorCode, 100)
    ok(fixture.broker.topics.find(0, "t") !== undefined)
  })
  test("rights", async () => {
    const access = { checkUnsafe: (_: unknown, action: number) => (action === DELETE ? DENY : ALLOW) }
    const fixture = makeAdminFixture({ access })
    const answer = await fixture.call(deleteTopics, 5, { topicNames: ["t"], timeoutMs: 0 })
    equal(answer.responses[0]?.errorCode, 29)
  })
})

describe("CreatePartitions", () => {
  const add = async (fixture: AdminFixture, name: string, count: number, given: object = {}, isTrial = false) => {
    const topics = [{ name, count, assignments: null, ...given }]
    const answer = await fixture.call(createPartitions, 3, { topics, timeoutMs: 0, validateOnly: isTrial })
    return answer.results[0]?.errorCode
  }
  for (const shard of [0, 1]) {
    test(`more partitions are there on all shards, asked on shard ${shard}`, async () => {
      const fixture = makeAdminFixture({ shard })
      equal(await add(fixture, "t", 5), 0)
      for (const { topics } of fixture.joined.shards) {
        equal(topics.find(0, "t")?.partitions, 5)
        equal(topics.findById(TOPIC_ID)?.partitions, 5)
      }
      const { topics } = await fixture.call(metadata, 12, { topics: [{ name: "t" }] })
      deepStrictEqual(
        topics[0]?.partitions.map(({ partitionIndex }) => partitionIndex),
        [0, 1, 2, 3, 4]
      )
    })
  }
  test("what is refused", async () => {
    const fixture = makeAdminFixture()
    equal(await add(fixture, "t", 2), 37)
    equal(await add(fixture, "t", 1), 37)
    equal(await add(fixture, "t", -1), 37)
    equal(await add(fixture, "t", 10_001), 37)
    equal(await add(fixture, "nope", 5), 3)
    equal(await add(fixture, "t", 4, { assignments: [] }), 39)
    equal(await add(fixture, "t", 4, { assignments: [{ brokerIds: [1] }] }), 39)
    equal(await add(fixture, "t", 4, { assignments: [{ brokerIds: [1] }, { brokerIds: [2] }] }), 39)
    equal(await add(fixture, "t", 4, {}, true), 0)
    equal(fixture.broker.topics.find(0, "t")?.partitions, 2)
    equal(await add(fixture, "t", 4, { assignments: [{ brokerIds: [1] }, { brokerIds: [1] }] }), 0)
    const twice = [
      { name: "t", count: 6, assignments: null },
      { name: "t", count: 7, assignments: null }
    ]
    const answer = await fixture.call(createPartitions, 0, { topics: twice, timeoutMs: 0, validateOnly: false })
    deepStrictEqual(
      answer.results.map(({ errorCode }) => errorCode),
      [42]
    )
    const access = { checkUnsafe: (_: unknown, action: number) => (action === ALTER ? DENY : ALLOW) }
    equal(await add(makeAdminFixture({ access }), "t", 5), 29)
  })
})

describe("DeleteRecords", () => {
  const remove = async (fixture: AdminFixture, version: number, offset: number, partitionIndex = 0, name = "t") => {
    const topics = [{ name, partitions: [{ partitionIndex, offset }] }]
    const answer = await fixture.call(deleteRecords, version, { topics, timeoutMs: 0 })
    const found = answer.topics[0]?.partitions[0]
    return [found?.errorCode, found?.lowWatermark]
  }
  test("to an offset, to the high watermark, and beyond it", async () => {
    const fixture = makeAdminFixture()
    const topic = fixture.broker.topics.find(0, "t")
    ok(topic !== undefined)
    const log = fixture.broker.logs.of(topic, 0)
    log.append(makeBatch(["a", "b", "c"]), 3)
    deepStrictEqual(await remove(fixture, 0, 4), [1, -1])
    deepStrictEqual(await remove(fixture, 1, 2), [0, 2])
    deepStrictEqual(await remove(fixture, 2, 1), [0, 2])
    deepStrictEqual(await remove(fixture, 2, -2), [1, -1])
    deepStrictEqual(await remove(fixture, 2, -1), [0, 3])
    deepStrictEqual(await remove(fixture, 2, 0, 2), [3, -1])
    deepStrictEqual(await remove(fixture, 2, 0, 0, "nope"), [3, -1])
    log.refusal = NOT_AVAILABLE
    deepStrictEqual(await remove(fixture, 2, 0), [6, -1])
    const access = { checkUnsafe: (_: unknown, action: number) => (action === DELETE ? DENY : ALLOW) }
    deepStrictEqual(await remove(makeAdminFixture({ access }), 2, 0), [29, -1])
  })
})

describe("DescribeTopicPartitions", () => {
  const ask = (fixture: AdminFixture, names: ReadonlyArray<string>, limit: number, cursor: object | null = null) =>
    fixture.call(describeTopicPartitions, 0, {
      topics: names.map((name) => ({ name })),
      responsePartitionLimit: limit,
      cursor: cursor as never
    })
  test("topics in the order of their names; unknown ones and names that are none", async () => {
    const fixture = makeAdminFixture()
    const { topics, nextCursor } = await ask(fixture, ["t", "nope", "a/b", "t"], 100)
    deepStrictEqual(
      topics.map(({ name, errorCode, partitions, topicId }) => [name, errorCode, partitions.length, topicId]),
      [
        ["a/b", 17, 0, UUID_ZERO],
        ["nope", 3, 0, UUID_ZERO],
        ["t", 0, 2, TOPIC_ID]
      ]
    )
    equal(nextCursor, null)
    const [partition] = topics[2]?.partitions ?? []
    deepStrictEqual([partition?.leaderId, partition?.replicaNodes, partition?.isrNodes], [1, [1], [1]])
    // Null, which the schema allows, ends a Java client with an exception.
    deepStrictEqual([partition?.eligibleLeaderReplicas, partition?.lastKnownElr], [[], []])
  })
  test("page by page: each partition once, whatever the page", async () => {
    const fixture = makeAdminFixture()
    for (const [name, numPartitions] of [
      ["a", 5],
      ["b", 1],
      ["u", 3]
    ] as const) {
      await create(fixture, 7, wish(name, { numPartitions }))
    }
    const expected = [...[0, 1, 2, 3, 4].map((each) => `a/${each}`), "b/0", "t/0", "t/1", "u/0", "u/1", "u/2"]
    for (const names of [[], ["u", "t", "b", "a"]]) {
      for (const limit of [1, 2, 3, 4, 10, 11, 12]) {
        const seen: Array<string> = []
        let cursor: object | null = null
        for (let pages = 0; pages < 20; pages++) {
          const answer = await ask(fixture, names, limit, cursor)
          const found = answer.topics.flatMap(({ name, partitions }) =>
            partitions.map(({ partitionIndex }) => `${name}/${partitionIndex}`)
          )
          ok(found.length <= limit)
          seen.push(...found)
          cursor = answer.nextCursor
          if (cursor === null) break
        }
        deepStrictEqual(seen, expected, `${names.length} names, ${limit} a page`)
      }
    }
  })
  test("a cursor of a topic that is gone goes on behind it; one below 0 is refused", async () => {
    const fixture = makeAdminFixture()
    const { topics } = await ask(fixture, [], 100, { topicName: "s", partitionIndex: 7 })
    deepStrictEqual(
      topics.map(({ name, partitions }) => [name, partitions.length]),
      [["t", 2]]
    )
    const refused = await ask(fixture, ["t"], 100, { topicName: "t", partitionIndex: -1 })
    deepStrictEqual(
      refused.topics.map(({ errorCode }) => errorCode),
      [42]
    )
  })
  test("rights: what is named is refused, what is not named is not told of", async () => {
    const fixture = makeAdminFixture({ access: { checkUnsafe: () => DENY } })
    deepStrictEqual(
      (await ask(fixture, ["t"], 10)).topics.map(({ errorCode }) => errorCode),
      [29]
    )
    deepStrictEqual((await ask(fixture, [], 10)).topics, [])
  })
})
