import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { LEAF_LENGTH_MAX, OrderedValues } from "./OrderedValues.ts"

const text = fc.oneof(fc.constantFrom("", "a", "a/", "a/b", "a/b/c", "b", "é", "𝄞"), fc.string({ maxLength: 3 }))

test("it agrees with a sorted array, whatever is added, removed and paged", () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), text), { maxLength: 80 }), text, text, (steps, prefix, cursor) => {
      const ordered = new OrderedValues<string>((each) => each)
      const model = new Set<string>()
      for (const [isAdded, each] of steps) {
        assert.equal(isAdded ? ordered.add(each) : ordered.delete(each) === each, model.has(each) !== isAdded)
        if (isAdded) model.add(each)
        else model.delete(each)
        assert.equal(ordered.size, model.size)
        assert.equal(ordered.get(each), model.has(each) ? each : undefined)
      }
      const sorted = [...model].sort()
      assert.deepEqual([...ordered.from("")], sorted)
      assert.deepEqual(
        [...ordered.from(cursor)],
        sorted.filter((each) => each >= cursor)
      )
      const expected = sorted.filter((each) => each.startsWith(prefix) && (cursor === "" || each > cursor))
      assert.deepEqual([...ordered.page(prefix, cursor)], expected)
    })
  ))

test("many leaves are cut and go, in any order of coming", () => {
  const names = Array.from({ length: LEAF_LENGTH_MAX * 8 }, (_, index) => `t${String(index).padStart(6, "0")}`)
  for (const step of [1, 2_053, names.length - 1]) {
    const ordered = new OrderedValues<string>((each) => each)
    for (let index = 0; index < names.length; index++) ordered.add(names[(index * step) % names.length] ?? "")
    assert.deepEqual([...ordered.from("")], names)
    const page: Array<string> = []
    for (const name of ordered.page("t", names[4_000] ?? "")) {
      page.push(name)
      if (page.length === 3) break
    }
    assert.deepEqual(page, names.slice(4_001, 4_004))
    for (const name of names.slice(0, -1)) assert.equal(ordered.delete(name), name)
    assert.deepEqual([...ordered.from("")], names.slice(-1))
    assert.equal(ordered.delete(names.at(-1) ?? ""), names.at(-1))
    assert.deepEqual([...ordered.from("")], [])
    assert.equal(ordered.add("again"), true)
  }
})
