import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { topicFilter, topicName } from "../router/topic-arbitraries.ts"
import { matches } from "../router/topic-filter.ts"
import { messageOf } from "./fakes.ts"
import { matcherOf, matchesByWalk, QueueMatcher } from "./QueueMatcher.ts"

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
        const matcher = new QueueMatcher({ tenant: 1, filters })
        const isWanted = filters.length === 0 || filters.some((filter) => matches(filter, name))
        const expected = tenant === 1 && isWanted
        assert.equal(matcher.matches(messageOf(name, "", { tenant })), expected)
      }
    )
  )
})

test("names are known apart from filters with a wildcard, each once, and a selection is made ready once", () => {
  const selection = { tenant: 0, filters: ["a", "b", "a"] }
  const matcher = matcherOf(selection)
  assert.equal(matcherOf(selection), matcher)
  assert.notEqual(matcherOf({ ...selection }), matcher)
  assert.deepEqual([matcher.names, matcher.isNamesOnly], [["a", "b"], true])
  assert.equal(new QueueMatcher({ tenant: 0, filters: ["a", "+"] }).isNamesOnly, false)
})
