import assert from "node:assert/strict"
import { test } from "node:test"
import { type PartitionLimits, RecordBatchBuilder } from "../../core/mod.ts"
import { MemoryBudget } from "./MemoryBudget.ts"
import { MemoryPartition } from "./MemoryPartition.ts"

const NO_LIMITS: PartitionLimits = {
  sizeBytesMax: Number.POSITIVE_INFINITY,
  recordsMax: Number.POSITIVE_INFINITY,
  ageMsMax: 0
}
const AMPLE = (): MemoryBudget => new MemoryBudget(1_000_000_000, 65_536)

function batchOf(valueBytes: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(valueBytes), 0, valueBytes)
  return builder.bytes.slice(0, builder.finish())
}

function append(partition: MemoryPartition, batch: Uint8Array): number {
  return partition.tryAppendUnsafe(batch, 0, batch.length, 1)
}

test("a partition may begin above what was given out before a restart", () => {
  const partition = new MemoryPartition(NO_LIMITS, AMPLE(), () => 0, 5_000)
  assert.equal(partition.logStartOffset, 5_000)
  assert.equal(append(partition, batchOf(1)), 5_000)
  assert.equal(partition.readUnsafe(4_999, 10), undefined)
})

test("with the common budget spent the partition that grows is cut, but not below its share", () => {
  const budget = new MemoryBudget(100_000, 20_000)
  const quiet = new MemoryPartition(NO_LIMITS, budget, () => 0)
  const busy = new MemoryPartition(NO_LIMITS, budget, () => 0)
  for (let count = 0; count < 70; count++) append(quiet, batchOf(930))
  const quietBytes = quiet.sizeBytes
  for (let count = 0; count < 500; count++) {
    append(busy, batchOf(930))
    assert.ok(budget.used <= budget.max || busy.sizeBytes <= budget.share)
  }
  assert.equal(quiet.sizeBytes, quietBytes)
  assert.equal(budget.used, quiet.sizeBytes + busy.sizeBytes)
  assert.ok(busy.sizeBytes > 20_000 && busy.sizeBytes < 40_000)
})

test("what a partition held comes back to the budget, however it went", async () => {
  const budget = AMPLE()
  const partition = new MemoryPartition({ ...NO_LIMITS, sizeBytesMax: 10_000 }, budget, () => 0)
  for (let count = 0; count < 100; count++) append(partition, batchOf(500))
  assert.equal(budget.used, partition.sizeBytes)
  await partition.deleteBefore(partition.logEndOffset - 5)
  assert.equal(budget.used, partition.sizeBytes)
  await partition.truncateTo(partition.logEndOffset - 2)
  assert.equal(budget.used, partition.sizeBytes)
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
  const partition = new MemoryPartition({ ...NO_LIMITS, recordsMax: 300 }, AMPLE(), () => 0)
  const batch = batchOf(10)
  for (let count = 0; count < 5_000; count++) append(partition, batch)
  assert.equal(partition.logStartOffset, 4_700)
  for (let offset = 4_700; offset < 5_000; offset++) {
    const view = partition.readUnsafe(offset, 1)
    assert.equal(view === undefined ? -1 : Buffer.from(view).readBigInt64BE(0), BigInt(offset))
  }
})

test("one read spans all batches of a chunk", () => {
  const partition = new MemoryPartition(NO_LIMITS, AMPLE(), () => 0)
  const batch = batchOf(10)
  for (let count = 0; count < 20; count++) append(partition, batch)
  assert.equal(partition.readUnsafe(0, 100_000)?.length, batch.length * 20)
})

test("memory of forgotten batches is given back", async () => {
  const partition = new MemoryPartition({ ...NO_LIMITS, sizeBytesMax: 2_000_000 }, AMPLE(), () => 0)
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
