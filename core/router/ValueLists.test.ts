import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { ValueLists } from "./ValueLists.ts"

const values = Array.from({ length: 24 }, (_, id) => ({ id }))

test("any changes leave what sets hold, with few values and with many", () => {
  const step = fc.record({
    kind: fc.constantFrom("add", "add", "remove", "replace"),
    id: fc.nat({ max: 1 }),
    value: fc.constantFrom(...values),
    other: fc.constantFrom(...values)
  })
  // Half the runs begin with a full list, so that places are kept from the first step on.
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 120, size: "max" }), (isFull, steps) => {
      const lists = new ValueLists<{ readonly id: number }>()
      const model = [new Set<{ readonly id: number }>(), new Set<{ readonly id: number }>()]
      if (isFull) {
        for (const value of values) {
          lists.add(0, value)
          model[0]?.add(value)
        }
      }
      for (const { kind, id, value, other } of steps) {
        const set = model[id] ?? new Set()
        if (kind === "add") {
          assert.strictEqual(lists.add(id, value), !set.has(value))
          set.add(value)
        } else if (kind === "remove") assert.strictEqual(lists.remove(id, value), set.delete(value))
        else if (value !== other) {
          const isDone = set.has(value) && !set.has(other)
          assert.strictEqual(lists.replace(id, value, other), isDone)
          if (isDone) {
            set.delete(value)
            set.add(other)
          }
        }
        const found = lists.valuesOf(id)
        assert.strictEqual(found.length, set.size)
        assert.deepStrictEqual(new Set(found), set)
        assert.strictEqual(lists.isEmpty(id), set.size === 0)
        assert.strictEqual(lists.valueCount, (model[0]?.size ?? 0) + (model[1]?.size ?? 0))
      }
    }),
    { numRuns: 1000 }
  )
})
