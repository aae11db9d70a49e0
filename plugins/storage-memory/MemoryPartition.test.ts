import assert from "node:assert/strict"
import { test } from "node:test"
import { type LogStart, type PartitionLimits, RecordBatchBuilder, recordBatch } from "../../core/mod.ts"
import { Ages } from "./Ages.ts"
import { MemoryBudget } from "./MemoryBudget.ts"
import { BATCH_BYTES, MemoryPartition, type MemoryPartitionParts } from "./MemoryPartition.ts"

const NO_LIMITS: PartitionLimits = {
  sizeBytesMax: Number.POSITIVE_INFINITY,
  recordsMax: Number.POSITIVE_INFINITY,
  ageMsMax: 0
}
const START: LogStart = { offset: 0, leaderEpoch: 0 }

/** What partitions share, with a clock that stands still. */
function partsOf(bytesMax = 1_000_000_000): MemoryPartitionParts {
  const budget = new MemoryBudget(bytesMax)
  const ages = new Ages({ monotonicMs: () => 0, after: () => ({ cancel: () => {} }) })
  return { budget, ages, monotonicMs: () => 0 }
}

function batchOf(valueBytes: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(valueBytes), 0, valueBytes)
  return builder.bytes.slice(0, builder.finish())
}

function append(partition: MemoryPartition, batch: Uint8Array): number {
  return partition.tryAppendUnsafe(batch, 0, batch.length, 1)
}

test("a log begins where it is told to, under the leader epoch that it is told", () => {
  const partition = new MemoryPartition(NO_LIMITS, partsOf(), { offset: 5_000, leaderEpoch: 7 })
  assert.equal(partition.logStartOffset, 5_000)
  assert.equal(append(partition, batchOf(1)), 5_000)
  assert.equal(partition.readUnsafe(4_999, 10), undefined)
  const stored = partition.readUnsafe(5_000, 10)
  assert.equal(stored === undefined ? -1 : recordBatch.partitionLeaderEpoch(stored, 0), 7)
})

test("where the budget is spent the largest pays: one that grows takes of it until neither holds much more than twice the other", () => {
  const parts = partsOf(100_000)
  const { budget } = parts
  const [small, quiet, busy] = [0, 1, 2].map(() => new MemoryPartition(NO_LIMITS, parts, START))
  assert.ok(small !== undefined && quiet !== undefined && busy !== undefined)
  for (let count = 0; count < 3; count++) append(small, batchOf(930))
  const smallBytes = small.sizeBytes
  for (let count = 0; count < 70; count++) append(quiet, batchOf(930))
  for (let count = 0; count < 500; count++) {
    append(busy, batchOf(930))
    assert.ok(budget.used <= budget.max)
    assert.equal(budget.used, small.heldBytes + quiet.heldBytes + busy.heldBytes)
  }
  assert.equal(small.sizeBytes, smallBytes)
  assert.ok(busy.heldBytes > 25_000 && quiet.heldBytes > 25_000, `${busy.heldBytes} and ${quiet.heldBytes}`)
  assert.equal(budget.trimmed.budget, 573 * batchOf(930).length - small.sizeBytes - quiet.sizeBytes - busy.sizeBytes)
})

test("the batch that came last stays where it alone is more than the budget; all others have gone then", () => {
  const parts = partsOf(65_536)
  const others = [0, 1, 2].map(() => new MemoryPartition(NO_LIMITS, parts, START))
  for (const other of others) for (let count = 0; count < 9; count++) append(other, batchOf(930))
  const large = new MemoryPartition(NO_LIMITS, parts, START)
  append(large, batchOf(10))
  assert.equal(append(large, batchOf(200_000)), 1)
  assert.equal(large.logStartOffset, 1)
  assert.ok((large.readUnsafe(1, 1)?.length ?? 0) > 200_000)
  for (const other of others) {
    assert.deepEqual([other.logStartOffset, other.logEndOffset, other.heldBytes], [9, 9, 0])
    assert.equal(other.readUnsafe(8, 10), undefined)
  }
  append(others[0] ?? large, batchOf(10))
  assert.equal(large.heldBytes, 0, "the next append has it pay, whoever's that is")
})

test("chunks grow with what the partition holds, and what is not used of them is a quarter of it at most", () => {
  const parts = partsOf()
  for (const sizeBytesMax of [20_000, 100_000, 1_048_576, 8_388_608]) {
    const partition = new MemoryPartition({ ...NO_LIMITS, sizeBytesMax }, parts, START)
    const batch = batchOf(700)
    for (let count = 0; count < (3 * sizeBytesMax) / batch.length; count++) append(partition, batch)
    const unused = partition.heldBytes - partition.sizeBytes * (1 + BATCH_BYTES / batch.length)
    assert.ok(unused <= Math.max(sizeBytesMax / 4, 2 * 2_048) + batch.length, `${unused} of ${sizeBytesMax}`)
    partition.close()
  }
  assert.equal(parts.budget.used, 0)
})

test("what a partition held comes back to the budget, however it went", async () => {
  const parts = partsOf()
  const { budget } = parts
  const partition = new MemoryPartition({ ...NO_LIMITS, sizeBytesMax: 10_000 }, parts, START)
  for (let count = 0; count < 100; count++) append(partition, batchOf(500))
  assert.equal(budget.used, partition.heldBytes)
  await partition.deleteBefore(partition.logEndOffset - 5)
  assert.equal(budget.used, partition.heldBytes)
  await partition.truncateTo(partition.logEndOffset - 2)
  assert.equal(budget.used, partition.heldBytes)
  await partition.deleteBefore(partition.logEndOffset)
  assert.equal(budget.used, 0)
  append(partition, batchOf(500))
  partition.close()
  partition.close()
  assert.equal(budget.used, 0)
  await partition.deleteBefore(1_000_000)
  await partition.truncateTo(0)
  assert.equal(budget.used, 0)
  assert.ok(append(partition, batchOf(1)) < 0)
  assert.equal(budget.used, 0)
})

test("many thousand batches later the log still finds every offset", () => {
  const partition = new MemoryPartition({ ...NO_LIMITS, recordsMax: 300 }, partsOf(), START)
  const batch = batchOf(10)
  for (let count = 0; count < 5_000; count++) append(partition, batch)
  assert.equal(partition.logStartOffset, 4_700)
  for (let offset = 4_700; offset < 5_000; offset++) {
    const view = partition.readUnsafe(offset, 1)
    assert.equal(view === undefined ? -1 : Buffer.from(view).readBigInt64BE(0), BigInt(offset))
  }
})

test("one read spans all batches of a chunk", () => {
  const partition = new MemoryPartition(NO_LIMITS, partsOf(), START)
  const batch = batchOf(10)
  for (let count = 0; count < 20; count++) append(partition, batch)
  assert.equal(partition.readUnsafe(0, 100_000)?.length, batch.length * 20)
})

test("memory of forgotten batches is given back", async () => {
  const partition = new MemoryPartition({ ...NO_LIMITS, sizeBytesMax: 2_000_000 }, partsOf(), START)
  const batch = batchOf(900_000)
  const collected = async (): Promise<number> => {
    for (let turn = 0; turn < 3; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      if ("Bun" in globalThis) Bun.gc(true)
    }
    return process.memoryUsage().external
  }
  const before = await collected()
  for (let count = 0; count < 150; count++) append(partition, batch)
  const grown = (await collected()) - before
  assert.ok(partition.sizeBytes <= 2_000_000)
  if ("Bun" in globalThis) assert.ok(grown < 20_000_000, `${grown} bytes more where 2,000,000 are held`)
})
