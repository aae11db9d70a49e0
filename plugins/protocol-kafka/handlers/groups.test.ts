/** The APIs of groups as a connection answers them: forms of each version, topics by name and by id, what an administrator sees. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { DENY } from "../../../core/mod.ts"
import { makeTestBroker, type TestBroker, TestClient, TOPIC_ID } from "../fakes.ts"
import {
  deleteGroups,
  describeGroups,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  syncGroup
} from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import { UUID_ZERO } from "../wire/schema.ts"

const SETTINGS = { group_initial_rebalance_delay_ms: 0, group_size_max: 2 }
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
const brokerOf = (settings: object = {}): TestBroker => makeTestBroker({ settings: { ...SETTINGS, ...settings } })
/** A subscription to the topic "t", as consumers write it: version 0, one topic, no user data. */
const SUBSCRIPTION = Uint8Array.fromHex("00000000000100017400000000")
const joining = (changes: object = {}) => ({
  ...{ groupId: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000, memberId: "", protocolType: "consumer" },
  protocols: [{ name: "range", metadata: SUBSCRIPTION }],
  ...changes
})

/** A member of the group "g" with its assignment; its id. */
async function member(client: TestClient, version = 9, changes: object = {}): Promise<string> {
  let { errorCode, memberId, generationId } = await client.call(joinGroup, version, joining(changes))
  if (errorCode === 79) {
    ;({ errorCode, memberId, generationId } = await client.call(joinGroup, version, joining({ ...changes, memberId })))
  }
  equal(errorCode, 0)
  const assignments = [{ memberId, assignment: bytes("yours") }]
  const sync = { groupId: "g", generationId, memberId, assignments }
  equal((await client.call(syncGroup, 5, sync)).errorCode, 0)
  return memberId
}
const commit = (offset: number, changes: object = {}) => ({
  groupId: "g",
  topics: [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: offset, committedMetadata: "m" }] }],
  ...changes
})

