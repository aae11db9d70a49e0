/** Places for fetch sessions: Apache's rules of eviction, the bound over all partitions, tenants, ids and epochs. */
import { deepStrictEqual, equal, notEqual, ok } from "node:assert"
import { test } from "node:test"
import { FetchList } from "./FetchList.ts"
import { EVICTION_MS, type FetchSession, FetchSessions, nextEpoch, SESSION_NONE } from "./FetchSessions.ts"

function listOf(size: number): FetchList {
  const list = new FetchList(false)
  const partitions = Array.from({ length: size }, (_, partition) => ({
    partition,
    fetchOffset: 0,
    partitionMaxBytes: 1,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    replicaDirectoryId: "",
    highWatermark: 0
  }))
  list.update([{ topic: "t", topicId: "", partitions }])
  return list
}

function make(sessionsMax: number, partitionsMax = 1_000_000) {
  let nowMs = 0
  const chance: Array<number> = []
  let next = 0
  const sessions = new FetchSessions({
    clock: { monotonicMs: () => nowMs },
    random: { uint32: () => chance.shift() ?? ++next },
    sessionsMax,
    partitionsMax
  })
  const create = (size: number): number => sessions.create(0, listOf(size))
  const use = (id: number): boolean => sessions.touch(sessions.get(id, 0) as FetchSession)
  return { sessions, create, use, chance, pass: (ms: number) => void (nowMs += ms) }
}

test("without a place there is no session; a young one makes no place for a larger one", () => {
  const { sessions, create } = make(2)
  const [first, second] = [create(1), create(2)]
  equal(create(100), SESSION_NONE)
  deepStrictEqual([sessions.size, sessions.partitions, sessions.evictions], [2, 3, 0])
  ok(sessions.get(first, 0) !== undefined && sessions.get(second, 0) !== undefined)
  equal(make(0).create(1), SESSION_NONE)
})

test("one that nobody used for long goes first, whatever its size", () => {
  const { sessions, create, use, pass } = make(2)
  const large = create(50)
  pass(1)
  const small = create(1)
  pass(EVICTION_MS - 1)
  use(small)
  equal(create(2), SESSION_NONE)
  pass(1)
  const another = create(2)
  notEqual(another, SESSION_NONE)
  equal(sessions.get(large, 0), undefined)
  ok(sessions.get(small, 0) !== undefined)
  deepStrictEqual([sessions.size, sessions.partitions, sessions.evictions], [2, 3, 1])
})

test("of those that have lived long and are used, the smallest makes place for a larger one only", () => {
  const { sessions, create, use, pass } = make(3)
  const ids = [create(5), create(3), create(4)]
  pass(EVICTION_MS)
  for (const id of ids) use(id)
  // Not older than that by then: none of them is to be had.
  equal(create(10), SESSION_NONE)
  pass(1)
  for (const id of ids) use(id)
  equal(create(3), SESSION_NONE)
  const four = create(4)
  notEqual(four, SESSION_NONE)
  deepStrictEqual(
    ids.map((id) => sessions.get(id, 0) !== undefined),
    [true, false, true]
  )
  // The new one is young.
  equal(create(4), SESSION_NONE)
  notEqual(create(5), SESSION_NONE)
  deepStrictEqual(
    ids.map((id) => sessions.get(id, 0) !== undefined),
    [true, false, false]
  )
})

test("all sessions together hold no more partitions than they may", () => {
  const { sessions, create, use, pass } = make(100, 10)
  const first = create(6)
  equal(create(5), SESSION_NONE)
  equal(create(11), SESSION_NONE)
  const second = create(4)
  deepStrictEqual([sessions.size, sessions.partitions], [2, 10])
  // One that grows over the bound is gone.
  const session = sessions.get(second, 0) as FetchSession
  session.list.update([{ topic: "u", topicId: "", partitions: [{ ...asked, partition: 0 }] }])
  equal(sessions.touch(session), false)
  deepStrictEqual([sessions.size, sessions.partitions, sessions.get(second, 0)], [1, 6, undefined])
  // As many make place as it takes.
  create(2)
  create(2)
  equal(use(first), true)
  pass(EVICTION_MS + 1)
  notEqual(create(10), SESSION_NONE)
  deepStrictEqual([sessions.size, sessions.partitions, sessions.evictions], [1, 10, 3])
})

test("a session is of one tenant; ids are random, positive and free", () => {
  const { sessions, create, chance } = make(10)
  chance.push(0x8000_0007, 0, 0x8000_0000, 7, 9)
  const [first, second] = [create(1), create(1)]
  deepStrictEqual([first, second], [7, 9])
  equal(sessions.get(7, 1), undefined)
  ok(sessions.get(7, 0) !== undefined)
  sessions.remove(sessions.get(7, 0) as FetchSession)
  deepStrictEqual([sessions.size, sessions.partitions, sessions.get(7, 0)], [1, 1, undefined])
})

test("epochs count from 1, and never come to 0 again", () => {
  deepStrictEqual([0, 1, 0x7fff_fffe, 0x7fff_ffff, -1].map(nextEpoch), [1, 2, 0x7fff_ffff, 1, -1])
})

const asked = {
  fetchOffset: 0,
  partitionMaxBytes: 1,
  currentLeaderEpoch: -1,
  lastFetchedEpoch: -1,
  logStartOffset: -1,
  replicaDirectoryId: "",
  highWatermark: 0
}
