import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { matches } from "./topic-filter.ts"
import { WantIndex } from "./WantIndex.ts"

const filters = ["a", "a/b", "a/+", "a/#", "#", "+/b", "c/d/e", "$x/#"]
const names = ["a", "a/b", "a/c", "c/d/e", "z", "$x/y"]

test("counts of sessions here and of other shards agree with a plain model", () => {
  const step = fc.record({
    filter: fc.constantFrom(...filters),
    who: fc.constantFrom("here", "shard 1", "shard 2"),
    add: fc.boolean()
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const index = new WantIndex(3, 3)
      const counts = new Map<string, number>()
      const remote = new Set<string>()
      for (const { filter, who, add } of steps) {
        if (who !== "here") {
          index.set(Number(who.slice(6)), filter, add)
          if (add) remote.add(`${who} ${filter}`)
          else remote.delete(`${who} ${filter}`)
          continue
        }
        const before = counts.get(filter) ?? 0
        if (add) assert.equal(index.add(filter), before === 0)
        else assert.equal(index.remove(filter), before === 1)
        counts.set(filter, Math.max(0, before + (add ? 1 : -1)))
      }
      const wanted = [...counts].flatMap(([filter, count]) => (count > 0 ? [filter] : []))
      for (const key of remote) wanted.push(key.slice(8))
      assert.equal(index.filterCount, new Set(wanted).size)
      assert.equal(index.isEmpty, wanted.length === 0)
      for (const name of names) {
        assert.equal(
          index.matches(name),
          wanted.some((filter) => matches(filter, name)),
          name
        )
      }
    })
  )
})
