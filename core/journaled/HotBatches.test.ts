import assert from "node:assert/strict"
import { test } from "node:test"
import { type Batch, makeBatch } from "./Batch.ts"
import { HotBatches } from "./HotBatches.ts"
import type { JournaledPartition } from "./JournaledPartition.ts"

function make(bytesMax: number) {
  const evicted: Array<number> = []
  const partition = { evicted: ({ base }: Batch) => evicted.push(base) } as unknown as JournaledPartition
  const hot = new HotBatches(bytesMax)
  const batches = Array.from({ length: 8 }, (_, base) =>
    makeBatch({
      partition,
      base,
      next: base + 1,
      bytes: new Uint8Array(800),
      index: 1,
      durability: "persistent",
      appendedAtMs: 0
    })
  )
  return {
    hot,
    evicted,
    add: (...bases: ReadonlyArray<number>) => {
      for (const base of bases) hot.add(batches[base] as Batch)
    },
    batches
  }
}

test("those that were used the longest ago go first, and the bound holds", () => {
  const { hot, evicted, add, batches } = make(3_000)
  add(0, 1, 2)
  assert.deepEqual([hot.bytes, evicted], [3_000, []])
  hot.touch(batches[0] as Batch)
  add(3)
  assert.deepEqual([hot.bytes, evicted], [3_000, [1]])
  // Twice is once, and one that is not kept is not used.
  add(3)
  hot.touch(batches[1] as Batch)
  add(4)
  assert.deepEqual([hot.bytes, evicted], [3_000, [1, 2]])
  add(5)
  assert.deepEqual(evicted, [1, 2, 0])
})

test("what is removed takes no room, wherever it stood", () => {
  const { hot, evicted, add, batches } = make(3_000)
  add(0, 1, 2)
  for (const base of [1, 1, 0, 2]) hot.remove(batches[base] as Batch)
  assert.deepEqual([hot.bytes, evicted], [0, []])
  add(3, 4, 5)
  hot.remove(batches[5] as Batch)
  add(6, 7)
  assert.deepEqual([hot.bytes, evicted], [3_000, [3]])
})
