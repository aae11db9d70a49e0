import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { FilterIndex } from "./FilterIndex.ts"
import { unitsRead } from "./fakes.ts"
import { topicFilter, topicName } from "./topic-arbitraries.ts"
import { matches, TOPIC_LEVELS_MAX } from "./topic-filter.ts"

interface Value {
  readonly id: number
}
const values: ReadonlyArray<Value> = Array.from({ length: 40 }, (_, id) => ({ id }))

/** Pairs of filter and value in an order of their own, so that bags can be compared. */
function ids(found: ReadonlyArray<Value>): ReadonlyArray<number> {
  return found.map(({ id }) => id).sort((a, b) => a - b)
}

function expected(model: ReadonlyMap<string, ReadonlySet<Value>>, name: string): ReadonlyArray<number> {
  const found: Array<Value> = []
  for (const [filter, set] of model) if (matches(filter, name)) found.push(...set)
  return ids(found)
}

function sameAsModel(index: FilterIndex<Value>, model: ReadonlyMap<string, ReadonlySet<Value>>): void {
  for (const [filter, set] of model) assert.deepStrictEqual(ids(index.valuesOf(filter)), ids([...set]))
  assert.strictEqual(index.filterCount, model.size)
  assert.strictEqual(
    index.valueCount,
    [...model.values()].reduce((sum, set) => sum + set.size, 0)
  )
}

const step = fc.record({
  kind: fc.constantFrom("add", "add", "add", "remove", "remove", "replace"),
  filter: topicFilter,
  value: fc.constantFrom(...values),
  other: fc.constantFrom(...values)
})

test("any changes leave what a map of sets holds, and matches what the plain statement matches", () => {
  const seeds = fc.integer()
  fc.assert(
    fc.property(
      seeds,
      fc.array(step, { maxLength: 80, size: "max" }),
      fc.array(topicName, { maxLength: 8 }),
      (seed, steps, names) => {
        const index = new FilterIndex<Value>(seed)
        const model = new Map<string, Set<Value>>()
        for (const [number, { kind, filter, value, other }] of steps.entries()) {
          const set = model.get(filter)
          if (kind === "add") {
            assert.strictEqual(index.add(filter, value), set === undefined)
            model.set(filter, (set ?? new Set()).add(value))
          } else if (kind === "remove") {
            const wasThere = set?.delete(value) === true
            assert.strictEqual(index.remove(filter, value), wasThere && set?.size === 0)
            if (set?.size === 0) model.delete(filter)
          } else {
            const isDone = set?.has(value) === true && (value === other || !set.has(other))
            // A value put in its own place may be told either way: nothing changes.
            const result = index.replace(filter, value, other)
            if (value !== other) assert.strictEqual(result, isDone)
            if (isDone) {
              set?.delete(value)
              set?.add(other)
            }
          }
          assert.deepStrictEqual(ids(index.valuesOf(filter)), ids([...(model.get(filter) ?? [])]))
          const name = names[number % names.length] ?? "a"
          const found: Array<Value> = []
          index.matchInto(name, found)
          assert.deepStrictEqual(ids(found), expected(model, name))
        }
        sameAsModel(index, model)
        for (const name of names) {
          const out: Array<Value> = [{ id: -1 }]
          const count = index.matchInto(name, out)
          assert.strictEqual(count, out.length - 1)
          assert.deepStrictEqual(ids(out.slice(1)), expected(model, name))
        }
        for (const [filter, set] of [...model]) for (const value of set) index.remove(filter, value)
        sameAsModel(index, new Map())
        for (const name of names) assert.strictEqual(index.matchInto(name, []), 0)
      }
    ),
    { numRuns: 400 }
  )
})

test("a filter matches as the plain statement says", () => {
  fc.assert(
    fc.property(topicFilter, topicName, (filter, name) => {
      const index = new FilterIndex<Value>(7)
      index.add(filter, { id: 1 })
      assert.strictEqual(index.matchInto(name, []) === 1, matches(filter, name))
    }),
    { numRuns: 3000 }
  )
})

