/** What groups forget in the course of time, over real requests; and what the bounds of their bytes count. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { test } from "node:test"
import type { TopicInfo } from "../../../core/mod.ts"
import { OrderedStore } from "../../../core/queue/fakes.ts"
import { FakeTime } from "../fakes.ts"
import { heartbeat, joinGroup, leaveGroup, offsetCommit, syncGroup } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { Api, RequestOf, ResponseOf } from "../wire/schema.ts"
import { makeTestGroups } from "./fakes.ts"
import type { CoordinatorSettings } from "./GroupCoordinator.ts"
import { EMPTY_GROUP_MS } from "./GroupUpkeep.ts"
import type { GroupCaller } from "./member-requests.ts"
import { CONSUMER } from "./subscription.ts"

const RETENTION_MS = 3_600_000
const MINUTE_MS = 60_000
const idOf = (number: number): string => `aaaaaaaa-0000-4000-8000-00000000000${number}`
const A = idOf(1)
const B = idOf(2)
const NOBODY = { memberId: "", generation: -1 }

class Bench {
  readonly time = new FakeTime()
  readonly topics = new Map([A, B].map((id) => [id, { id, name: id === A ? "a" : "b" } as TopicInfo]))
  readonly store: OrderedStore
  #groups: ReturnType<typeof makeTestGroups>

  constructor(changes: Partial<CoordinatorSettings> = {}, store = new OrderedStore()) {
    this.store = store
    const find = (_tenant: number, name: string) => [...this.topics.values()].find((topic) => topic.name === name)
    const settings = { offsets_retention_ms: RETENTION_MS, group_initial_rebalance_delay_ms: 0, ...changes }
    this.#groups = makeTestGroups(this.time, { find, findById: (id) => this.topics.get(id) }, settings, store)
  }

  get coordinator() {
    return this.#groups.coordinator
  }
  get groups(): ReadonlyArray<string> {
    return [...this.coordinator.all()].map(({ name }) => name.id)
  }
  get rows(): number {
    return this.store.range(new Uint8Array(0), Uint8Array.of(255), 1_000).length
  }
  /** "topic/partition" of all offsets that a group has. */
  offsets(id = "g"): ReadonlyArray<string> {
    const offsets = this.coordinator.find({ tenant: 0, id })?.offsets
    return (offsets?.where(() => true) ?? []).map(({ topicId, partition }) => `${topicId.at(-1)}/${partition}`)
  }

  async ask<A extends Api>(api: A, request: RequestOf<A>, caller: Partial<GroupCaller> = {}): Promise<ResponseOf<A>> {
    let answer: ResponseOf<A> | undefined
    const from = { tenant: 0, version: api.versionMax, clientId: "c", clientHost: "/h", retentionMs: -1, ...caller }
    this.#groups.link.ask(0, api, from, request, (response) => {
      answer = response
    })
    await this.time.pass(0)
    return answer ?? Promise.reject(new Error(`${api.name} was not answered`))
  }

  /** Commits offset 5 of partition 0; the error code. */
  async commit(topicId: string, facts: Partial<CommitFacts> = {}): Promise<number> {
    const { groupId, memberId, generation, metadata, retentionMs } = { ...COMMIT, ...facts }
    const partition = { partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: -1, committedMetadata: metadata }
    const { topics } = await this.ask(
      offsetCommit,
      {
        groupId,
        memberId,
        generationIdOrMemberEpoch: generation,
        groupInstanceId: null,
        retentionTimeMs: -1,
        topics: [{ name: "", topicId, partitions: [partition] }]
      },
      { retentionMs }
    )
    return topics[0]?.partitions[0]?.errorCode ?? -1
  }

  /** One consumer of the topic "a" in a group that has settled. */
  async member(groupId = "g"): Promise<Member> {
    const name = new TextEncoder().encode("a")
    const metadata = Uint8Array.of(0, 0, 0, 0, 0, 1, 0, name.length, ...name, 255, 255, 255, 255)
    const joined = await this.ask(
      joinGroup,
      {
        groupId,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        memberId: "",
        groupInstanceId: null,
        protocolType: CONSUMER,
        protocols: [{ name: "range", metadata }],
        reason: null
      },
      { version: 3 }
    )
    const { memberId, generationId: generation = -1 } = joined
    const assignments = [{ memberId, assignment: Uint8Array.of(1) }]
    const instance = { groupInstanceId: null, protocolType: CONSUMER, protocolName: "range" }
    const sync = { groupId, generationId: generation, memberId, ...instance, assignments }
    equal((await this.ask(syncGroup, sync)).errorCode, 0)
    return { groupId, memberId, generation }
  }

  /** Time goes on, and the member lives. */
  async pass(ms: number, member?: Member): Promise<void> {
    for (let passed = 0; passed < ms; passed += 5_000) {
      await this.time.pass(5_000)
      if (member === undefined) continue
      const { groupId, memberId, generation: generationId } = member
      const beat = { groupId, generationId, memberId, groupInstanceId: null }
      equal((await this.ask(heartbeat, beat)).errorCode, 0)
    }
  }
}

