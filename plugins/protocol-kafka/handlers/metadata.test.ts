/** Metadata, ListOffsets and FindCoordinator, at every version that changes what they mean. */
import { deepStrictEqual, equal } from "node:assert"
import { describe, test } from "node:test"
import { ALLOW, CREATE, DENY, DESCRIBE, NOT_AVAILABLE } from "../../../core/mod.ts"
import { makeBatch, makeTestBroker, type TestBroker, TestClient, TOPIC_ID } from "../fakes.ts"
import { findCoordinator, listOffsets, metadata } from "../wire/apis.ts"
import { UUID_ZERO } from "../wire/schema.ts"

async function topicsOf(client: TestClient, version: number, request: object): Promise<Array<unknown>> {
  const answer = await client.call(metadata, version, { topics: null, ...request })
  return answer.topics.map(({ errorCode, name }) => [errorCode, name])
}
const named = (...names: ReadonlyArray<string>) => ({ topics: names.map((name) => ({ name })) })

describe("Metadata", () => {
  test("one broker, where the listener is announced; topics with id, leader and epoch", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    const topic = broker.topics.find(0, "t")
    if (topic !== undefined) broker.logs.of(topic, 1).leaderEpoch = 7
    for (const isRemote of [false, true]) {
      broker.logs.isRemote = isRemote
      const answer = await client.call(metadata, 13, named("t"))
      deepStrictEqual(answer.brokers, [{ nodeId: 1, host: "broker.example", port: 19_092, rack: null }])
      deepStrictEqual([answer.clusterId, answer.controllerId, answer.errorCode], ["test-cluster", 1, 0])
      const partition = { errorCode: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1], offlineReplicas: [] }
      deepStrictEqual(answer.topics[0]?.topicId, TOPIC_ID)
      deepStrictEqual(answer.topics[0]?.partitions, [
        { ...partition, partitionIndex: 0, leaderEpoch: 0 },
        { ...partition, partitionIndex: 1, leaderEpoch: 7 }
      ])
    }
  })
  test("all topics and no topics", async () => {
    const client = new TestClient(makeTestBroker())
    deepStrictEqual(await topicsOf(client, 0, { topics: [] }), [[0, "t"]])
    for (const version of [1, 8, 9, 13]) {
      deepStrictEqual(await topicsOf(client, version, { topics: null }), [[0, "t"]])
      deepStrictEqual(await topicsOf(client, version, { topics: [] }), [])
    }
  })
  test("unknown and invalid names; a name asked for twice is answered once", async () => {
    const client = new TestClient(makeTestBroker())
    const request = { ...named("t", "nope", "a/b", "", "..", "x".repeat(250), "t"), allowAutoTopicCreation: false }
    deepStrictEqual(await topicsOf(client, 4, request), [
      [0, "t"],
      [3, "nope"],
      [17, "a/b"],
      [17, ""],
      [17, ".."],
      [17, "x".repeat(250)]
    ])
  })
  test("a topic of another tenant does not exist", async () => {
    const client = new TestClient(makeTestBroker({ autoCreate: false }))
    deepStrictEqual(await topicsOf(client, 5, named("other")), [[3, "other"]])
    const byId = { topics: [{ topicId: "bbbbbbbb-0000-4000-8000-000000000002", name: null }] }
    deepStrictEqual(await topicsOf(client, 12, byId), [[100, null]])
  })
  test("auto-create: where client and broker both allow it", async () => {
    for (const [autoCreate, allowed, version, error] of [
      [true, true, 4, 0],
      [true, false, 4, 3],
      [false, true, 4, 3],
      [true, true, 1, 0]
    ] as const) {
      const client = new TestClient(makeTestBroker({ autoCreate }))
      const request = { ...named("fresh"), allowAutoTopicCreation: allowed }
      deepStrictEqual(await topicsOf(client, version, request), [[error, "fresh"]])
      equal(client.broker.known.has("0/fresh"), error === 0)
    }
  })
  test("by id from version 12 on", async () => {
    const client = new TestClient(makeTestBroker())
    const unknown = "99999999-0000-4000-8000-000000000000"
    const topics = [
      { topicId: TOPIC_ID, name: null },
      { topicId: unknown, name: null },
      { topicId: UUID_ZERO, name: null }
    ]
    deepStrictEqual(await topicsOf(client, 12, { topics }), [
      [0, "t"],
      [100, null],
      [42, null]
    ])
    // 10 and 11 carry the field and do not serve it.
    deepStrictEqual(await topicsOf(client, 10, { topics: [{ topicId: TOPIC_ID, name: null }] }), [[42, ""]])
    deepStrictEqual(await topicsOf(client, 10, { topics: [{ topicId: TOPIC_ID, name: "t" }] }), [[42, "t"]])
  })
  test("a partition whose log is not open has no leader", async () => {
    const broker = makeTestBroker()
    const topic = broker.topics.find(0, "t")
    if (topic !== undefined) broker.logs.of(topic, 1).refusal = NOT_AVAILABLE
    const answer = await new TestClient(broker).call(metadata, 7, named("t"))
    deepStrictEqual(
      answer.topics[0]?.partitions.map(({ errorCode, leaderId, leaderEpoch }) => [errorCode, leaderId, leaderEpoch]),
      [
        [0, 1, 0],
        [5, -1, -1]
      ]
    )
  })
  test("partitions of topics that are named are opened, up to a bound, and tell their epoch; of all topics none is", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    const topic = broker.topics.find(0, "t") ?? fail()
    const large = { ...topic, id: "aaaaaaaa-0000-4000-8000-000000000009", name: "large", partitions: 2_500 }
    broker.known.set("0/large", large)
    const close = (): void => {
      for (const each of [topic, large])
        for (let partition = 0; partition < each.partitions; partition++)
          Object.assign(broker.logs.of(each, partition), { isClosed: true, leaderEpoch: 3 })
    }
    const epochs = async (version: number, request: object): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
      close()
      const { topics } = await client.call(metadata, version, { topics: null, ...request })
      return topics.map(({ partitions }) => partitions.map(({ leaderEpoch }) => leaderEpoch))
    }
    const closed = Array.from({ length: 2_500 }, () => -1)
    deepStrictEqual(await epochs(13, {}), [[-1, -1], closed])
    deepStrictEqual(await epochs(13, named("t")), [[3, 3]])
    deepStrictEqual(await epochs(12, { topics: [{ topicId: TOPIC_ID, name: null }] }), [[3, 3]])
    const opened = (count: number) => closed.map((epoch, partition) => (partition < count ? 3 : epoch))
    deepStrictEqual(await epochs(9, { ...named("t", "nope", "large"), allowAutoTopicCreation: false }), [
      [3, 3],
      [],
      opened(1_998)
    ])
    deepStrictEqual(await epochs(9, named("large", "t")), [opened(2_000), [-1, -1]])
  })
  test("rights: hidden from the list, refused by name, not created without the right to", async () => {
    const nothing = new TestClient(makeTestBroker({ access: { checkUnsafe: () => DENY } }))
    deepStrictEqual(await topicsOf(nothing, 5, {}), [])
    deepStrictEqual(await topicsOf(nothing, 5, named("t", "nope")), [
      [29, "t"],
      [29, "nope"]
    ])
    deepStrictEqual(await topicsOf(nothing, 12, { topics: [{ topicId: TOPIC_ID, name: null }] }), [[29, null]])
    const reader = makeTestBroker({ access: { checkUnsafe: (_, action) => (action === CREATE ? DENY : ALLOW) } })
    deepStrictEqual(await topicsOf(new TestClient(reader), 5, named("fresh")), [[29, "fresh"]])
    equal(reader.known.has("0/fresh"), false)
  })
  test("authorized operations where they are asked for", async () => {
    const access = { checkUnsafe: (_: unknown, action: number) => (action === DESCRIBE ? ALLOW : DENY) }
    const client = new TestClient(makeTestBroker({ access }))
    const flags = { includeTopicAuthorizedOperations: true, includeClusterAuthorizedOperations: true }
    const asked = await client.call(metadata, 8, { ...named("t"), ...flags })
    deepStrictEqual([asked.topics[0]?.topicAuthorizedOperations, asked.clusterAuthorizedOperations], [1280, 1280])
    const plain = await client.call(metadata, 8, named("t"))
    equal(plain.topics[0]?.topicAuthorizedOperations, -2147483648)
  })
})