describe("members", () => {
  for (let version = 0; version <= 9; version++) {
    test(`JoinGroup ${version}`, async () => {
      const client = new TestClient(brokerOf())
      const first = await client.call(joinGroup, version, joining())
      const answer = version < 4 ? first : await client.call(joinGroup, version, joining({ memberId: first.memberId }))
      equal(first.errorCode, version < 4 ? 0 : 79)
      equal(first.protocolName, version < 4 ? "range" : version < 7 ? "" : null)
      deepStrictEqual([answer.errorCode, answer.generationId, answer.leader], [0, 1, answer.memberId])
      ok(answer.memberId.startsWith("test-"))
      equal(answer.protocolType, version < 7 ? null : "consumer")
      equal(answer.members[0]?.metadata.toHex(), SUBSCRIPTION.toHex())
    })
  }
  test("bounds of group ids and session timeouts", async () => {
    const client = new TestClient(brokerOf())
    equal((await client.call(joinGroup, 9, joining({ groupId: "" }))).errorCode, 24)
    equal((await client.call(joinGroup, 9, joining({ sessionTimeoutMs: 5_999 }))).errorCode, 26)
    equal((await client.call(joinGroup, 9, joining({ sessionTimeoutMs: 1_800_001 }))).errorCode, 26)
    equal((await client.call(joinGroup, 9, joining({ memberId: "x" }))).errorCode, 25)
    const sync = { groupId: "", generationId: 1, memberId: "x", assignments: [] }
    equal((await client.call(syncGroup, 5, sync)).errorCode, 24)
    equal((await client.call(heartbeat, 4, { groupId: "", generationId: 1, memberId: "x" })).errorCode, 24)
    equal((await client.call(leaveGroup, 1, { groupId: "", memberId: "x" })).errorCode, 24)
  })
  test("what names another protocol is refused from version 5 on; lies about generation and id always", async () => {
    const client = new TestClient(brokerOf())
    const memberId = await member(client)
    const sync = { groupId: "g", generationId: 1, memberId, assignments: [] }
    equal((await client.call(syncGroup, 5, { ...sync, protocolName: "other" })).errorCode, 23)
    equal((await client.call(syncGroup, 5, { ...sync, protocolType: "other" })).errorCode, 23)
    const { assignment } = await client.call(syncGroup, 0, sync)
    equal(new TextDecoder().decode(assignment), "yours")
    for (const version of [0, 1, 2, 3, 4]) {
      const beat = { groupId: "g", generationId: 1, memberId }
      equal((await client.call(heartbeat, version, beat)).errorCode, 0)
      equal((await client.call(heartbeat, version, { ...beat, generationId: 2 })).errorCode, 22)
      equal((await client.call(heartbeat, version, { ...beat, memberId: "x" })).errorCode, 25)
      equal((await client.call(heartbeat, version, { ...beat, groupId: "h" })).errorCode, 25)
    }
  })
  test("one leaves at the top before version 3, several from it on", async () => {
    for (const version of [0, 2, 3, 5]) {
      const client = new TestClient(brokerOf())
      const memberId = await member(client)
      const members = [{ memberId }, { memberId: "x" }]
      const answer = await client.call(
        leaveGroup,
        version,
        version < 3 ? { groupId: "g", memberId } : { groupId: "g", members }
      )
      equal(answer.errorCode, 0)
      deepStrictEqual(
        answer.members.map(({ errorCode }) => errorCode),
        version < 3 ? [] : [0, 25]
      )
      equal((await client.call(leaveGroup, 0, { groupId: "g", memberId })).errorCode, 25)
    }
  })
  test("any bytes as metadata: the group goes on", async () => {
    for (const metadata of ["", "ff", "0000ffffffff", "00007fffffff", "0000000000010005"]) {
      const client = new TestClient(brokerOf())
      const protocols = [{ name: "range", metadata: Uint8Array.fromHex(metadata) }]
      await member(client, 9, { protocols })
      equal((await client.call(describeGroups, 6, { groups: ["g"] })).groups[0]?.groupState, "Stable")
      // What it reads cannot be told: its offsets stay.
      const topics = [{ name: "t", partitions: [{ partitionIndex: 0 }] }]
      const { topics: answers } = await client.call(offsetDelete, 0, { groupId: "g", topics })
      equal(answers[0]?.partitions[0]?.errorCode, 86)
    }
  })
  test("a stop answers who waits: the coordinator is elsewhere", async () => {
    const broker = brokerOf({ group_initial_rebalance_delay_ms: 3_000 })
    const client = new TestClient(broker)
    client.send(client.frame(joinGroup, 0, joining()))
    await broker.time.settle()
    equal(client.received().length, 0)
    client.connection.stop()
    await broker.time.settle()
    deepStrictEqual([client.received().length, broker.counts.errors.get(16)], [1, 1])
  })
  test("a full group is counted", async () => {
    const broker = brokerOf()
    const client = new TestClient(broker)
    for (const expected of [79, 79, 81]) {
      equal((await client.call(joinGroup, 9, joining())).errorCode, expected)
    }
    deepStrictEqual([...broker.coordinator.counts.refused], [["group_size", 1]])
  })
})

