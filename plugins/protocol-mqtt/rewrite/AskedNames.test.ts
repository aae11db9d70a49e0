import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { AskedNames } from "./AskedNames.ts"

test("a name stands for one subscription; one without names left says so", () => {
  const asked = new AskedNames()
  asked.add("old/x", "new/x")
  asked.add("older/x", "new/x")
  assert.deepEqual([asked.filterOf("old/x"), asked.filterOf("new/x")], ["new/x", undefined])
  assert.deepEqual(asked.namesOf("new/x"), ["old/x", "older/x"])
  assert.deepEqual([asked.remove("old/x"), asked.has("new/x"), asked.count], [true, true, 1])
  assert.deepEqual([asked.remove("older/x"), asked.has("new/x"), asked.count], [false, false, 0])
  assert.equal(asked.remove("older/x"), false)
})

test("forgotten with their subscription, whatever came before", () => {
  const name = fc.constantFrom("a", "b", "c")
  const step = fc.record({ name, filter: fc.constantFrom("f", "g"), what: fc.constantFrom("add", "remove", "forget") })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const asked = new AskedNames()
      const model = new Map<string, string>()
      for (const { name: of, filter, what } of steps) {
        if (what === "add" && !model.has(of)) {
          asked.add(of, filter)
          model.set(of, filter)
        } else if (what === "remove") {
          asked.remove(of)
          model.delete(of)
        } else if (what === "forget") {
          asked.forget(filter)
          for (const [known, its] of model) if (its === filter) model.delete(known)
        }
        assert.equal(asked.count, model.size)
        for (const each of ["a", "b", "c"]) assert.equal(asked.filterOf(each), model.get(each))
        for (const each of ["f", "g"]) {
          const names = [...model].filter(([, its]) => its === each).map(([known]) => known)
          assert.deepEqual([...asked.namesOf(each)].toSorted(), names.toSorted())
          assert.equal(asked.has(each), names.length > 0)
        }
      }
    })
  )
})
