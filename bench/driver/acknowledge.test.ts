import assert from "node:assert/strict"
import { test } from "node:test"
import { targetsOf } from "./acknowledge.ts"

const names = (count: number, topics: number): Set<string> =>
  new Set(
    Array.from({ length: count }, (_, index) => targetsOf(index, count, topics)).flatMap((all) =>
      all.map(({ topicName }) => topicName)
    )
  )

test("all publishers together use exactly the topic names that were asked for", () => {
  for (const [count, topics] of [
    [10, 1],
    [10, 10],
    [10, 1000],
    [10, 15],
    [50, 50]
  ] as const) {
    assert.equal(names(count, topics).size, topics, `${count} publishers, ${topics} topic names`)
  }
})

test("where there are enough names no two publishers share one; a block is long enough for a burst", () => {
  const all = Array.from(
    { length: 10 },
    (_, index) => new Set(targetsOf(index, 10, 1000).map(({ topicName }) => topicName))
  )
  assert.equal(
    all.reduce((sum, { size }) => sum + size, 0),
    1000
  )
  assert.ok(targetsOf(0, 10, 10).length >= 64)
})

test("topic names of a block have one length", () => {
  const lengths = new Set(targetsOf(3, 10, 1000).map(({ topicName }) => topicName.length))
  assert.equal(lengths.size, 1)
})
