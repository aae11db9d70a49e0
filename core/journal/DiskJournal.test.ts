import assert from "node:assert/strict"
import { test } from "node:test"
import { NotingConsumer, openRig } from "./fakes.ts"

test("what is submitted in a turn is one entry, committed after a sync, and there again after a restart", async () => {
  const rig = await openRig()
  const first = rig.journal.nextIndex
  assert.deepEqual([rig.put("a"), rig.put("b")], [1, 2])
  assert.equal(rig.journal.tickets.committed, 0)
  await rig.settle()
  assert.equal(rig.journal.tickets.committed, 2)
  assert.equal(rig.journal.nextIndex, first + 1)
  assert.equal(rig.journal.syncedIndex, first)
  await rig.close()
  const again = await openRig({ files: rig.files })
  assert.deepEqual(
    again.consumer.replayed.map(({ index, text }) => [index, text]),
    [
      [first, "a"],
      [first, "b"]
    ]
  )
  assert.deepEqual(again.log.lines, [])
  await again.close()
})

test("many segments: all comes back in order; what was applied is recycled", async () => {
  const rig = await openRig()
  for (let count = 0; count < 60; count++) {
    rig.put(`message ${count} ${"x".repeat(40)}`)
    await rig.settle()
  }
  assert.equal(rig.journal.tickets.committed, 60)
  assert.ok(rig.journal.segments > 4)
  assert.ok(rig.consumer.checkpoints > 0)
  await rig.close()
  const consumer = new NotingConsumer()
  const again = await openRig({ files: rig.files, consumer })
  assert.equal(consumer.replayed.length, 60)
  consumer.appliedIndex = again.journal.syncedIndex
  again.journal.released()
  await again.settle()
  assert.equal(again.journal.segments, 1)
  await again.close()
})
