/** When which partition is compacted, and what is told of it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { SegmentLimits } from "../log/CompactionStore.ts"
import { type Engine, StorageError, Unusable } from "../log/Engines.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { systemClock, systemRandom } from "../platform/system.ts"
import type { LogShape } from "../telemetry/Log.ts"
import { retentionLimits } from "../topics/retention-limits.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import type { TopicConfigs } from "../topics/topic-settings.ts"
import { Compactions } from "./Compactions.ts"
import { keyedBatch, keyedRecords, MemoryCompaction } from "./fakes.ts"

const NOW = 10_000_000

/** A store of logs by topic id, of which the test may see and change everything. */
class Stores {
  readonly logs = new Map<string, MemoryCompaction>()
  readonly limits: Array<SegmentLimits> = []
  fault = ""

  readonly engine = {
    compaction: {
      survey: async ({ topicId }: { topicId: string }, limits: SegmentLimits) => {
        this.limits.push(limits)
        if (this.fault !== "") {
          throw new StorageError({ engine: "test", reason: new Unusable({ message: this.fault }) })
        }
        return this.logs.get(topicId)?.surveyed()
      },
      read: async ({ topicId }: { topicId: string }, ...rest: [number, number, number]) =>
        (await this.logs.get(topicId)?.read(undefined, ...rest)) ?? new Uint8Array(0),
      replace: async ({ topicId }: { topicId: string }, from: number) =>
        this.logs.get(topicId)?.replace(undefined, from)
    }
  } as unknown as Engine
}

interface Options {
  readonly ownedPartition?: number
}

