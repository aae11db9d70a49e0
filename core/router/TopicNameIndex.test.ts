import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { type NamedValue, TopicNameIndex } from "./TopicNameIndex.ts"
import { topicFilter, topicName } from "./topic-arbitraries.ts"
import { matches } from "./topic-filter.ts"

function namesOf(index: TopicNameIndex<number>, filter: string): ReadonlyArray<string> {
  const found = rest(index.cursor(filter), 3)
  for (const { name, value } of found) assert.strictEqual(index.get(name), value)
  return found.map(({ name }) => name).sort()
}

/** Takes a cursor to its end. */
function rest(cursor: ReturnType<TopicNameIndex<number>["cursor"]>, max: number): ReadonlyArray<NamedValue<number>> {
  const found: Array<NamedValue<number>> = []
  while (!cursor.isDone) assert.ok(cursor.next(max, found) <= max)
  return found
}

const step = fc.record({ isSet: fc.boolean(), name: topicName, value: fc.nat() })

test("any changes leave what a map holds, and a filter finds what the plain statement matches", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(step, { maxLength: 60, size: "max" }),
      fc.array(topicFilter, { maxLength: 8 }),
      (seed, steps, filters) => {
        const index = new TopicNameIndex<number>(seed)
        const model = new Map<string, number>()
        for (const { isSet, name, value } of steps) {
          if (isSet) {
            assert.strictEqual(index.set(name, value), !model.has(name))
            model.set(name, value)
          } else assert.strictEqual(index.delete(name), model.delete(name))
          assert.strictEqual(index.get(name), model.get(name))
          assert.strictEqual(index.size, model.size)
        }
        for (const filter of filters) {
          const expected = [...model.keys()].filter((name) => matches(filter, name)).sort()
          assert.deepStrictEqual(namesOf(index, filter), expected)
        }
        for (const name of model.keys()) index.delete(name)
        assert.strictEqual(index.nodeCount, 1)
      }
    ),
    { numRuns: 500 }
  )
})

test("changes under standing cursors: each name that stays comes once, none twice, none after its removal", () => {
  const action = fc.record({
    kind: fc.constantFrom("set", "delete", "next", "next", "open", "close"),
    name: topicName,
    filter: topicFilter,
    pick: fc.nat({ max: 3 }),
    max: fc.integer({ min: 1, max: 3 })
  })
  fc.assert(
    fc.property(
      fc.array(topicName, { maxLength: 25, size: "max" }),
      fc.array(action, { maxLength: 60 }),
      (names, actions) => {
        const index = new TopicNameIndex<number>(7)
        const model = new Set(names)
        for (const name of names) index.set(name, 1)
        const walks: Array<{
          readonly filter: string
          readonly cursor: ReturnType<TopicNameIndex<number>["cursor"]>
          readonly staying: Set<string>
          readonly seen: Set<string>
        }> = []
        const take = (walk: (typeof walks)[number], max: number): void => {
          const found: Array<NamedValue<number>> = []
          assert.strictEqual(walk.cursor.next(max, found), found.length)
          assert.ok(found.length <= max)
          for (const { name } of found) {
            assert.ok(model.has(name) && matches(walk.filter, name) && !walk.seen.has(name), name)
            walk.seen.add(name)
          }
        }
        for (const { kind, name, filter, pick, max } of actions) {
          const walk = walks[pick]
          if (kind === "set") {
            index.set(name, 1)
            model.add(name)
          } else if (kind === "delete") {
            index.delete(name)
            model.delete(name)
            for (const each of walks) each.staying.delete(name)
          } else if (kind === "open") {
            const staying = new Set([...model].filter((each) => matches(filter, each)))
            walks.push({ filter, cursor: index.cursor(filter), staying, seen: new Set() })
          } else if (walk !== undefined && kind === "next") take(walk, max)
          else if (walk !== undefined) {
            walk.cursor.close()
            walk.staying.clear()
          }
        }
        for (const walk of walks) {
          while (!walk.cursor.isDone) take(walk, 2)
          for (const name of walk.staying) assert.ok(walk.seen.has(name), `${walk.filter} misses ${name}`)
        }
        for (const name of model) index.delete(name)
        assert.strictEqual(index.nodeCount, 1, "no cursor keeps a node after its end")
      }
    ),
    { numRuns: 1000 }
  )
})

test("a visitor stops the walk, and may remove what it is shown", () => {
  const index = new TopicNameIndex<number>(7)
  for (let each = 0; each < 100; each++) index.set(`a/${each}/b`, each)
  let visits = 0
  index.visitAll(() => ++visits < 10)
  assert.strictEqual(visits, 10)
  index.visitAll((name) => index.delete(name))
  assert.strictEqual(index.size, 0)
  assert.strictEqual(index.nodeCount, 1)
})

test("100,000 matches are taken in paces", () => {
  const index = new TopicNameIndex<number>(7)
  for (let each = 0; each < 100_000; each++) index.set(`tenant/device/${each}/cmd`, each)
  index.set("tenant/device", -1)
  index.set("tenant/other/1/cmd", -1)
  const cursor = index.cursor("tenant/device/+/cmd")
  const found: Array<NamedValue<number>> = []
  assert.strictEqual(cursor.next(1000, found), 1000)
  found.push(...rest(cursor, 1000))
  assert.strictEqual(new Set(found.map(({ value }) => value)).size, 100_000)
  assert.strictEqual(rest(index.cursor("tenant/device/#"), 5000).length, 100_001)
  assert.strictEqual(rest(index.cursor("tenant/device/77/cmd"), 5000).length, 1)
})

test("a walk that matches nothing comes back between paces", () => {
  const index = new TopicNameIndex<number>(7)
  for (let each = 0; each < 10_000; each++) index.set(`tenant/${each}/cmd`, each)
  const cursor = index.cursor("tenant/+/nothing")
  let paces = 0
  while (!cursor.isDone) {
    assert.strictEqual(cursor.next(10, []), 0)
    paces += 1
  }
  assert.ok(paces > 10, `${paces} paces`)
})

test("no room for a match moves a cursor nowhere", () => {
  const index = new TopicNameIndex<number>(7)
  index.set("a", 1)
  const cursor = index.cursor("#")
  assert.strictEqual(cursor.next(0, []), 0)
  assert.strictEqual(cursor.isDone, false)
  assert.deepStrictEqual(rest(cursor, 1), [{ name: "a", value: 1 }])
  cursor.close()
  assert.strictEqual(cursor.next(1, []), 0)
})

test("a cursor outlives the name and the node on which it stands", () => {
  const index = new TopicNameIndex<number>(7)
  for (const name of ["a/1", "a/2", "a/3"]) index.set(name, 0)
  const cursor = index.cursor("a/+")
  const found: Array<NamedValue<number>> = []
  cursor.next(1, found)
  for (const name of ["a/1", "a/2", "a/3"]) index.delete(name)
  // These would take the freed nodes, and stand before the cursor.
  index.set("b/1", 1)
  index.set("b/2", 1)
  assert.deepStrictEqual(rest(cursor, 5), [])
  index.delete("b/1")
  index.delete("b/2")
  assert.strictEqual(index.nodeCount, 1)
})
