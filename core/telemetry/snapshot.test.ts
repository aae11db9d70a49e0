import assert from "node:assert/strict"
import { test } from "node:test"
import { addCells, type FamilySnapshot, type MetricsSnapshot, mergeSnapshots, seriesNames } from "./snapshot.ts"

const family = (more: Partial<FamilySnapshot> = {}): FamilySnapshot => ({
  type: "gauge",
  help: "G",
  bounds: [],
  series: new Map([["", [1]]]),
  ...more
})
const histogram = (bounds: ReadonlyArray<number>): FamilySnapshot =>
  family({ type: "histogram", bounds, series: new Map([["", [...bounds.map(() => 1), 0, 5]]]) })

/** What a merge holds, as plain values: name, type, bounds, cells of the series without labels. */
function merge(...snapshots: ReadonlyArray<MetricsSnapshot>): unknown {
  const { merged, conflicts } = mergeSnapshots(snapshots)
  const families = [...merged].map(([name, { type, bounds, series }]) => [name, type, bounds, series.get("")])
  return { families, conflicts }
}

const of = (name: string, value: FamilySnapshot): MetricsSnapshot => new Map([[name, value]])

test("a histogram is rendered as four names, the others as their own", () => {
  assert.deepEqual(seriesNames("a", "histogram"), ["a", "a_bucket", "a_sum", "a_count"])
  assert.deepEqual(seriesNames("a", "gauge"), ["a"])
})

test("cells are added one by one, and belong to the sum alone", () => {
  const sums = new Map<string, Array<number>>()
  const first = [1, 2, 3]
  addCells(sums, "x", first)
  addCells(sums, "x", [10, 20, 30])
  addCells(sums, "y", [5])
  assert.deepEqual(
    [...sums],
    [
      ["x", [11, 22, 33]],
      ["y", [5]]
    ]
  )
  assert.deepEqual(first, [1, 2, 3])
})

test("nothing merged is nothing; equal families become one", () => {
  assert.deepEqual(merge(), { families: [], conflicts: 0 })
  const both = merge(of("a", family()), new Map([...of("a", family()), ...of("b", family())]))
  assert.deepEqual(both, {
    families: [
      ["a", "gauge", [], [2]],
      ["b", "gauge", [], [1]]
    ],
    conflicts: 0
  })
  assert.deepEqual(merge(of("h", histogram([1, 2])), of("h", histogram([1, 2]))), {
    families: [["h", "histogram", [1, 2], [2, 2, 0, 10]]],
    conflicts: 0
  })
})

const contradictions: ReadonlyArray<readonly [what: string, first: MetricsSnapshot, second: MetricsSnapshot]> = [
  ["its type", of("a", family()), of("a", family({ type: "counter" }))],
  ["its help text", of("a", family()), of("a", family({ help: "Another" }))],
  ["a bound", of("a", histogram([1, 2])), of("a", histogram([1, 3]))],
  ["more bounds", of("a", histogram([1])), of("a", histogram([1, 2]))],
  ["fewer bounds", of("a", histogram([1, 2])), of("a", histogram([1]))],
  ["a name of its series", of("a", histogram([1])), of("a_count", family())],
  ["a name that it would be rendered as", of("a_bucket", family()), of("a", histogram([1]))]
]
for (const [what, first, second] of contradictions) {
  test(`a family that differs in ${what} is left out and counted; the first one holds`, () => {
    const { conflicts, ...alone } = mergeSnapshots([first])
    assert.equal(conflicts, 0)
    assert.deepEqual(mergeSnapshots([first, second]), { ...alone, conflicts: 1 })
  })
}

test("merging leaves what was merged as it was", () => {
  const given = of("a", family())
  merge(given, given, given)
  assert.deepEqual(given.get("a")?.series.get(""), [1])
})
