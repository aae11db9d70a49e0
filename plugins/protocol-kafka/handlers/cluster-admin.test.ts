/** DescribeCluster, DescribeLogDirs, ElectLeaders, ListPartitionReassignments: what one broker says of itself. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { test } from "node:test"
import { ALLOW, ALTER, DENY, DESCRIBE, NOT_AVAILABLE } from "../../../core/mod.ts"
import { makeBatch } from "../fakes.ts"
import {
  describeCluster,
  describeLogDirs,
  describeUserScramCredentials,
  electLeaders,
  listPartitionReassignments
} from "../wire/apis.ts"
import { makeAdminFixture } from "./testing.ts"

const denied = (denied: number) => ({ checkUnsafe: (_: unknown, action: number) => (action === denied ? DENY : ALLOW) })

test("DescribeCluster: the one broker, its rights where they are asked for, and no controllers", async () => {
  const fixture = makeAdminFixture()
  for (const version of [0, 1, 2]) {
    const answer = await fixture.call(describeCluster, version, { includeClusterAuthorizedOperations: true })
    deepStrictEqual([answer.errorCode, answer.clusterId, answer.controllerId], [0, "test-cluster", 1])
    const broker = { brokerId: 1, host: "broker.example", port: 19_092, rack: null, isFenced: false }
    deepStrictEqual(answer.brokers, [broker])
    equal(answer.clusterAuthorizedOperations, (1 << 5) | (1 << 7) | (1 << 8) | (1 << 10) | (1 << 11) | (1 << 12))
  }
  const plain = await fixture.call(describeCluster, 0, { includeClusterAuthorizedOperations: false })
  equal(plain.clusterAuthorizedOperations, -2147483648)
  for (const [endpointType, expected] of [
    [2, 114],
    [3, 115]
  ] as const) {
    const answer = await fixture.call(describeCluster, 1, { includeClusterAuthorizedOperations: false, endpointType })
    deepStrictEqual([answer.errorCode, answer.brokers], [expected, []])
  }
})

test("DescribeLogDirs: bytes of what is there, in the one directory", async () => {
  const fixture = makeAdminFixture()
  const topic = fixture.broker.topics.find(0, "t")
  ok(topic !== undefined)
  const batch = makeBatch(["a"])
  fixture.broker.logs.of(topic, 1).append(batch, 1)
  for (const version of [1, 2, 3, 4, 5]) {
    for (const topics of [
      null,
      [
        { topic: "t", partitions: [1, 0, 1, 7, -1] },
        { topic: "nope", partitions: [0] }
      ]
    ]) {
      const { results, errorCode } = await fixture.call(describeLogDirs, version, { topics })
      equal(errorCode, 0)
      deepStrictEqual(
        results.map(({ logDir }) => logDir),
        ["/data"]
      )
      const [directory] = results
      const sizes = directory?.topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, partitionSize }) => `${name}/${partitionIndex}: ${partitionSize}`)
      )
      deepStrictEqual(sizes?.toSorted(), ["t/0: 0", `t/1: ${batch.length}`])
      deepStrictEqual([directory?.totalBytes, directory?.usableBytes], version < 4 ? [-1, -1] : [-1, 1_000_000])
    }
  }
  fixture.broker.logs.of(topic, 0).refusal = NOT_AVAILABLE
  const { results } = await fixture.call(describeLogDirs, 5, { topics: null })
  deepStrictEqual(
    results[0]?.topics[0]?.partitions.map(({ partitionIndex }) => partitionIndex),
    [1]
  )
  const refused = makeAdminFixture({ access: denied(DESCRIBE) })
  equal((await refused.call(describeLogDirs, 5, { topics: null })).errorCode, 31)
})

test("ElectLeaders: nothing is to be elected, and that is what is said", async () => {
  const fixture = makeAdminFixture()
  const topicPartitions = [
    { topic: "t", partitions: [0, 2] },
    { topic: "nope", partitions: [0] }
  ]
  for (const version of [0, 1, 2]) {
    const answer = await fixture.call(electLeaders, version, { electionType: 0, topicPartitions, timeoutMs: 0 })
    deepStrictEqual(
      answer.replicaElectionResults.map(({ partitionResult }) => partitionResult.map(({ errorCode }) => errorCode)),
      [[84, 3], [3]]
    )
    const all = await fixture.call(electLeaders, version, { topicPartitions: null, timeoutMs: 0 })
    deepStrictEqual([all.errorCode, all.replicaElectionResults], [0, []])
  }
  const odd = await fixture.call(electLeaders, 2, { electionType: 2, topicPartitions, timeoutMs: 0 })
  equal(odd.errorCode, 42)
  const refused = makeAdminFixture({ access: denied(ALTER) })
  equal((await refused.call(electLeaders, 2, { topicPartitions, timeoutMs: 0 })).errorCode, 31)
})

test("ListPartitionReassignments: none, whatever is asked for", async () => {
  const fixture = makeAdminFixture()
  for (const topics of [
    null,
    [
      { name: "t", partitionIndexes: [0] },
      { name: "nope", partitionIndexes: [0] }
    ]
  ]) {
    const answer = await fixture.call(listPartitionReassignments, 0, { topics, timeoutMs: 0 })
    deepStrictEqual([answer.errorCode, answer.errorMessage, answer.topics], [0, null, []])
  }
  const refused = makeAdminFixture({ access: denied(DESCRIBE) })
  equal((await refused.call(listPartitionReassignments, 0, { topics: null, timeoutMs: 0 })).errorCode, 31)
})

test("DescribeUserScramCredentials: nobody has any", async () => {
  const fixture = makeAdminFixture()
  const ask = (users: ReadonlyArray<{ name: string }> | null) =>
    fixture.call(describeUserScramCredentials, 0, { users })
  deepStrictEqual((await ask(null)).results, [])
  deepStrictEqual((await ask([])).results, [])
  const { errorCode, results } = await ask([{ name: "a" }, { name: "b" }, { name: "b" }])
  equal(errorCode, 0)
  deepStrictEqual(
    results.map((result) => [result.user, result.errorCode]),
    [
      ["a", 91],
      ["b", 92]
    ]
  )
  const refused = makeAdminFixture({ access: denied(DESCRIBE) })
  equal((await refused.call(describeUserScramCredentials, 0, { users: null })).errorCode, 31)
})