test("one value on several matching filters comes once for each", () => {
  const index = new FilterIndex<Value>(7)
  const value = { id: 7 }
  for (const filter of ["a/b", "a/+", "a/#", "#", "+/+", "a/b/#", "a/b"]) index.add(filter, value)
  assert.strictEqual(index.matchInto("a/b", []), 6)
})

test("a node that is used again is not taken for the + child that it was", () => {
  const index = new FilterIndex<Value>(7)
  const value = { id: 1 }
  index.add("a/b/+", value)
  index.add("a/+", value)
  index.remove("a/+", value)
  for (const filter of ["x/#", "x", "y/#", "y"]) index.add(filter, value)
  index.add("x/+", value)
  assert.strictEqual(index.matchInto("a/z", []), 0)
  assert.strictEqual(index.matchInto("a/b/z", []), 1)
})

test("removing what is not there changes nothing", () => {
  const index = new FilterIndex<Value>(7)
  const [one, two] = [{ id: 1 }, { id: 2 }]
  for (const filter of ["a/b", "a/+", "a/#", "#"]) {
    assert.strictEqual(index.remove(filter, one), false)
    index.add(filter, one)
    assert.strictEqual(index.remove(filter, two), false)
  }
  assert.strictEqual(index.remove("a/+/#", one), false)
  assert.strictEqual(index.remove("a", one), false)
  assert.strictEqual(index.valueCount, 4)
  assert.strictEqual(index.matchInto("a/b", []), 4)
})

test("the deepest filter and the longest level are held and matched", () => {
  const index = new FilterIndex<Value>(7)
  const plusses = Array.from({ length: TOPIC_LEVELS_MAX }, () => "+").join("/")
  const slashes = "/".repeat(TOPIC_LEVELS_MAX - 1)
  const long = "é長x".repeat(7000)
  index.add(plusses, { id: 1 })
  index.add(`${slashes}#`, { id: 2 })
  index.add(`${long}/+`, { id: 3 })
  index.add(long, { id: 4 })
  const found: Array<Value> = []
  index.matchInto(slashes, found)
  index.matchInto(long, found)
  index.matchInto(`${long}/x`, found)
  assert.deepStrictEqual(ids(found), [1, 2, 3, 4])
})

test("a filter through another's tail, one that ends where it begins, and its own again", () => {
  const index = new FilterIndex<Value>(7)
  const filters = ["d/1/+/a/#", "d/1/#", "d/1/+/a/b", "d/1/+", "d/+/+/a/#", "d/1/+/a", "+/1/x/a", "+/", "+//#", "+/+"]
  for (const [id, filter] of filters.entries()) {
    for (const earlier of filters.slice(0, id)) assert.strictEqual(index.add(earlier, values[0] ?? { id: 0 }), false)
    assert.strictEqual(index.add(filter, values[0] ?? { id: 0 }), true, filter)
    for (const name of ["d/1/x/a/b", "d/1/x/a", "d/1/x", "d/1", "d/1/x/b", "d/1/x/a/", "d/", "d//", "d", "/", "+"]) {
      const wanted = filters.slice(0, id + 1).filter((each) => matches(each, name)).length
      assert.strictEqual(index.matchInto(name, []), wanted, `${name} after ${filter}`)
    }
  }
  for (const filter of filters) assert.strictEqual(index.remove(filter, values[0] ?? { id: 0 }), true, filter)
  assert.strictEqual(index.filterCount, 0)
})

test("a tree in which every level has a literal and a + is matched once a filter", () => {
  const index = new FilterIndex<Value>(7)
  for (let bits = 0; bits < 1024; bits++) {
    const levels = Array.from({ length: 10 }, (_, level) => ((bits >> level) & 1 ? "+" : "a"))
    index.add(levels.join("/"), { id: bits })
  }
  const found: Array<Value> = []
  assert.strictEqual(index.matchInto("a/a/a/a/a/a/a/a/a/a", found), 1024)
  assert.strictEqual(new Set(found).size, 1024)
  assert.strictEqual(index.matchInto("b/b/b/b/b/b/b/b/b/b", []), 1)
})

