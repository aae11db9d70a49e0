import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { ArrayEngine } from "../log/fakes.ts"
import { ClosedTopics, ROUND_MIN, STEPS_MAX } from "./ClosedTopics.ts"
import type { TopicInfo } from "./TopicInfo.ts"

function make(count: number, partitions = 1) {
  const trimmed = new Map<string, number>()
  const engine = Object.assign(new ArrayEngine(), {
    trim: ({ topicId, partition }: { topicId: string; partition: number }): void => {
      const name = `${topicId}/${partition}`
      trimmed.set(name, (trimmed.get(name) ?? 0) + 1)
    }
  })
  const topics = new Map<string, TopicInfo>()
  for (let at = 0; at < count; at++) {
    const info = { tenant: 0, name: `t${at}`, id: `t${at}`, partitions, engine: at === 0 ? "none" : "odd" } as const
    topics.set(info.id, { ...info, mode: "persistent", origin: "admin" })
  }
  const open = new Set<string>()
  const closed = new ClosedTopics({
    engines: {
      register: () => Effect.void,
      get: (name) => (name === "odd" ? engine : undefined),
      names: () => ["odd"]
    },
    size: () => topics.size,
    topics: () => topics.values(),
    isClosed: ({ id }) => !open.has(id),
    limitsOf: ({ id }) => ({
      sizeBytesMax: Number.POSITIVE_INFINITY,
      recordsMax: Number.POSITIVE_INFINITY,
      ageMsMax: id === "t1" ? 0 : 1_000
    })
  })
  return { closed, topics, open, trimmed }
}

test("every partition that nobody has open and that has bounds is named once a round, few of them at a time", () => {
  const { closed, open, trimmed, topics } = make(6_000)
  open.add("t7")
  for (let call = 0; call < ROUND_MIN; call++) closed.trimSome()
  // Neither that of no engine, nor that without bounds, nor that which is open.
  assert.equal(trimmed.size, topics.size - 3)
  assert.ok([...trimmed.values()].every((count) => count === 1))
  closed.trimSome()
  closed.trimSome()
  assert.ok(trimmed.get("t2/0") === 2 && trimmed.get("t5999/0") === 1)
})

test("however many there are, a call takes a bounded number of steps, within a topic too", () => {
  const { closed, trimmed } = make(3, 500)
  for (let call = 0; call < 1_499; call++) closed.trimSome()
  assert.equal(trimmed.size, 499)
  closed.trimSome()
  assert.equal(trimmed.size, 500)
  const many = make(1_000_000)
  many.closed.trimSome()
  assert.equal(many.trimmed.size, STEPS_MAX - 2)
})

test("topics that go while they are gone through are left out, those that come are found", () => {
  const { closed, topics, trimmed } = make(600)
  closed.trimSome()
  topics.delete("t300")
  const info = topics.get("t2") ?? assert.fail("it is there")
  topics.set("late", { ...info, id: "late", name: "late" })
  for (let call = 0; call < ROUND_MIN; call++) closed.trimSome()
  assert.ok(!trimmed.has("t300/0") && trimmed.has("late/0"))
})
