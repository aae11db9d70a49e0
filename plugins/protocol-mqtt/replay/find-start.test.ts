import assert from "node:assert/strict"
import { test } from "node:test"
import { type HistoryShape, type LogsShape, NOT_AVAILABLE, type TopicInfo } from "../../../core/mod.ts"
import { findStart } from "./find-start.ts"

const topicOf = (name: string, partitions: number): TopicInfo => ({
  tenant: 0,
  name,
  id: name,
  partitions,
  engine: "memory",
  mode: "memory",
  origin: "manifest"
})

/** Partitions with offsets from 10 to 20; a time finds the offset of the same number. */
function make(topics: ReadonlyArray<TopicInfo> | undefined, refusal = 0, former: ReadonlyArray<TopicInfo> = []) {
  const history: Pick<HistoryShape, "homesOf" | "formerHomesOf"> = {
    homesOf: () => Promise.resolve(topics),
    formerHomesOf: () => former
  }
  const logs: Pick<LogsShape, "state" | "offsetForTimestamp"> = {
    state: () => ({ refusal, logStartOffset: 10, highWatermark: 20, endOffset: 20, leaderEpoch: 0, incarnation: 7 }),
    offsetForTimestamp: (_topic, _partition, timestamp) =>
      Promise.resolve(timestamp >= 20 ? undefined : { offset: timestamp, timestamp })
  }
  return (from: Parameters<typeof findStart>[4]) =>
    findStart(history as HistoryShape, logs as LogsShape, 0, "a/#", from).then((found) =>
      typeof found === "number"
        ? found
        : found.map(({ topic, partition, offset }) => `${topic.name}/${partition} ${offset}`)
    )
}

test("each partition's first, last, or by a time; an offset of one partition", async () => {
  const two = make([topicOf("a", 2), topicOf("b", 1)])
  assert.deepEqual(await two({ kind: "earliest" }), ["a/0 10", "a/1 10", "b/0 10"])
  assert.deepEqual(await two({ kind: "latest" }), ["a/0 20", "a/1 20", "b/0 20"])
  assert.deepEqual(await two({ kind: "time", atMs: 15 }), ["a/0 15", "a/1 15", "b/0 15"])
  assert.deepEqual(await two({ kind: "time", atMs: 5 }), ["a/0 10", "a/1 10", "b/0 10"])
  assert.deepEqual(await two({ kind: "time", atMs: 99 }), ["a/0 20", "a/1 20", "b/0 20"])
  assert.equal(await two({ kind: "offset", offset: 12 }), 0x83)
  const one = make([topicOf("a", 1)])
  for (const offset of [10, 12, 20]) assert.deepEqual(await one({ kind: "offset", offset }), [`a/0 ${offset}`])
  for (const offset of [0, 9, 21]) assert.equal(await one({ kind: "offset", offset }), 0x83)
  assert.deepEqual(await make([])({ kind: "earliest" }), [])
  assert.equal(await make([])({ kind: "offset", offset: 0 }), 0x83)
})

test("more partitions than are allowed, or one that cannot be read now, are refused", async () => {
  assert.equal(await make(undefined)({ kind: "earliest" }), 0x97)
  assert.equal(await make([topicOf("a", 600), topicOf("b", 401)])({ kind: "earliest" }), 0x97)
  assert.equal(
    ((await make([topicOf("a", 600), topicOf("b", 400)])({ kind: "latest" })) as ReadonlyArray<string>).length,
    1_000
  )
  assert.equal(await make([topicOf("a", 1)], NOT_AVAILABLE)({ kind: "earliest" }), 0x97)
})

test("what was the home of the names is read from its end on: what it has of them is another time's", async () => {
  const both = make([topicOf("a", 1), topicOf("b", 1)], 0, [topicOf("b", 1), topicOf("c", 2)])
  assert.deepEqual(await both({ kind: "earliest" }), ["a/0 10", "b/0 10", "c/0 20", "c/1 20"])
  const former = make([topicOf("a", 1)], 0, [topicOf("c", 1)])
  assert.deepEqual(await former({ kind: "offset", offset: 12 }), ["a/0 12", "c/0 20"])
  assert.equal(await make([topicOf("a", 600)], 0, [topicOf("c", 401)])({ kind: "latest" }), 0x97)
})
