import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { shown } from "./output.ts"

test("what would act on a terminal, or turn the order of what is shown, is written out", () => {
  assert.equal(shown("a\u001b[31mred\u0007\u009b1m\u202eb"), "a\\u001b[31mred\\u0007\\u009b1m\\u202eb")
  assert.equal(shown("line\n\ttab, ü, 漢字, 🚀"), "line\n\ttab, ü, 漢字, 🚀")
})

test("JSON stays JSON, and means the same", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.deepEqual(JSON.parse(shown(JSON.stringify(value))), JSON.parse(JSON.stringify(value)))
    })
  )
})