describe("offsets", () => {
  for (let version = 2; version <= 10; version++) {
    test(`OffsetCommit ${version}, and what OffsetFetch says of it`, async () => {
      const client = new TestClient(brokerOf())
      const partitions = [
        { partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: 3, committedMetadata: null },
        { partitionIndex: 2, committedOffset: 5, committedMetadata: "" },
        { partitionIndex: 1, committedOffset: 6, committedMetadata: "x".repeat(4_097) }
      ]
      const topics = [
        { name: "absent", topicId: UUID_ZERO, partitions: partitions.slice(0, 1) },
        { name: "t", topicId: TOPIC_ID, partitions }
      ]
      const answer = await client.call(offsetCommit, version, { groupId: "g", topics })
      deepStrictEqual(
        answer.topics.map((each) => each.partitions.map(({ errorCode }) => errorCode)),
        [[version < 10 ? 3 : 100], [0, 3, 12]]
      )
      for (let fetching = 1; fetching <= 10; fetching++) {
        const asked = [{ name: "t", topicId: TOPIC_ID, partitionIndexes: [0, 1] }]
        const request = fetching < 8 ? { groupId: "g", topics: asked } : { groups: [{ groupId: "g", topics: asked }] }
        const found = await client.call(offsetFetch, fetching, request)
        const [topic] = fetching < 8 ? found.topics : (found.groups[0]?.topics ?? [])
        const epoch = fetching < 5 || version < 6 ? -1 : 3
        deepStrictEqual(
          topic?.partitions.map((each) => [
            each.committedOffset,
            each.committedLeaderEpoch,
            each.metadata,
            each.errorCode
          ]),
          [
            [5, epoch, "", 0],
            [-1, -1, "", 0]
          ]
        )
      }
    })
  }
  test("all offsets, of several groups, by name and by id; topics that are gone are left out", async () => {
    const broker = brokerOf()
    const client = new TestClient(broker)
    await client.call(offsetCommit, 9, commit(7))
    const all = await client.call(offsetFetch, 2, { groupId: "g", topics: null })
    deepStrictEqual(
      all.topics.map(({ name, partitions }) => [name, partitions[0]?.committedOffset]),
      [["t", 7]]
    )
    const groups = [
      { groupId: "g", topics: null },
      { groupId: "none", topics: null }
    ]
    const both = await client.call(offsetFetch, 10, { groups })
    deepStrictEqual(
      both.groups.map(({ errorCode, topics }) => [errorCode, topics.map(({ topicId }) => topicId)]),
      [
        [0, [TOPIC_ID]],
        [0, []]
      ]
    )
    const unknown = [
      { groupId: "g", topics: [{ topicId: "dddddddd-0000-4000-8000-000000000001", partitionIndexes: [0] }] }
    ]
    equal((await client.call(offsetFetch, 10, { groups: unknown })).groups[0]?.topics[0]?.partitions[0]?.errorCode, 100)
    broker.known.delete("0/t")
    deepStrictEqual((await client.call(offsetFetch, 9, { groups })).groups[0]?.topics, [])
  })
  test("members and others: 25, 22, and 69 or 22 where there is no group", async () => {
    const client = new TestClient(brokerOf())
    const error = async (version: number, changes: object): Promise<unknown> =>
      (await client.call(offsetCommit, version, commit(1, changes))).topics[0]?.partitions[0]?.errorCode
    equal(await error(8, { generationIdOrMemberEpoch: 1, memberId: "x" }), 22)
    equal(await error(9, { generationIdOrMemberEpoch: 1, memberId: "x" }), 69)
    const memberId = await member(client)
    equal(await error(9, {}), 25)
    equal(await error(9, { generationIdOrMemberEpoch: 1, memberId: "x" }), 25)
    equal(await error(9, { generationIdOrMemberEpoch: 2, memberId }), 22)
    equal(await error(9, { generationIdOrMemberEpoch: 1, memberId }), 0)
  })
  test("what a group may hold is bounded, and counted", async () => {
    const broker = brokerOf({ group_bytes_max: 2_000 })
    const client = new TestClient(broker)
    const request = commit(1)
    const large = [
      { name: "t", partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "x".repeat(1_000) }] }
    ]
    equal((await client.call(offsetCommit, 9, { ...request, topics: large })).topics[0]?.partitions[0]?.errorCode, 28)
    equal((await client.call(offsetCommit, 9, request)).topics[0]?.partitions[0]?.errorCode, 0)
    deepStrictEqual([...broker.coordinator.counts.refused], [["group_bytes", 1]])
    const few = brokerOf({ groups_bytes_max: 1_000 })
    const other = new TestClient(few)
    equal((await other.call(offsetCommit, 9, request)).topics[0]?.partitions[0]?.errorCode, 0)
    const second = await other.call(offsetCommit, 9, { ...request, groupId: "h" })
    // What others have may go: to be tried again.
    equal(second.topics[0]?.partitions[0]?.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    deepStrictEqual([...few.coordinator.counts.refused], [["total_bytes", 1]])
    equal(few.coordinator.size, 1)
  })
  test("no right to a topic: 29", async () => {
    const broker = makeTestBroker({ settings: SETTINGS, access: { checkUnsafe: () => DENY } })
    const client = new TestClient(broker)
    equal((await client.call(offsetCommit, 9, commit(1))).topics[0]?.partitions[0]?.errorCode, 29)
    const topics = [{ name: "t", partitionIndexes: [0] }]
    equal((await client.call(offsetFetch, 5, { groupId: "g", topics })).topics[0]?.partitions[0]?.errorCode, 29)
  })
  test("OffsetDelete: not what members read, not of a group of another type; what it forgets is gone", async () => {
    const client = new TestClient(brokerOf())
    const remove = (groupId = "g") =>
      client.call(offsetDelete, 0, {
        groupId,
        topics: [
          { name: "t", partitions: [{ partitionIndex: 0 }, { partitionIndex: 9 }] },
          { name: "absent", partitions: [{ partitionIndex: 0 }] }
        ]
      })
    equal((await remove()).errorCode, 69)
    const memberId = await member(client)
    await client.call(offsetCommit, 9, commit(7, { generationIdOrMemberEpoch: 1, memberId }))
    const codes = ({ topics }: Awaited<ReturnType<typeof remove>>) =>
      topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
    deepStrictEqual(codes(await remove()), [86, 3, 3])
    await client.call(leaveGroup, 3, { groupId: "g", members: [{ memberId }] })
    deepStrictEqual(codes(await remove()), [0, 3, 3])
    deepStrictEqual((await client.call(offsetFetch, 2, { groupId: "g", topics: null })).topics, [])
    await member(client, 9, { groupId: "c", protocolType: "connect" }).catch(() => "")
    equal((await remove("c")).errorCode, 68)
  })
})