test("many values on one filter are added and removed in any order", () => {
  const index = new FilterIndex<Value>(7)
  const many = Array.from({ length: 50_000 }, (_, id) => ({ id }))
  for (const value of many) index.add("a/+", value)
  for (const value of many) index.add("a/+", value)
  assert.strictEqual(index.matchInto("a/b", []), many.length)
  for (const value of many) if (value.id % 2 === 0) assert.strictEqual(index.remove("a/+", value), false)
  assert.deepStrictEqual(ids(index.valuesOf("a/+")), ids(many.filter(({ id }) => id % 2 === 1)))
  const rest = many.filter(({ id }) => id % 2 === 1).reverse()
  for (const [place, value] of rest.entries()) {
    assert.strictEqual(index.remove("a/+", value), place === rest.length - 1)
  }
  assert.strictEqual(index.filterCount, 0)
})

test("filters that come and go do not make the index grow", () => {
  const index = new FilterIndex<Value>(7)
  const empty = index.sizeBytes
  const value = { id: 1 }
  const round = (number: number): void => {
    for (let each = 0; each < 2000; each++) {
      index.add(`tenant/${number}-${each}/cmd`, value)
      index.add(`tenant/${number}-${each}/+`, value)
    }
    assert.strictEqual(index.matchInto(`tenant/${number}-1999/cmd`, []), 2)
    for (let each = 0; each < 2000; each++) {
      index.remove(`tenant/${number}-${each}/cmd`, value)
      index.remove(`tenant/${number}-${each}/+`, value)
    }
  }
  for (let number = 0; number < 5; number++) round(number)
  const { sizeBytes } = index
  for (let number = 5; number < 40; number++) round(number)
  assert.ok(index.sizeBytes <= sizeBytes + 1024, `${index.sizeBytes} bytes, after five rounds ${sizeBytes}`)
  assert.strictEqual(index.sizeBytes, empty)
  assert.strictEqual(index.filterCount, 0)
})

test("two long filters that part at their last levels cost a few looks at each of their units", () => {
  const path = Array.from({ length: TOPIC_LEVELS_MAX - 2 }, () => "level".repeat(20)).join("/")
  const [value] = values as readonly [Value]
  for (const [one, other] of [
    ["+", "#"],
    ["+/a", "+/b"],
    ["+/a", "+"]
  ]) {
    const index = new FilterIndex<Value>(7)
    const read = unitsRead(() => {
      index.add(`${path}/${one}`, value)
      index.add(`${path}/${other}`, value)
    })
    assert.ok(read < 20 * path.length, `${read} looks at ${path.length} units`)
    assert.strictEqual(index.matchInto(`${path}/b/a`, []), 1)
  }
})

test("a hundred thousand filters cost at most 150 bytes each, their text and their place in the index included", () => {
  const shapes: ReadonlyArray<readonly [filter: (number: number) => string, bytesMax: number]> = [
    [(number) => `devices/d${number}/cmd`, 75],
    [(number) => `devices/d${number}/#`, 110],
    [(number) => `devices/d${number}/+`, 120],
    [(number) => `site/${number % 100}/line/${number}/+`, 120],
    [(number) => `devices/d${number}/+/cmd`, 120],
    [(number) => `devices/d${number}/+/a/+/b/#`, 120],
    // Two filters below each device: where one comes through the other's tail, it is expanded as far as both go.
    [(number) => `devices/d${number >> 1}/+/${number & 1 ? "cmd" : "config"}`, 150],
    [(number) => `+/d${number}/state/+`, 120]
  ]
  for (const [filterOf, bytesMax] of shapes) {
    const index = new FilterIndex<object>(7)
    const value = {}
    for (let number = 0; number < 100_000; number++) index.add(filterOf(number), value)
    const bytes = index.sizeBytes / 100_000
    assert.ok(bytes <= bytesMax, `${filterOf(1)}: ${bytes.toFixed(0)} bytes`)
  }
})
