import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { SlowTable } from "./SlowTable.ts"

const delay = (wholeMs: number) => ({ wholeMs, insideMs: wholeMs / 2 })
const shown = (table: SlowTable, nowMs: number): ReadonlyArray<string> =>
  table
    .list(nowMs)
    .map(({ clientIdentifier, topic, wholeMs, count }) => `${clientIdentifier} ${topic} ${wholeMs} ${count}`)

test("the slowest by client and topic, each with its longest way and how often", () => {
  const table = new SlowTable(3, 1_000)
  table.note("a", "t", delay(50), 0)
  table.note("a", "t", delay(90), 1)
  table.note("a", "t", delay(70), 2)
  table.note("a", "u", delay(60), 3)
  table.note("b", "t", delay(95), 4)
  assert.deepEqual(shown(table, 5), ["b t 95 1", "a t 90 3", "a u 60 1"])
  table.note("c", "t", delay(60), 5)
  assert.deepEqual(shown(table, 5).length, 3, "not slower than the least slow")
  table.note("c", "t", delay(61), 6)
  assert.deepEqual(shown(table, 6), ["b t 95 1", "a t 90 3", "c t 61 1"])
  assert.equal(table.slowCount, 7)
  assert.equal(table.list(6)[0]?.insideMs, 47.5)
})

test("what was not slow for a while is forgotten, and makes room", () => {
  const table = new SlowTable(2, 100)
  table.note("a", "t", delay(90), 0)
  table.note("b", "t", delay(80), 50)
  table.note("a", "t", delay(10), 60)
  table.note("c", "t", delay(5), 150)
  assert.deepEqual(shown(table, 150), ["a t 90 2"])
  table.note("c", "t", delay(5), 155)
  assert.deepEqual(shown(table, 155), ["a t 90 2", "c t 5 1"])
  assert.deepEqual(shown(table, 160), ["c t 5 1"])
  table.clear()
  assert.deepEqual(shown(table, 160), [])
})

test("as a list of all would say, where nothing expires", () => {
  const note = fc.record({ client: fc.constantFrom("a", "b", "c", "d", "e"), ms: fc.integer({ min: 1, max: 50 }) })
  fc.assert(
    fc.property(fc.array(note, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (notes, top) => {
      const table = new SlowTable(top, 1_000_000)
      const longest = new Map<string, number>()
      for (const { client, ms } of notes) {
        table.note(client, "t", delay(ms), 0)
        longest.set(client, Math.max(ms, longest.get(client) ?? 0))
      }
      const expected = [...longest.values()].toSorted((one, other) => other - one).slice(0, top)
      assert.deepEqual(
        table.list(0).map(({ wholeMs }) => wholeMs),
        expected
      )
    })
  )
})
