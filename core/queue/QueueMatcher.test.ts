import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { unitsRead } from "../router/fakes.ts"
import { beginHash, hashMultiplier, mixUnit } from "../router/seeded-hash.ts"
import { topicFilter, topicName } from "../router/topic-arbitraries.ts"
import { matches } from "../router/topic-filter.ts"
import { messageOf } from "./fakes.ts"
import { matcherOf, matchesByWalk, QueueMatcher } from "./QueueMatcher.ts"

const SEED = 5

/** Levels of one hash under a seed, as anybody makes them who knows it. */
function levelsOfOneHash(seed: number): ReadonlyArray<string> {
  const multiplier = hashMultiplier(seed)
  const levels: Array<string> = []
  for (let number = 0; number < 2 ** 24; number++) {
    let state = beginHash(5, seed)
    for (let shift = 0; shift < 24; shift += 6) state = mixUnit(state, 0x40 + ((number >>> shift) & 63), multiplier)
    if (state >>> 16 !== 7) continue
    const units = [0, 6, 12, 18].map((shift) => 0x40 + ((number >>> shift) & 63))
    // The last unit takes out what these left in the lower half.
    levels.push(String.fromCharCode(...units, (state & 0xffff) ^ 0x41))
  }
  return levels
}

test("one walk over filter and name says what the plain statement says", () => {
  fc.assert(
    fc.property(topicFilter, topicName, (filter, name) => {
      assert.equal(matchesByWalk(filter, name), matches(filter, name), `${filter} ${name}`)
    }),
    { numRuns: 3_000 }
  )
})

test("a name that is longer or shorter than its filter, empty levels, names that begin with $", () => {
  for (const filter of [
    "a",
    "a/",
    "/",
    "/a",
    "#",
    "+",
    "+/+",
    "a/#",
    "a/+",
    "/#",
    "+/#",
    "$s/#",
    "+/",
    "a/+/#",
    "$s"
  ]) {
    for (const name of ["a", "a/", "/", "/a", "a/b", "a/b/c", "ab", "$s", "$s/a", "//", "a//", "b"]) {
      assert.equal(matchesByWalk(filter, name), matches(filter, name), `${filter} ${name}`)
    }
  }
})

test("a selection matches what any of its filters does, of its tenant, however many there are", () => {
  fc.assert(
    fc.property(
      fc.array(topicFilter, { maxLength: 30, size: "max" }),
      topicName,
      fc.nat(1),
      (filters, name, tenant) => {
        const matcher = new QueueMatcher({ tenant: 1, filters }, SEED)
        const isWanted = filters.length === 0 || filters.some((filter) => matches(filter, name))
        const expected = tenant === 1 && isWanted
        assert.equal(matcher.matches(messageOf(name, "", { tenant })), expected)
      }
    )
  )
})

test("names are known apart from filters with a wildcard, each once, and a selection is made ready once", () => {
  const selection = { tenant: 0, filters: ["a", "b", "a"] }
  const matcher = matcherOf(selection, SEED)
  assert.equal(matcherOf(selection, SEED), matcher)
  assert.notEqual(matcherOf({ ...selection }, SEED), matcher)
  assert.deepEqual([matcher.names, matcher.isNamesOnly], [["a", "b"], true])
  assert.equal(new QueueMatcher({ tenant: 0, filters: ["a", "+"] }, SEED).isNamesOnly, false)
})

test("filters that share a hash under one seed cost no more than others under another one", () => {
  const aimed = levelsOfOneHash(0).map((level) => `${level}/+`)
  assert.ok(aimed.length > 200)
  const plain = aimed.map((_, index) => `a${1_000 + index}/+`)
  const cost = (filters: ReadonlyArray<string>, seed: number): number =>
    unitsRead(() => new QueueMatcher({ tenant: 0, filters }, seed))
  assert.ok(cost(aimed, 0) > 3 * cost(plain, 0), "who knows the seed can aim")
  assert.ok(cost(aimed, SEED) < 2 * cost(plain, SEED))
})