interface Member {
  readonly groupId: string
  readonly memberId: string
  readonly generation: number
}
interface CommitFacts extends Member {
  readonly metadata: string
  readonly retentionMs: number
}
const COMMIT: CommitFacts = { groupId: "g", ...NOBODY, metadata: "", retentionMs: -1 }

async function started(changes: Partial<CoordinatorSettings> = {}, store?: OrderedStore): Promise<Bench> {
  const bench = new Bench(changes, store)
  await bench.coordinator.start()
  return bench
}

test("offsets of a group without members go when nobody has used them for as long as is set, and the group some time later", async () => {
  const bench = await started()
  equal(await bench.commit(A), 0)
  await bench.pass(RETENTION_MS / 2)
  equal(await bench.commit(B), 0)
  await bench.pass(RETENTION_MS / 2 - 2 * MINUTE_MS)
  deepStrictEqual(bench.offsets(), ["1/0", "2/0"])
  await bench.pass(4 * MINUTE_MS)
  deepStrictEqual(bench.offsets(), ["2/0"])
  await bench.pass(RETENTION_MS / 2 + 2 * MINUTE_MS)
  deepStrictEqual([bench.offsets(), bench.rows, bench.coordinator.counts.offsetsExpired], [[], 0, 2])
  await bench.pass(EMPTY_GROUP_MS + 2 * MINUTE_MS)
  deepStrictEqual([bench.groups, bench.coordinator.bytes], [[], 0])
})

test("what the commit itself said counts instead, and a restart changes nothing of it", async () => {
  const bench = await started()
  equal(await bench.commit(A, { retentionMs: 5 * MINUTE_MS }), 0)
  equal(await bench.commit(B, { retentionMs: 30 * MINUTE_MS }), 0)
  await bench.pass(8 * MINUTE_MS)
  deepStrictEqual(bench.offsets(), ["2/0"])
  const again = await started({}, bench.store)
  deepStrictEqual(again.offsets(), ["2/0"])
  await again.pass(20 * MINUTE_MS)
  deepStrictEqual(again.offsets(), ["2/0"])
  await again.pass(15 * MINUTE_MS)
  deepStrictEqual([again.offsets(), again.rows], [[], 0])
})

test("a group in use keeps what it reads, however old, and forgets what it does not; it counts from when it was left", async () => {
  const bench = await started()
  const member = await bench.member()
  equal(await bench.commit(A, member), 0)
  equal(await bench.commit(B, member), 0)
  await bench.pass(RETENTION_MS + 2 * MINUTE_MS, member)
  deepStrictEqual(bench.offsets(), ["1/0"])
  const { groupId, memberId } = member
  await bench.ask(leaveGroup, { groupId, memberId: "", members: [{ memberId, groupInstanceId: null, reason: null }] })
  await bench.pass(RETENTION_MS - 2 * MINUTE_MS)
  deepStrictEqual(bench.offsets(), ["1/0"])
  await bench.pass(4 * MINUTE_MS)
  deepStrictEqual(bench.offsets(), [])
  await bench.pass(EMPTY_GROUP_MS + 2 * MINUTE_MS)
  deepStrictEqual([bench.groups, bench.rows, bench.coordinator.counts.groupsExpired], [[], 0, 1])
})

test("offsets of a topic that is deleted go, in a group in use, too; one that is not known for a moment keeps them", async () => {
  const bench = await started()
  const member = await bench.member()
  equal(await bench.commit(A, member), 0)
  const topic = bench.topics.get(A)
  bench.topics.delete(A)
  await bench.pass(MINUTE_MS, member)
  if (topic !== undefined) bench.topics.set(A, topic)
  await bench.pass(5 * MINUTE_MS, member)
  deepStrictEqual(bench.offsets(), ["1/0"])
  bench.topics.delete(A)
  await bench.pass(3 * MINUTE_MS, member)
  deepStrictEqual(bench.offsets(), [])
})

test("a commit in the place of another takes no more room; one that has none may be tried again where others have it", async () => {
  const metadata = "x".repeat(4_000)
  const bench = await started({ group_bytes_max: 10_000 })
  for (let count = 0; count < 5; count++) equal(await bench.commit(A, { metadata }), 0)
  equal(await bench.commit(B, { metadata }), ErrorCode.INVALID_COMMIT_OFFSET_SIZE)
  equal(await bench.commit(A, { metadata: "" }), 0)
  equal(await bench.commit(B, { metadata }), 0)
  deepStrictEqual([...bench.coordinator.counts.refused], [["group_bytes", 1]])

  const small = await started({ groups_bytes_max: 10_000 })
  equal(await small.commit(A, { metadata }), 0)
  equal(await small.commit(A, { metadata, groupId: "other" }), ErrorCode.COORDINATOR_NOT_AVAILABLE)
  ok(small.coordinator.bytes < 10_000)
  deepStrictEqual([...small.coordinator.counts.refused], [["total_bytes", 1]])
})