describe("what an administrator sees", () => {
  test("a group that is not there is Dead, from version 6 on an error", async () => {
    const client = new TestClient(brokerOf())
    for (let version = 0; version <= 6; version++) {
      const [group] = (await client.call(describeGroups, version, { groups: ["g"] })).groups
      deepStrictEqual([group?.groupState, group?.errorCode], ["Dead", version < 6 ? 0 : 69])
      equal(group?.errorMessage, version < 6 ? null : "Group g not found.")
    }
  })
  test("a group with its members, listed by state and type, deleted when it is empty", async () => {
    const broker = brokerOf()
    const client = new TestClient(broker)
    const memberId = await member(client, 9, { groupInstanceId: "i" })
    const described = await client.call(describeGroups, 6, { groups: ["g"], includeAuthorizedOperations: true })
    const [group] = described.groups
    deepStrictEqual([group?.groupState, group?.protocolType, group?.protocolData], ["Stable", "consumer", "range"])
    equal(group?.authorizedOperations, 328)
    const [first] = group?.members ?? []
    deepStrictEqual([first?.memberId, first?.groupInstanceId, first?.clientHost], [memberId, "i", "/127.0.0.1"])
    equal(new TextDecoder().decode(first?.memberAssignment), "yours")
    const list = async (changes: object): Promise<unknown> =>
      (await client.call(listGroups, 5, { statesFilter: [], typesFilter: [], ...changes })).groups
    const listed = [{ groupId: "g", protocolType: "consumer", groupState: "Stable", groupType: "Classic" }]
    for (const filter of [{}, { statesFilter: ["stable"] }, { typesFilter: ["classic"] }]) {
      deepStrictEqual(await list(filter), listed)
    }
    for (const filter of [{ statesFilter: ["Empty"] }, { typesFilter: ["consumer"] }])
      deepStrictEqual(await list(filter), [])
    const remove = async (): Promise<unknown> =>
      (await client.call(deleteGroups, 2, { groupsNames: ["g", "none", "g"] })).results.map(
        ({ errorCode }) => errorCode
      )
    deepStrictEqual(await remove(), [68, 69])
    await client.call(leaveGroup, 3, { groupId: "g", members: [{ memberId: "", groupInstanceId: "i" }] })
    await client.call(offsetCommit, 9, commit(7))
    deepStrictEqual(await remove(), [0, 69])
    deepStrictEqual([broker.coordinator.size, broker.coordinator.bytes], [0, 0])
    deepStrictEqual((await client.call(offsetFetch, 2, { groupId: "g", topics: null })).topics, [])
  })
})

describe("what hostile questions cost", () => {
  test("a group is answered once, however often it is named", async () => {
    const client = new TestClient(brokerOf())
    await member(client)
    await client.call(offsetCommit, 9, commit(1, { generationIdOrMemberEpoch: -1, memberId: "" })).catch(() => {})
    const named = Array.from({ length: 5_000 }, () => "g")
    equal((await client.call(describeGroups, 6, { groups: named })).groups.length, 1)
    const asked = named.map((groupId) => ({ groupId, memberId: null, memberEpoch: -1, topics: null }))
    equal((await client.call(offsetFetch, 9, { groups: asked })).groups.length, 1)
  })

  test("an id of the largest size that is not there is told of in a message that can be written", async () => {
    const client = new TestClient(brokerOf())
    const [group] = (await client.call(describeGroups, 6, { groups: ["x".repeat(32_767)] })).groups
    equal(group?.errorCode, 69)
    ok((group?.errorMessage?.length ?? 0) < 300)
  })
})
