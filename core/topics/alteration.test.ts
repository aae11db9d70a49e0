/** Alterations of topics that are there: agreed once, known where they are answered, in effect on open logs, beside moves and each other. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { PartitionLimits } from "../log/Engines.ts"
import { ArrayPartition } from "../log/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { type JoinTopicsOptions, joinTopics } from "./fakes.ts"
import type { TopicError } from "./TopicError.ts"
import type { TopicAlteration } from "./topic-alteration.ts"
import { decodeTopic, encodeMove, moveKey, topicKey } from "./topic-codec.ts"

function make(options: JoinTopicsOptions = {}) {
  const simulation = new Simulation(1)
  const parts = joinTopics(simulation, { compacts: true, ...options })
  const [here, there] = parts.shards
  assert.ok(here !== undefined && there !== undefined)
  const run = async <A>(effect: Effect.Effect<A, TopicError>): Promise<A> => {
    const done = Effect.runPromise(effect)
    await simulation.runAsync()
    return done
  }
  const reason = (effect: Effect.Effect<unknown, TopicError>): Promise<string> =>
    run(Effect.flip(effect) as Effect.Effect<TopicError, never>).then((error) => error.reason)
  return { simulation, ...parts, here, there, run, reason }
}
const set = (name: string, value: string): TopicAlteration => ({ configs: [{ name, operation: "set", value }] })

test("what is altered is in the meta store, on all shards, and where it was asked for when it is answered", async () => {
  const { here, there, run, meta } = make()
  for (const name of ["a", "b", "c", "d"]) {
    await run(here.topics.create(0, { name }))
    const altered = await run(there.topics.alter(0, name, { ...set("retention.ms", "5"), partitions: 3 }))
    assert.deepEqual([altered.partitions, altered.retention?.ms, altered.configs], [3, 5, { "retention.ms": "5" }])
    for (const { topics } of [here, there]) assert.deepEqual(topics.find(0, name), altered)
    const entry = meta.entries.get(topicKey(altered))
    assert.deepEqual(entry && decodeTopic(entry.key, entry.value), altered)
  }
})

test("a watch that is late tells nothing that an answer has not told already, and takes nothing back", async () => {
  const { here, there, run, meta, simulation } = make()
  const shards = [here, there]
  for (const name of ["a", "b", "c", "d"]) {
    meta.watchDelayMs = () => 0
    await run(here.topics.create(0, { name }))
    // Each shard hears of what was agreed half a second later.
    meta.watchDelayMs = () => 500
    for (const [index, value] of ["1", "2", "3"].entries()) {
      const asking = shards[index % 2]
      assert.ok(asking !== undefined)
      const answered = Effect.runPromise(asking.topics.alter(0, name, set("retention.ms", value)))
      let isKnown = false
      const seen = answered.then(() => {
        isKnown = asking.topics.find(0, name)?.retention?.ms === Number(value)
      })
      await simulation.runAsync(simulation.clock.monotonicMs() + 100)
      await seen
      assert.ok(isKnown, `${name} after ${value}`)
    }
    await simulation.runAsync()
    for (const { topics } of shards) assert.equal(topics.find(0, name)?.retention?.ms, 3)
  }
})

test("alterations of two shards at once: each has its effect, none is lost", async () => {
  const { here, there, run, meta } = make()
  meta.delayMs = 3
  await run(here.topics.create(0, { name: "t" }))
  const both = Effect.all(
    [
      here.topics.alter(0, "t", set("retention.ms", "5")),
      there.topics.alter(0, "t", set("retention.bytes", "7")),
      there.topics.alter(0, "t", set("segment.ms", "9")),
      here.topics.alter(0, "t", { partitions: 4 })
    ],
    { concurrency: "unbounded" }
  )
  await run(both)
  for (const { topics } of [here, there]) {
    const topic = topics.find(0, "t")
    assert.deepEqual(topic?.retention, { ms: 5, bytes: 7 })
    assert.deepEqual([topic?.configs?.["segment.ms"], topic?.partitions], ["9", 4])
  }
})

test("what is refused leaves the topic as it was", async () => {
  const { here, run, reason } = make()
  assert.equal(await reason(here.topics.alter(0, "t", { partitions: 2 })), "not-found")
  const before = await run(here.topics.create(0, { name: "t", partitions: 3 }))
  assert.equal(await reason(here.topics.alter(0, "t", { partitions: 3 })), "invalid-partitions")
  assert.equal(await reason(here.topics.alter(0, "t", { partitions: 10_001 })), "invalid-partitions")
  assert.equal(await reason(here.topics.alter(0, "t", set("retention.ms", "x"))), "invalid-config")
  assert.equal(await reason(here.topics.alter(0, "t", { ...set("no.such", "1"), partitions: 4 })), "invalid-config")
  const trial = await run(here.topics.alter(0, "t", { partitions: 4, isTrial: true }))
  assert.equal(trial.partitions, 4)
  assert.deepEqual(here.topics.find(0, "t"), before)
})

test("one that a PUBLISH made in memory stays as it is: nothing agreed on it", async () => {
  const { here, there, reason, simulation } = make()
  for (const { topics } of [here, there]) topics.createForPublishUnsafe(0, "published")
  simulation.run()
  assert.equal(await reason(here.topics.alter(0, "published", { partitions: 2 })), "alter-refused")
})

test("a topic that is being moved gets no partitions, which its copies would not have; its configurations change", async () => {
  const { here, run, reason, meta } = make()
  const topic = await run(here.topics.create(0, { name: "t" }))
  const key = moveKey(topic)
  meta.entries.set(key, { key, value: encodeMove({ from: topic, to: topic }), version: 1 })
  assert.equal(await reason(here.topics.alter(0, "t", { partitions: 2 })), "moving")
  assert.equal((await run(here.topics.alter(0, "t", set("retention.ms", "5")))).retention?.ms, 5)
})

test("open logs have the new bounds at once, and new partitions are open", async () => {
  const bounds: Array<PartitionLimits> = []
  const relimit = ArrayPartition.prototype.relimit
  ArrayPartition.prototype.relimit = (limits) => void bounds.push(limits)
  try {
    const { here, there, run, logged } = make()
    await run(here.topics.create(0, { name: "t", partitions: 2 }))
    const altered = await run(here.topics.alter(0, "t", { ...set("retention.bytes", "77"), partitions: 8 }))
    assert.deepEqual(
      bounds.map(({ sizeBytesMax }) => sizeBytesMax),
      [77, 77]
    )
    const open = [here, there].flatMap(({ topics }) =>
      Array.from({ length: 8 }, (_, partition) => topics.logUnsafe(altered, partition)).filter(
        (log) => log !== undefined
      )
    )
    assert.deepEqual(open.map(({ partition }) => partition).toSorted(), [0, 1, 2, 3, 4, 5, 6, 7])
    for (const log of open) assert.equal(log.topic.partitions, 8)
    assert.deepEqual(logged, ['topic "t" has 8 partitions now; it had 2'])
  } finally {
    ArrayPartition.prototype.relimit = relimit
  }
})

test("a topic is deleted under its id alone, where one is named", async () => {
  const { here, there, run, reason } = make()
  const topic = await run(here.topics.create(0, { name: "t" }))
  assert.equal(await reason(there.topics.delete(0, "t", "another")), "not-found")
  await run(there.topics.delete(0, "t", topic.id))
  assert.equal(here.topics.find(0, "t"), undefined)
})

test("rules bring configurations, which a topic keeps; a wish wins over them", async () => {
  const forName = () => ({
    ...({ partitions: 1, engine: "memory", mode: "memory" } as const),
    configs: { "cleanup.policy": "compact", "segment.ms": "5" }
  })
  const { here, run, reason } = make({ defaults: { forName } })
  const topic = await run(here.topics.create(0, { name: "t", configs: { "segment.ms": "7" } }))
  assert.deepEqual(topic.configs, { "cleanup.policy": "compact", "segment.ms": "7" })
  assert.equal(await reason(here.topics.create(0, { name: "u", configs: { "segment.ms": "0" } })), "invalid-config")
  const whole = await run(here.topics.alter(0, "t", { isWhole: true, configs: [] }))
  assert.deepEqual(whole.configs, { "cleanup.policy": "compact", "segment.ms": "5" })
})
