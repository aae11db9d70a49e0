import assert from "node:assert/strict"
import { test } from "node:test"
import { messageOf } from "../ingress/fakes.ts"
import { ArrayPartition } from "../log/fakes.ts"
import { PartitionLog } from "../log/PartitionLog.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { PublishedTopics, type PublishedTopicsLimits } from "./PublishedTopics.ts"
import type { TopicInfo } from "./TopicInfo.ts"

const LIMITS: PublishedTopicsLimits = {
  topicsMax: 4,
  creationsPerSecond: 10,
  sizeBytesMax: 10_000,
  topicSizeBytesMax: 5_000,
  topicRecordsMax: 100
}

function make(shards = 1, limits: Partial<PublishedTopicsLimits> = {}) {
  const simulation = new Simulation(1)
  const published = new PublishedTopics({ ...LIMITS, ...limits }, shards, simulation.clock)
  /** A topic that was written `bytes` at this moment. */
  const add = (name: string, bytes = 0): { log: PartitionLog; evicted: ReadonlyArray<string> } => {
    const info: TopicInfo = {
      tenant: 0,
      name,
      id: name,
      partitions: 1,
      engine: "memory",
      mode: "memory",
      origin: "publish"
    }
    const log = new PartitionLog(info, 0, new ArrayPartition(), {
      clock: simulation.clock,
      turn: new TurnLoop(simulation.clock)
    })
    const evicted = published.add(info, log).map((each) => each.name)
    log.takeUnsafe(messageOf("a", new Uint8Array(bytes)))
    return { log, evicted }
  }
  const pass = (delayMs: number): void => simulation.run(simulation.clock.monotonicMs() + delayMs)
  return { published, add, pass }
}

test("one topic's bounds", () => {
  assert.deepEqual(make().published.partitionLimits, { sizeBytesMax: 5_000, recordsMax: 100, ageMsMax: 0 })
})

test("creations: a burst of one second's worth, then at the rate, never more saved up than the burst", () => {
  const { published, pass } = make()
  const admitted = (tries: number): number =>
    Array.from({ length: tries }, () => published.admit()).filter(Boolean).length
  assert.equal(admitted(50), 10)
  assert.equal(published.refusedCount, 40)
  pass(99)
  assert.equal(admitted(5), 0)
  pass(1)
  assert.equal(admitted(5), 1)
  pass(300)
  assert.equal(admitted(50), 3)
  pass(3_600_000)
  assert.equal(admitted(50), 10)
})

test("a rate of many small steps is not lost to rounding", () => {
  const { published, pass } = make()
  while (published.admit());
  let count = 0
  for (let step = 0; step < 2_000; step++) {
    pass(1)
    if (published.admit()) count += 1
  }
  assert.ok(count >= 19 && count <= 20, String(count))
})

test("shards share the bounds, and each has one at least", () => {
  assert.equal([1, 2, 3, 4, 5].map(() => make(100).published).filter((published) => published.admit()).length, 5)
  const { published } = make(4)
  assert.equal(Array.from({ length: 9 }, () => published.admit()).filter(Boolean).length, 2)
  const { add } = make(4)
  assert.deepEqual(add("a").evicted, [])
  assert.deepEqual(add("b").evicted, ["a"])
})

test("beyond the number the least recently written goes, never the one that came", () => {
  const { published, add, pass } = make()
  const logs = ["a", "b", "c", "d"].map((name) => {
    pass(10)
    return add(name).log
  })
  pass(10)
  logs[0]?.takeUnsafe(messageOf("a", "again"))
  pass(10)
  assert.deepEqual(add("e").evicted, ["b"])
  assert.deepEqual(add("f").evicted, ["c"])
  assert.equal(published.count, 4)
  assert.equal(published.evictedCount, 2)
  assert.equal(published.createdCount, 6)
})

test("beyond the bytes the least recently written go until it fits; one may be as large as it is", () => {
  const { published, add, pass } = make(1, { topicsMax: 100 })
  for (const name of ["a", "b", "c"]) {
    pass(10)
    add(name, 3_000)
  }
  assert.deepEqual(published.census(), [])
  pass(10)
  add("d", 8_000)
  assert.deepEqual(
    published.census().map(({ name }) => name),
    ["a", "b", "c"]
  )
  assert.deepEqual(published.census(), [])
  pass(10)
  add("huge", 50_000)
  assert.deepEqual(
    published.census().map(({ name }) => name),
    ["d"]
  )
  assert.deepEqual(published.census(), [])
})

test("a topic that went by another way is not evicted again", () => {
  const { published, add } = make()
  for (const name of ["a", "b", "c", "d"]) add(name)
  published.remove("a")
  published.remove("a")
  assert.equal(published.count, 3)
  assert.deepEqual(add("e").evicted, [])
})
