import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { JsonSchema } from "./description.ts"
import { itemLines, tableLines } from "./table.ts"

const schema: JsonSchema = {
  properties: {
    id: { type: "string" },
    size_bytes: { type: "integer" },
    nested: { type: "object" },
    verbs: { type: "array" }
  }
}

test("a table has the columns that the items' schema says, objects left out", () => {
  const items = [
    { id: "a", size_bytes: 12, nested: { x: 1 }, verbs: [{ name: "kick" }, { name: "stop" }] },
    { id: "long name", size_bytes: 0, nested: {}, verbs: [] },
    { id: "", unknown: true, verbs: [[1, null], { x: 1 }] }
  ]
  assert.deepEqual(tableLines(items, schema), [
    "ID         SIZE_BYTES  VERBS",
    "a          12          kick,stop",
    "long name  0           -",
    '""         -           1,-,{"x":1}'
  ])
})

test("a declared member that no item has is no column", () => {
  assert.deepEqual(tableLines([{ id: "a", nested: {} }, { verbs: [] }], schema), ["ID  VERBS", "a   -", "-   -"])
})

test("without a schema the columns are what the items hold; without items the head stands alone", () => {
  assert.deepEqual(tableLines([{ b: 1 }, { a: true }], {}), ["B  A", "1  -", "-  true"])
  assert.deepEqual(tableLines([], schema), ["ID  SIZE_BYTES  VERBS"])
})

test("a long cell is cut in a table and whole in an item", () => {
  const text = "x".repeat(100)
  assert.deepEqual(tableLines([{ id: text }], { properties: { id: {} } })[1]?.length, 80)
  assert.deepEqual(itemLines({ id: text }), [`id  ${text}`])
})

test("an item has a line for each value, however deep", () => {
  const item = {
    id: "a",
    tags: ["x", "y"],
    nodes: [
      { id: 1, listeners: [] },
      { id: 2, more: {} }
    ],
    none: null
  }
  assert.deepEqual(itemLines(item), [
    "id                 a",
    "tags               x,y",
    "nodes.0.id         1",
    "nodes.0.listeners  -",
    "nodes.1.id         2",
    "nodes.1.more       {}",
    "none               -"
  ])
  assert.deepEqual(itemLines("text"), ["text"])
  assert.deepEqual(itemLines({}), ["  {}"])
})

test("nothing that a terminal obeys is shown, whatever a broker sends", () =>
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, text) => {
      const items = [value, { [text]: text }, { id: [text] }, { id: { name: text } }]
      for (const line of [...tableLines(items, {}), ...items.flatMap((item) => itemLines(item))]) {
        assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f]/)
      }
    })
  ))
