import assert from "node:assert/strict"
import { after, test } from "node:test"
import { KIND_META } from "../../core/mod.ts"
import { append, Bench, batchOf, DIRECTORY, keyOf, makeDisk, readAll, SEGMENTS } from "./testing.ts"

const bench = new Bench()
after(() => bench.close())
const NOTHING = new Uint8Array(0)

test("a store that holds no partition keeps up with the journal, and takes one afterwards", async () => {
  const files = makeDisk()
  const store = await bench.open(files)
  assert.deepEqual(
    [...files.names()].filter((name) => name.startsWith(`${SEGMENTS}/`)),
    [],
    "opening writes nothing"
  )
  for (let round = 0; round < 3; round++) {
    store.journal.submitOperation(KIND_META, "persistent", Uint8Array.of(1, 2), NOTHING, 0, 0)
    await store.journal.whenSynced(store.journal.nextIndex)
    await store.store.checkpoints.flush()
    assert.equal(store.store.checkpoints.appliedIndex, store.journal.syncedIndex)
  }
  assert.deepEqual([store.store.checkpoints.failures, store.lines], [0, []])
  const partition = await bench.partition(store, keyOf("late"))
  const bytes = await append(partition, batchOf([1, 2, 3], 50))
  await store.store.checkpoints.flush()
  assert.deepEqual(await readAll(partition), bytes)
  assert.ok(files.directories.has(`${DIRECTORY}/segments/1`))
})