function make(configsOf: Record<string, TopicConfigs>, { ownedPartition = 0 }: Options = {}) {
  const stores = new Stores()
  const topics = new Map<string, TopicInfo>()
  const set = (id: string, configs: TopicConfigs): void => {
    const facts = { tenant: 0, name: id, id, partitions: 2, engine: "test", mode: "hybrid", origin: "kafka" } as const
    topics.set(id, { ...facts, configs })
  }
  for (const [id, configs] of Object.entries(configsOf)) set(id, configs)
  const time = { nowMs: NOW, monotonicMs: 0 }
  const clock: ClockShape = { ...systemClock, nowMs: () => time.nowMs, monotonicMs: () => time.monotonicMs }
  const lines: Array<string> = []
  const keep = (_area: string, message: string, fields: object = {}) =>
    void lines.push(`${message} ${JSON.stringify(fields)}`)
  const log: LogShape = { debug: keep, info: keep, warn: keep, error: keep, isEnabled: () => true }
  const compactions = new Compactions({
    engines: { get: () => stores.engine },
    topics: () => topics.values(),
    findById: (id) => topics.get(id),
    isOwned: (_info, partition) => partition === ownedPartition,
    clock,
    random: systemRandom,
    log,
    limits: { offsetMapBytes: 100_000, bytesPerSecond: Number.POSITIVE_INFINITY, intervalMs: 1_000 }
  })
  /** As housekeeping does it, until nothing is under way. */
  const housekeep = async (): Promise<void> => {
    compactions.housekeep()
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  return { stores, topics, set, time, lines, compactions, housekeep }
}

/** `clean` batches that are compacted, and `dirty` ones of the keys "0", "1" and so on behind them. */
function logOf(clean: number, dirty: number, timestamp = NOW): MemoryCompaction {
  const batches = Array.from({ length: clean + dirty + 1 }, (_, at) => {
    const key = at < clean ? `clean-${at}` : at < clean + dirty ? `${(at - clean) % 2}` : "active"
    return keyedBatch(at, [{ key, value: "value", timestamp }])
  })
  const log = new MemoryCompaction(batches, 100)
  log.cleanedTo = clean
  return log
}

const COMPACT = { "cleanup.policy": "compact" }

test("a log is compacted when more than the ratio of it is new, and not before", async () => {
  const { stores, housekeep, compactions, time } = make({ few: COMPACT, many: COMPACT, other: {} })
  stores.logs.set("few", logOf(10, 9))
  stores.logs.set("many", logOf(10, 12))
  stores.logs.set("other", logOf(0, 20))
  await housekeep()
  assert.deepEqual([compactions.partitions, compactions.counts.runs], [2, 1])
  assert.equal(stores.logs.get("many")?.cleanedTo, 22)
  assert.equal(stores.logs.get("few")?.cleanedTo, 10)
  assert.equal(stores.logs.get("other")?.commits, 0)
  assert.equal(compactions.counts.recordsRemoved, 10)
  assert.ok(compactions.dirtyRatioMax > 0.4 && compactions.dirtyRatioMax < 0.5, `${compactions.dirtyRatioMax}`)
  // Nothing is looked at again before its time.
  const surveys = stores.limits.length
  await housekeep()
  assert.equal(stores.limits.length, surveys)
  time.monotonicMs += 1_000
  await housekeep()
  assert.ok(stores.limits.length > surveys)
})

test("the one that needs it most comes first; one that is late before all", async () => {
  const late = { ...COMPACT, "max.compaction.lag.ms": "1000", "min.cleanable.dirty.ratio": "1" }
  const { stores, housekeep, lines } = make({ some: COMPACT, most: COMPACT, late })
  stores.logs.set("some", logOf(10, 15))
  stores.logs.set("most", logOf(10, 30))
  stores.logs.set("late", logOf(10, 2, NOW - 1_001))
  for (let round = 0; round < 3; round++) await housekeep()
  const order = lines.map((line) => /"topic":"(\w+)"/.exec(line)?.[1])
  assert.deepEqual(order, ["late", "most", "some"])
  assert.match(lines[1] ?? "", /a log was compacted \{"topic":"most","partition":0,"from":10,"to":40,"keys":2,/)
  assert.ok(
    stores.limits.some(({ ageMsMax }) => ageMsMax === 1_000),
    "a segment ends in time"
  )
})

test("settings count as they are when a round begins: a topic that is not compacted any more is left alone", async () => {
  const { stores, set, topics, housekeep, compactions, time } = make({ t: COMPACT })
  const log = logOf(0, 2, NOW - 50)
  stores.logs.set("t", log)
  set("t", { ...COMPACT, "min.compaction.lag.ms": "100", "segment.ms": "7", "segment.bytes": "9" })
  await housekeep()
  assert.deepEqual([log.commits, stores.limits.at(-1)], [0, { ageMsMax: 7, sizeBytesMax: 9 }])
  time.monotonicMs += 3_999
  await housekeep()
  assert.equal(stores.limits.length, 1, "what is too young is not read again at once")
  set("t", COMPACT)
  time.monotonicMs += 1
  await housekeep()
  assert.ok(log.commits > 0)
  const { commits } = log
  log.batches = [
    ...log.batches,
    keyedBatch(endOffsetOf(log.batches.at(-1) as Uint8Array, 0), [{ key: "0", value: "v", timestamp: 1 }])
  ]
  log.activeFrom += 1
  log.cleanedTo = 0
  set("t", { "cleanup.policy": "delete" })
  time.monotonicMs += 1_000
  await housekeep()
  assert.deepEqual([log.commits, compactions.partitions], [commits, 0])
  topics.clear()
  await housekeep()
})

test("what fails is told once, counted, and tried again after longer and longer", async () => {
  const { stores, housekeep, compactions, lines, time } = make({ t: COMPACT })
  stores.logs.set("t", logOf(0, 9))
  stores.fault = "the disk is full"
  for (const waitMs of [0, 1_000, 2_000, 4_000]) {
    time.monotonicMs += waitMs
    await housekeep()
  }
  assert.equal(compactions.counts.failures, 4)
  assert.deepEqual(lines, [
    'a log could not be compacted now; it is tried again {"topic":"t","partition":0,"reason":"the disk is full"}'
  ])
  time.monotonicMs += 7_999
  await housekeep()
  assert.equal(compactions.counts.failures, 4)
  stores.fault = ""
  time.monotonicMs += 1
  await housekeep()
  assert.equal(compactions.counts.runs, 1)
  assert.equal(keyedRecords(stores.logs.get("t")?.batches ?? []).length, 3)
})

test("a round ends when the shard does, between two batches", async () => {
  const { stores, compactions } = make({ t: COMPACT })
  const log = logOf(0, 3_000)
  stores.logs.set("t", log)
  compactions.housekeep()
  await new Promise((resolve) => setImmediate(resolve))
  await compactions.close()
  const { commits } = log
  compactions.housekeep()
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(log.commits, commits)
})

test("from a topic that is compacted alone retention takes nothing; from one that is trimmed, too, what it took before", () => {
  const info = { tenant: 0, name: "t", id: "t", partitions: 1, engine: "e", mode: "hybrid", origin: "kafka" } as const
  const retention = { ms: 5, bytes: 7 }
  const limitsOf = (policy: string) => retentionLimits({ ...info, retention, configs: { "cleanup.policy": policy } })
  assert.deepEqual(limitsOf("compact"), {
    sizeBytesMax: Number.POSITIVE_INFINITY,
    recordsMax: Number.POSITIVE_INFINITY,
    ageMsMax: 0
  })
  for (const policy of ["delete", "compact,delete"]) {
    assert.deepEqual([limitsOf(policy).ageMsMax, limitsOf(policy).sizeBytesMax], [5, 7], policy)
  }
})
