import assert from "node:assert/strict"
import { test } from "node:test"
import { sumOf } from "./metrics.ts"

const PAGE = `# HELP manifold_journal_syncs_total Syncs of the journal
# TYPE manifold_journal_syncs_total counter
manifold_journal_syncs_total{shard="0"} 12
manifold_journal_syncs_total{shard="1",path="a } \\"b"} 30 1700000000000
manifold_journal_syncs_total_other{shard="0"} 1000
manifold_plain 7
manifold_broken{shard="0"} NaN
`

test("a counter is summed over its labels; names that only begin alike are others", () => {
  assert.equal(sumOf(PAGE, "manifold_journal_syncs_total"), 42)
  assert.equal(sumOf(PAGE, "manifold_plain"), 7)
})

test("what is not there is undefined, not 0", () => {
  assert.equal(sumOf(PAGE, "manifold_journal"), undefined)
  assert.equal(sumOf(PAGE, "manifold_broken"), undefined)
  assert.equal(sumOf("", "manifold_plain"), undefined)
})