describe("ListOffsets", () => {
  const topicOf = (broker: TestBroker) => broker.topics.find(0, "t") ?? fail()
  async function offsetOf(client: TestClient, version: number, timestamp: number, changes: object = {}) {
    const partitions = [{ partitionIndex: 0, timestamp, ...changes }]
    const answer = await client.call(listOffsets, version, { replicaId: -1, topics: [{ name: "t", partitions }] })
    const found = answer.topics[0]?.partitions[0]
    return [found?.errorCode, found?.offset, found?.timestamp]
  }
  for (const isRemote of [false, true]) {
    test(`points of a log with records, ${isRemote ? "another shard's" : "this shard's"}`, async () => {
      const broker = makeTestBroker()
      broker.logs.isRemote = isRemote
      const client = new TestClient(broker)
      const log = broker.logs.of(topicOf(broker), 0)
      log.append(makeBatch(["a", "b", "c"], { timestamps: [1_000, 3_000, 2_000] }), 3)
      log.append(makeBatch(["d", "e"], { timestamps: [3_000, 2_500] }), 2)
      log.logStartOffset = 0
      for (const [version, timestamp, expected] of [
        [1, -1, [0, 5, -1]],
        [11, -1, [0, 5, -1]],
        [1, -2, [0, 0, -1]],
        [7, -3, [0, 1, 3_000]],
        [8, -4, [0, 0, -1]],
        [9, -5, [0, -1, -1]],
        [11, -6, [0, -1, -1]],
        [1, 0, [0, 0, 1_000]],
        [1, 1_001, [0, 1, 3_000]],
        [1, 3_000, [0, 1, 3_000]],
        [1, 3_001, [0, -1, -1]],
        [1, 2 ** 63, [0, -1, -1]]
      ] as const) {
        deepStrictEqual(await offsetOf(client, version, timestamp), expected, `version ${version}, ${timestamp}`)
      }
    })
  }
  test("an empty log, and one whose start has moved", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    for (const timestamp of [-1, -2]) deepStrictEqual(await offsetOf(client, 7, timestamp), [0, 0, -1])
    for (const timestamp of [-3, 5]) deepStrictEqual(await offsetOf(client, 7, timestamp), [0, -1, -1])
    const log = broker.logs.of(topicOf(broker), 0)
    log.logStartOffset = 4
    log.highWatermark = 9
    deepStrictEqual(await offsetOf(client, 7, -2), [0, 4, -1])
    deepStrictEqual(await offsetOf(client, 7, -1), [0, 9, -1])
  })
  test("the newest of many timestamps is found, wherever it stands", async () => {
    for (const timestamps of [[5], [5, 5, 5], [9, 1, 8], [1, 2, 3, 4], [2 ** 52, 7], [0, 1_700_000_000_000, 3]]) {
      const broker = makeTestBroker()
      const values = timestamps.map(String)
      broker.logs.of(topicOf(broker), 0).append(makeBatch(values, { timestamps }), values.length)
      const newest = Math.max(...timestamps)
      deepStrictEqual(await offsetOf(new TestClient(broker), 7, -3), [0, timestamps.indexOf(newest), newest])
    }
  })
  test("special timestamps before their version, and ones that do not exist", async () => {
    const client = new TestClient(makeTestBroker())
    for (const [version, timestamp] of [
      [6, -3],
      [7, -4],
      [8, -5],
      [10, -6],
      [11, -7]
    ] as const) {
      deepStrictEqual(await offsetOf(client, version, timestamp), [35, -1, -1])
      // What is asked is looked at before where.
      deepStrictEqual(await offsetOf(client, version, timestamp, { partitionIndex: 9 }), [35, -1, -1])
    }
  })
  test("epochs, unknown topics and partitions, rights, a partition asked for twice", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    broker.logs.of(topicOf(broker), 0).leaderEpoch = 2
    for (const [epoch, error] of [
      [1, 74],
      [2, 0],
      [3, 75]
    ] as const) {
      equal((await offsetOf(client, 4, -1, { currentLeaderEpoch: epoch }))[0], error)
    }
    for (const partitionIndex of [-1, 2]) equal((await offsetOf(client, 4, -1, { partitionIndex }))[0], 3)
    const twice = [
      { partitionIndex: 0, timestamp: -1 },
      { partitionIndex: 1, timestamp: -1 },
      { partitionIndex: 0, timestamp: -2 }
    ]
    const answer = await client.call(listOffsets, 4, {
      replicaId: -1,
      topics: [
        { name: "t", partitions: twice },
        { name: "nope", partitions: [{ partitionIndex: 0, timestamp: -1 }] }
      ]
    })
    deepStrictEqual(
      answer.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
      [[42, 0], [3]]
    )
    const denied = new TestClient(makeTestBroker({ access: { checkUnsafe: () => DENY } }))
    equal((await offsetOf(denied, 4, -1))[0], 29)
    broker.logs.of(topicOf(broker), 0).refusal = NOT_AVAILABLE
    equal((await offsetOf(client, 4, -1))[0], 6)
  })
  test("the leader epoch of the batch that holds the record", async () => {
    const broker = makeTestBroker()
    const log = broker.logs.of(topicOf(broker), 0)
    log.leaderEpoch = 1
    log.append(makeBatch(["a"], { timestamps: [10] }), 1)
    log.leaderEpoch = 4
    // A partition stands once in a request: what is asked of the first one's start and end is asked apart.
    const partitions = [
      { partitionIndex: 0, timestamp: 10 },
      { partitionIndex: 1, timestamp: -1 }
    ]
    const epochOf = async (timestamp: number, version = 11) => {
      const asked = { replicaId: -1, topics: [{ name: "t", partitions: [{ partitionIndex: 0, timestamp }] }] }
      return (await new TestClient(broker).call(listOffsets, version, asked)).topics[0]?.partitions[0]?.leaderEpoch
    }
    deepStrictEqual([await epochOf(-1), await epochOf(-2), await epochOf(-3), await epochOf(-4)], [4, 1, 1, 1])
    // Of a log without records: its own.
    log.logStartOffset = 1
    deepStrictEqual([await epochOf(-2), await epochOf(-5), await epochOf(-6)], [4, -1, -1])
    log.logStartOffset = 0
    const request = { replicaId: -1, topics: [{ name: "t", partitions }] }
    const answer = await new TestClient(broker).call(listOffsets, 4, request)
    deepStrictEqual(
      answer.topics[0]?.partitions.map(({ leaderEpoch }) => leaderEpoch),
      [1, 0]
    )
  })
})

