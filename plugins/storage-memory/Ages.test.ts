import assert from "node:assert/strict"
import { test } from "node:test"
import { type PartitionLimits, RecordBatchBuilder } from "../../core/mod.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { Ages, BATCHES_A_LOOK, BEHIND_MS, TICK_MS } from "./Ages.ts"
import { MemoryBudget } from "./MemoryBudget.ts"
import { MemoryPartition } from "./MemoryPartition.ts"

const AGE_MS = 60_000

function batch(): Uint8Array {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(20), 0, 20)
  return builder.bytes.slice(0, builder.finish())
}
const BATCH = batch()

/** Partitions that share a simulated clock, which is asked how many timers were set. */
function rig() {
  const simulation = new Simulation(1)
  const { clock } = simulation
  let timers = 0
  const ages = new Ages({
    monotonicMs: clock.monotonicMs,
    after: (delayMs, task) => {
      timers += 1
      return clock.after(delayMs, task)
    }
  })
  const budget = new MemoryBudget(1_000_000_000)
  const open = (ageMsMax = AGE_MS, limits: Partial<PartitionLimits> = {}): MemoryPartition =>
    new MemoryPartition(
      { sizeBytesMax: Number.POSITIVE_INFINITY, recordsMax: Number.POSITIVE_INFINITY, ageMsMax, ...limits },
      { budget, ages, monotonicMs: clock.monotonicMs },
      { offset: 0, leaderEpoch: 0 }
    )
  return { simulation, ages, budget, open, timers: () => timers }
}

function append(partition: MemoryPartition, count = 1): void {
  for (let index = 0; index < count; index++) partition.tryAppendUnsafe(BATCH, 0, BATCH.length, 1)
}

test("what has reached its age goes though nobody writes, the newest batch too, and the memory with it", () => {
  const { simulation, ages, budget, open } = rig()
  const partition = open()
  append(partition, 3)
  simulation.run(1_000)
  append(partition, 2)
  simulation.run(AGE_MS - 1)
  assert.equal(partition.logStartOffset, 0)
  simulation.run(AGE_MS + TICK_MS)
  assert.deepEqual([partition.logStartOffset, partition.logEndOffset], [3, 5])
  simulation.run(1_000 + AGE_MS + TICK_MS)
  assert.deepEqual([partition.logStartOffset, partition.logEndOffset, partition.sizeBytes], [5, 5, 0])
  assert.deepEqual([budget.used, budget.trimmed.age, ages.size], [0, 5 * BATCH.length, 0])
  assert.equal(partition.readUnsafe(4, 100), undefined)
  assert.equal(partition.readUnsafe(5, 100)?.length, 0)
  append(partition)
  assert.equal(partition.logEndOffset, 6)
  simulation.run(3 * AGE_MS)
  assert.equal(partition.logStartOffset, 6)
})

test("partitions that hold nothing, or for ever, are not waited for; one that rests is not looked at", () => {
  const { simulation, ages, open, timers } = rig()
  const partitions = Array.from({ length: 100 }, () => open())
  append(open(0), 10)
  simulation.run(10 * AGE_MS)
  assert.deepEqual([ages.size, timers(), simulation.eventCount], [0, 0, 0])
  for (const partition of partitions) append(partition, 100)
  simulation.run(10 * AGE_MS + AGE_MS - 1)
  assert.deepEqual([ages.size, timers(), simulation.eventCount], [100, 1, 0])
  simulation.run(20 * AGE_MS)
  assert.equal(ages.size, 0)
  assert.ok(partitions.every(({ logStartOffset }) => logStartOffset === 100))
})

test("one look goes through so many batches, however many are due; the rest follows soon", () => {
  const { simulation, open, budget } = rig()
  const partitions = [open(), open(), open()]
  for (const partition of partitions) append(partition, BATCHES_A_LOOK)
  const left = (): number =>
    budget.used === 0 ? 0 : partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / BATCH.length
  const seen = [left()]
  for (let ms = AGE_MS; ms < AGE_MS + TICK_MS + 20 * BEHIND_MS; ms++) {
    simulation.run(ms)
    if (left() !== seen.at(-1)) seen.push(left())
  }
  assert.deepEqual(
    seen,
    [3, 2, 1, 0].map((looks) => looks * BATCHES_A_LOOK)
  )
})

test("a partition of a shorter time is seen in its time beside those of longer ones; one that is closed never", () => {
  const { simulation, ages, open } = rig()
  const long = open(40 * 86_400_000)
  const closed = open(5_000)
  const short = open(5_000)
  for (const partition of [long, closed, short]) append(partition)
  closed.close()
  simulation.run(5_000 + TICK_MS)
  assert.deepEqual([long.logStartOffset, short.logStartOffset, closed.logStartOffset, ages.size], [0, 1, 0, 1])
  simulation.run(40 * 86_400_000 - 1)
  assert.equal(long.logStartOffset, 0)
  simulation.run(40 * 86_400_000 + TICK_MS)
  assert.equal(long.logStartOffset, 1)
})

test("random partitions of random ages: nothing goes early, and nothing stays longer than a tick", () => {
  const { simulation, open } = rig()
  const { chance, clock } = simulation
  const ages = [1_000, 3_000, 3_500, 20_000]
  const partitions = Array.from({ length: 30 }, (_, index) => {
    const ageMsMax = ages[index % ages.length] ?? 1
    return { partition: open(ageMsMax, index % 3 === 0 ? { recordsMax: 4 } : {}), ageMsMax, times: [] as Array<number> }
  })
  for (let step = 0; step < 3_000; step++) {
    const picked = partitions[chance.below(partitions.length)]
    assert.ok(picked !== undefined)
    append(picked.partition)
    picked.times.push(clock.monotonicMs())
    if (chance.below(10) === 0) void picked.partition.deleteBefore(picked.partition.logStartOffset + chance.below(3))
    simulation.run(clock.monotonicMs() + chance.below(100))
    const nowMs = clock.monotonicMs()
    for (const { partition, ageMsMax, times } of partitions) {
      const oldest = times[partition.logStartOffset]
      if (oldest !== undefined) assert.ok(nowMs - oldest <= ageMsMax + TICK_MS, "nothing stays longer")
    }
  }
  simulation.run(clock.monotonicMs() + 10_000)
  for (const { partition, ageMsMax, times } of partitions) {
    const kept = times.filter((at) => clock.monotonicMs() - at < ageMsMax - TICK_MS).length
    if (ageMsMax > 10_000)
      assert.ok(kept === 0 || partition.logEndOffset > partition.logStartOffset, "nothing goes early")
    else assert.equal(partition.sizeBytes, 0)
  }
})
