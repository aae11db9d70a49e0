import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { IdTable } from "./IdTable.ts"

/** The ids with a hash, in order. */
function idsOf(table: IdTable, hash: number): ReadonlyArray<number> {
  const segment = table.segment(hash)
  const { words } = segment
  const found: Array<number> = []
  for (let slot = segment.first(hash); words[2 * slot + 1] !== 0; slot = segment.next(slot)) {
    if (words[2 * slot] === (hash | 0)) found.push((words[2 * slot + 1] as number) - 1)
  }
  return found.sort((one, other) => one - other)
}

test("any changes leave what a map of sets holds, with hashes that are alike and such that are the same", () => {
  // Few first bits and few last ones: what falls into one segment, and on one place.
  const hash = fc
    .record({ high: fc.nat({ max: 7 }), low: fc.nat({ max: 3 }) })
    .map(({ high, low }) => (high << 29) | low)
  // An id has one hash for good.
  const step = fc.record({ isAdd: fc.boolean(), hash, id: fc.nat({ max: 40 }) }).map(({ isAdd, hash, id }) => {
    return { isAdd, hash, id: id * 32 + (hash >>> 29) * 4 + (hash & 3) }
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const table = new IdTable()
      const model = new Map<number, Set<number>>()
      const size = (): number => [...model.values()].reduce((sum, ids) => sum + ids.size, 0)
      for (const { isAdd, hash, id } of steps) {
        const ids = model.get(hash) ?? new Set()
        model.set(hash, ids)
        if (isAdd !== ids.has(id)) {
          if (isAdd) table.add(hash, id)
          else table.remove(hash, id)
          if (isAdd) ids.add(id)
          else ids.delete(id)
        }
        assert.equal(table.count, size())
      }
      for (const [hash, ids] of model) {
        assert.deepEqual(
          idsOf(table, hash),
          [...ids].sort((one, other) => one - other)
        )
      }
    }),
    { numRuns: 300 }
  )
})

test("many ids are found again while it grows and while it empties, and an empty one is small", () => {
  const table = new IdTable()
  const empty = table.sizeBytes
  const hashOf = (id: number): number => Math.imul(id, 0x9e3779b1) | 0
  const COUNT = 60_000
  for (let id = 0; id < COUNT; id++) {
    table.add(hashOf(id), id)
    if (id % 1000 === 0) for (let each = 0; each <= id; each += 97) assert.deepEqual(idsOf(table, hashOf(each)), [each])
  }
  assert.ok(table.sizeBytes / COUNT < 16, `${table.sizeBytes / COUNT} bytes an id`)
  for (let id = 0; id < COUNT; id++) {
    table.remove(hashOf(id), id)
    assert.deepEqual(idsOf(table, hashOf(id)), [])
  }
  assert.deepEqual([table.count, table.sizeBytes], [0, empty])
})

test("many ids of one hash stay in one segment, which grows", () => {
  const table = new IdTable()
  for (let id = 0; id < 5_000; id++) table.add(7, id)
  for (let id = 0; id < 100; id++) table.add(-7, id)
  assert.equal(idsOf(table, 7).length, 5_000)
  assert.equal(idsOf(table, -7).length, 100)
  assert.ok(table.sizeBytes < 2_000_000, `${table.sizeBytes} bytes`)
})

test("only what was added by a hash is removed by it", () => {
  const table = new IdTable()
  table.add(7, 1)
  assert.throws(() => table.remove(0x7007, 1), /hash/)
})