describe("FindCoordinator", () => {
  test("this node keeps every group, where the client's listener is announced", async () => {
    const client = new TestClient(makeTestBroker())
    const here = [0, 1, "broker.example", 19_092]
    for (let version = 0; version <= 3; version++) {
      const answer = await client.call(findCoordinator, version, { key: "g" })
      deepStrictEqual([answer.errorCode, answer.nodeId, answer.host, answer.port], here)
      equal(answer.errorMessage, version >= 1 ? null : "")
    }
    for (let version = 4; version <= 6; version++) {
      const answer = await client.call(findCoordinator, version, { keyType: 0, coordinatorKeys: ["a", "b"] })
      deepStrictEqual(
        answer.coordinators.map(({ key, errorCode, nodeId, host, port }) => [key, errorCode, nodeId, host, port]),
        [
          ["a", ...here],
          ["b", ...here]
        ]
      )
    }
  })
  test("nobody keeps transactions: an error that is final, and a message where the version has one", async () => {
    const client = new TestClient(makeTestBroker())
    for (let version = 1; version <= 3; version++) {
      const answer = await client.call(findCoordinator, version, { key: "t", keyType: 1 })
      deepStrictEqual([answer.errorCode, answer.nodeId, answer.host, answer.port], [53, -1, "", -1])
      equal(typeof answer.errorMessage === "string" && answer.errorMessage.length > 20, true)
    }
    const { coordinators } = await client.call(findCoordinator, 6, { keyType: 1, coordinatorKeys: ["a", "b"] })
    deepStrictEqual(
      coordinators.map(({ key, errorCode }) => [key, errorCode]),
      [
        ["a", 53],
        ["b", 53]
      ]
    )
  })
  test("a key type that is none of the version's", async () => {
    const client = new TestClient(makeTestBroker())
    equal((await client.call(findCoordinator, 2, { key: "g", keyType: 3 })).errorCode, 42)
    const shared = { keyType: 2, coordinatorKeys: ["a"] }
    equal((await client.call(findCoordinator, 5, shared)).coordinators[0]?.errorCode, 42)
    equal((await client.call(findCoordinator, 6, shared)).coordinators[0]?.errorCode, 15)
  })
})

function fail(): never {
  throw new Error("the topic is there")
}
