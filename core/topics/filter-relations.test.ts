import assert from "node:assert"
import { test } from "node:test"
import { checkTopicFilter, checkTopicName, matches } from "../router/topic-filter.ts"
import { compareRank, filterCovers, filtersOverlap } from "./filter-relations.ts"

/** All texts of one to `levels` levels out of `alphabet`. */
function texts(alphabet: ReadonlyArray<string>, levels: number): ReadonlyArray<string> {
  let last: ReadonlyArray<string> = alphabet
  const all: Array<string> = [...last]
  for (let level = 1; level < levels; level++) {
    last = last.flatMap((path) => alphabet.map((next) => `${path}/${next}`))
    all.push(...last)
  }
  return all
}

const filters = texts(["a", "", "$s", "+", "#"], 3).filter((filter) => checkTopicFilter(filter) === 0)
// One level and one letter more than the filters have: what a "+" or "#" matches and no literal does.
const names = texts(["a", "", "$s", "z"], 4).filter((name) => checkTopicName(name) === 0)
/** For each filter, which of the names it matches. */
const matched = new Map(filters.map((filter) => [filter, names.map((name) => matches(filter, name))] as const))

test("overlap and cover of all filters of a small alphabet are what all names of it say", () => {
  assert.ok(filters.length > 100 && names.length > 300, "the alphabet is not empty")
  for (const [a, ofA] of matched) {
    for (const [b, ofB] of matched) {
      const overlap = ofA.some((isMatch, index) => isMatch && ofB[index] === true)
      assert.strictEqual(filtersOverlap(a, b), overlap, `${a} and ${b}`)
      const covers = ofB.every((isMatch, index) => !isMatch || ofA[index] === true)
      assert.strictEqual(filterCovers(a, b), covers, `${a} over ${b}`)
    }
  }
})

test("overlaps and covers that are easily got wrong", () => {
  assert.ok(filtersOverlap("a/#", "a"))
  assert.ok(filtersOverlap("+/b", "a/+"))
  assert.ok(filtersOverlap("$SYS/#", "$SYS/+/x"))
  assert.ok(!filtersOverlap("#", "$SYS/x"))
  assert.ok(!filtersOverlap("+/x", "$SYS/#"))
  // Their only common name would be the empty one.
  assert.ok(!filtersOverlap("/#", "+"))
  assert.ok(filterCovers("+/#", "#") && filterCovers("#", "+/#"))
  assert.ok(filterCovers("/+/#", "/#"))
  assert.ok(!filterCovers("a/+/#", "a/#"))
  assert.ok(!filterCovers("#", "$SYS/#"))
  assert.ok(!filterCovers("devices/+", "devices/#"))
})

/** From the best home to the worst. */
const ranked = ["x/y", "a/b/c/+", "a/bb/#", "a/b/#", "a/b/+/+", "aa/+", "a/#", "a/+/c/+", "/+", "+/b", "+/+"]
test("rank goes by exactness, literal levels, literal characters, wildcards", () => {
  for (const [place, better] of ranked.entries()) {
    for (const worse of ranked.slice(place + 1)) {
      assert.ok(compareRank(better, worse) < 0, `${better} before ${worse}`)
      assert.ok(compareRank(worse, better) > 0, `${worse} behind ${better}`)
    }
  }
})

test("equal ranks", () => {
  for (const [a, b] of [
    ["a/+", "a/#"],
    ["a/+", "b/+"],
    ["+/b", "#"],
    ["a/b", "x"],
    ["a/+/b/+", "a/+/+/c"]
  ] as const) {
    assert.strictEqual(compareRank(a, b), 0, `${a} and ${b}`)
    assert.strictEqual(compareRank(b, a), 0, `${b} and ${a}`)
  }
})

test("rank is an order: of any three filters, better is better than worse", () => {
  for (const a of filters) {
    for (const b of filters) {
      // 0 + turns -0 into 0.
      assert.strictEqual(Math.sign(compareRank(a, b)), 0 + -Math.sign(compareRank(b, a)), `${a} and ${b}`)
      for (const c of filters) {
        if (compareRank(a, b) <= 0 && compareRank(b, c) <= 0) assert.ok(compareRank(a, c) <= 0, `${a}, ${b}, ${c}`)
      }
    }
  }
})
