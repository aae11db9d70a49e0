import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { bucketOf } from "./buckets.ts"
import { Resolution } from "./Resolution.ts"
import { topicFilter, topicName } from "./topic-arbitraries.ts"
import { hasWildcard, literalPrefix, matches } from "./topic-filter.ts"

test("a wildcard filter that matches a name is in a bucket that the name depends on", () => {
  fc.assert(
    fc.property(topicFilter, topicName, (filter, name) => {
      if (!hasWildcard(filter) || !matches(filter, name)) return
      const { bucketOne, bucketTwo } = new Resolution(name)
      const bucket = bucketOf(literalPrefix(filter, 2))
      assert.ok([0, bucketOne, bucketTwo].includes(bucket), `${filter} matches ${name}`)
    }),
    { numRuns: 3_000 }
  )
})

test("the buckets of names with empty levels", () => {
  for (const [name, filter] of [
    ["/", "/#"],
    ["/a", "/+"],
    ["/a/b", "/a/#"],
    ["a/", "a/+"],
    ["a//b", "a//#"],
    ["", "#"]
  ] as const) {
    const { bucketOne, bucketTwo } = new Resolution(name)
    assert.ok([0, bucketOne, bucketTwo].includes(bucketOf(literalPrefix(filter, 2))), `${filter} on ${name}`)
  }
})

test("a new resolution is stale and knows nothing", () => {
  const resolution = new Resolution("a/b")
  assert.equal(resolution.stale, true)
  assert.deepEqual([resolution.deliveries, resolution.remoteShards, resolution.home], [[], [], undefined])
})
