/** docs/mqtt-conformance.md and the tests say the same: each row has a test that carries its id, each id in a test has a row. */
import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { MUTANTS } from "../mutants/mutants.ts"

const ROOT = join(import.meta.dirname, "../..")
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8")
const ID = /MQTT-\d+\.\d+\.\d+-\d+[a-z]?(?: of 3\.1\.1)?/g

const rows = [...read("docs/mqtt-conformance.md").matchAll(/^\| (MQTT-[^|]+?) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, id = "", asks = "", test = ""]) => ({ id, asks: asks.trim(), test: test.trim() })
)
/** Ids in the titles of tests, with the files that they stand in. */
const carried = new Map<string, Set<string>>()
for (const file of readdirSync(join(ROOT, "tests/conformance"))) {
  if (!file.endsWith(".test.ts") || file === "table.test.ts") continue
  for (const [, , title = ""] of read(`tests/conformance/${file}`).matchAll(
    /\btest\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g
  )) {
    for (const [id] of title.matchAll(ID)) carried.set(id, (carried.get(id) ?? new Set()).add(file))
  }
}

test("each row names a file of tests/conformance in which a test carries its id", () => {
  assert.ok(rows.length > 100, `${rows.length} rows`)
  for (const { id, test: file } of rows) {
    assert.ok(carried.get(id)?.has(file) === true, `${id}: no test of ${file} carries it`)
  }
})

test("each id that a test carries has one row", () => {
  for (const id of carried.keys()) {
    assert.equal(rows.filter((row) => row.id === id).length, 1, `rows of ${id}`)
  }
})

test("each mutant can be applied, and is about statements that tests carry", () => {
  assert.ok(MUTANTS.length >= 60, `${MUTANTS.length} mutants`)
  for (const { statements, file, find, replace } of MUTANTS) {
    assert.equal(read(file).split(find).length - 1, 1, `in ${file}: ${find}`)
    assert.notEqual(find, replace)
    assert.ok(statements.length > 0)
    for (const id of statements) assert.ok(carried.has(id), `${id} of a mutant in ${file}`)
  }
})
