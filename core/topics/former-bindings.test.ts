import assert from "node:assert/strict"
import { test } from "node:test"
import { bindingAt, FORMER_MAX, formerlyWith, homeFrom, wasHomeOf } from "./former-bindings.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import { decodeTopic, encodeTopic, topicKey } from "./topic-codec.ts"

const ID = "6d3f2334-f227-4bf0-a661-33d3332a2ebb"

function topic(fields: Partial<TopicInfo> = {}): TopicInfo {
  const kind = { partitions: 2, engine: "memory", mode: "memory", origin: "admin" } as const
  return { tenant: 0, name: "a.b", id: ID, retention: { ms: 1, bytes: 0 }, ...kind, ...fields }
}

/** Bound to `filter` from these offsets on. */
function rebound(before: TopicInfo, filter: string | undefined, boundFrom: ReadonlyArray<number>): TopicInfo {
  const { filter: _filter, ...rest } = before
  return { ...rest, boundFrom, formerly: formerlyWith(before), ...(filter === undefined ? {} : { filter }) }
}

test("each binding holds from its offsets to those of the next, in each partition", () => {
  const own = topic()
  const first = rebound(own, "x/+", [10, 0])
  const second = rebound(first, "y/#", [10, 5])
  const now = rebound(second, undefined, [20, 5])
  const at = (partition: number, offset: number) => {
    const binding = bindingAt(now, partition, offset)
    return binding === undefined ? "present" : (binding.filter ?? "own")
  }
  assert.deepEqual(
    [0, 9, 10, 19, 20].map((offset) => at(0, offset)),
    ["own", "own", "y/#", "y/#", "present"]
  )
  assert.deepEqual(
    [0, 4, 5].map((offset) => at(1, offset)),
    ["x/+", "x/+", "present"]
  )
  assert.equal(bindingAt(own, 0, 0), undefined)
})

test("whose home it was, and from where", () => {
  const now = rebound(rebound(topic(), "x/+", [10, 3]), "y/#", [20, 4])
  assert.deepEqual(
    ["a/b", "x/1", "y/1", "z", "#"].map((filter) => wasHomeOf(now, filter)),
    [true, true, false, false, true]
  )
  assert.deepEqual(
    ["a/b", "x/1", "y/1", "#"].map((filter) => homeFrom(now, 0, filter)),
    [0, 10, 20, 0]
  )
  assert.deepEqual([homeFrom(now, 1, "x/1"), homeFrom(now, 2, "x/1"), homeFrom(topic(), 0, "a/b")], [3, 0, 0])
})

test("so many are remembered, the newest; all of it comes back from the meta store, of an unbound topic too", () => {
  let info = topic()
  for (let change = 0; change < 2 * FORMER_MAX; change++) info = rebound(info, `f/${change}`, [change, 0])
  assert.equal(info.formerly?.length, FORMER_MAX)
  assert.equal(info.formerly?.at(-1)?.filter, `f/${2 * FORMER_MAX - 2}`)
  const unbound = rebound(info, undefined, [99, 98])
  for (const each of [info, unbound]) assert.deepEqual(decodeTopic(topicKey(each), encodeTopic(each)), each)
})
