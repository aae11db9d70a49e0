/** Creation and deletion on two shards that share a meta store, each over engines of its own. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit } from "effect"
import { Simulation } from "../platform/simulated.ts"
import { SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { type JoinTopicsOptions, joinTopics } from "./fakes.ts"
import type { TopicError } from "./TopicError.ts"
import { removedKey, topicKey } from "./topic-codec.ts"

function make(options: JoinTopicsOptions = {}) {
  const simulation = new Simulation(1)
  const parts = joinTopics(simulation, options)
  const [here, there] = parts.shards
  assert.ok(here !== undefined && there !== undefined)
  const run = async <A>(effect: Effect.Effect<A, TopicError>): Promise<A> => {
    const done = Effect.runPromise(effect)
    await simulation.runAsync()
    return done
  }
  const reason = (effect: Effect.Effect<unknown, TopicError>): Promise<string> =>
    run(Effect.flip(effect) as Effect.Effect<TopicError, never>).then((error) => error.reason)
  /** A name that the shard of this index coordinates. */
  const nameOn = (index: number, prefix = "t"): string =>
    Array.from({ length: 60 }, (_, at) => `${prefix}${at}`).find(
      (name) => slotOf(0, SLOT_TOPIC, name, 0) % 2 === index
    ) ?? ""
  return { simulation, ...parts, here, there, run, reason, nameOn }
}

test("a topic is created as asked for, known on both shards when it is answered, wherever it is asked", async () => {
  const { here, there, run, nameOn, meta } = make()
  for (const index of [0, 1]) {
    const name = nameOn(index)
    const info = await run(here.topics.create(0, { name, partitions: 4, filter: `${name}/+` }))
    assert.deepEqual(
      [info.name, info.partitions, info.engine, info.origin, info.filter],
      [name, 4, "memory", "admin", `${name}/+`]
    )
    for (const { topics } of [here, there]) assert.deepEqual(topics.find(0, name), info)
    assert.ok(meta.entries.has(topicKey(info)))
    const opened = [here, there].flatMap(({ topics }) => [0, 1, 2, 3].filter((at) => topics.logUnsafe(info, at)))
    assert.equal(opened.length, 4)
  }
})

test("what cannot be created is refused with its reason, on either shard, and leaves nothing", async () => {
  const { here, there, reason, run, nameOn, meta } = make()
  await run(here.topics.create(0, { name: "bound", filter: "x/+" }))
  const before = meta.entries.size
  for (const { topics } of [here, there]) {
    const name = nameOn(0, "n")
    assert.equal(await reason(topics.create(0, { name: "bound" })), "exists")
    assert.equal(await reason(topics.create(0, { name: "a b" })), "invalid-name")
    assert.equal(await reason(topics.create(0, { name: "" })), "invalid-name")
    assert.equal(await reason(topics.create(0, { name, filter: "x/#/y" })), "invalid-filter")
    assert.equal(await reason(topics.create(0, { name, filter: "$share/g/x" })), "invalid-filter")
    assert.equal(await reason(topics.create(0, { name, engine: "none" })), "engine-missing")
    assert.equal(await reason(topics.create(0, { name, mode: "persistent", engine: "none" })), "engine-missing")
    assert.equal(await reason(topics.create(0, { name, filter: "x/+" })), "filter-conflict")
    const configs = { "cleanup.policy": "compact,delete" }
    assert.equal(await reason(topics.create(0, { name, configs })), "compaction-missing")
    assert.equal(await reason(topics.delete(0, name)), "not-found")
    assert.equal(topics.find(0, name), undefined)
  }
  assert.equal(meta.entries.size, before)
})

test("of many who create one name at once one does, also through a slow meta store", async () => {
  const { here, there, simulation, meta } = make()
  meta.delayMs = 20
  const attempts = [here, there, here, there].map(({ topics }) =>
    Effect.runPromise(Effect.exit(topics.create(0, { name: "one" })))
  )
  await simulation.runAsync()
  const exits = await Promise.all(attempts)
  assert.equal(exits.filter(Exit.isSuccess).length, 1)
})

test("of two filters that conflict and come at once, through two coordinators, one is bound", async () => {
  for (const delayMs of [0, 1, 20]) {
    const { here, there, simulation, meta, nameOn } = make()
    meta.delayMs = delayMs
    const attempts = [0, 1].map((index) =>
      Effect.runPromise(Effect.exit(here.topics.create(0, { name: nameOn(index), filter: "x/+" })))
    )
    const others = Effect.runPromise(Effect.exit(there.topics.create(0, { name: "free", filter: "y/+" })))
    await simulation.runAsync()
    const exits = await Promise.all(attempts)
    assert.equal(exits.filter(Exit.isSuccess).length, 1, String(delayMs))
    assert.ok(Exit.isSuccess(await others))
  }
})

test("a deleted topic goes on both shards with its data; its list entry goes when every engine has forgotten it", async () => {
  for (const index of [0, 1]) {
    const { here, there, run, nameOn, meta, simulation } = make()
    const name = nameOn(index)
    const info = await run(here.topics.create(0, { name, partitions: 4 }))
    await run(here.topics.delete(0, name))
    for (const { topics, engine } of [here, there]) {
      assert.equal(topics.find(0, name), undefined)
      assert.equal(engine.partitions.size, 0)
    }
    assert.ok(meta.entries.has(removedKey(info)))
    for (const { topics } of [here, there]) topics.housekeep()
    await simulation.runAsync()
    assert.equal(meta.entries.has(removedKey(info)), false)
    const again = await run(there.topics.create(0, { name }))
    assert.notEqual(again.id, info.id)
  }
})

test("what an earlier life removed and did not forget is forgotten by the next", async () => {
  const first = make()
  const info = await first.run(first.here.topics.create(0, { name: "gone", partitions: 2 }))
  await first.run(first.here.topics.delete(0, "gone"))
  const listed = first.meta.entries.get(removedKey(info))
  assert.ok(listed !== undefined)
  const next = make({ meta: [listed] })
  await next.simulation.runAsync()
  assert.ok(next.here.engine.removed.some((id) => id === info.id))
  for (const { topics } of [next.here, next.there]) topics.housekeep()
  await next.simulation.runAsync()
  assert.equal(next.meta.entries.size, 0)
})

test("a topic that a PUBLISH made in memory can be deleted, wherever it is asked", async () => {
  for (const index of [0, 1]) {
    const { here, there, run, nameOn, simulation } = make()
    const name = nameOn(0)
    assert.ok(here.topics.createForPublishUnsafe(0, name) !== undefined)
    await simulation.runAsync()
    await run([here, there][index]?.topics.delete(0, name) ?? Effect.die("no shard"))
    await simulation.runAsync()
    for (const { topics } of [here, there]) assert.equal(topics.find(0, name), undefined)
  }
})

test("what is not partitioned by its names cannot be compacted; else it is made so, and stays so", async () => {
  const { here, reason, run, nameOn } = make({ compacts: true })
  const configs = { "cleanup.policy": "compact,delete" }
  for (const partitionBy of ["client", "level:2"] as const) {
    assert.equal(await reason(here.topics.create(0, { name: nameOn(0), partitionBy, configs })), "not-compactable")
    const info = await run(here.topics.create(0, { name: `by-${partitionBy.slice(0, 5)}`, partitions: 4, partitionBy }))
    assert.equal(info.partitionBy, partitionBy)
    const owners = new Set([0, 1, 2, 3].map((partition) => here.topics.ownerOf(info, partition)))
    if (partitionBy === "client") assert.equal(owners.size, 1)
    const bound = await run(here.topics.bindings.bind(0, info.name, `${info.name}/#`))
    assert.equal(bound.partitionBy, partitionBy)
    const operation = { name: "cleanup.policy", operation: "set", value: "compact" } as const
    assert.equal(await reason(here.topics.alter(0, info.name, { configs: [operation] })), "not-compactable")
    const more = await run(here.topics.alter(0, info.name, { partitions: 9 }))
    assert.deepEqual([more.partitions, more.partitionBy, more.filter], [9, partitionBy, `${info.name}/#`])
    assert.deepEqual([more.boundFrom, more.formerly], [bound.boundFrom, bound.formerly])
    const all = new Set(Array.from({ length: 9 }, (_, partition) => here.topics.ownerOf(more, partition)))
    assert.equal(all.size, partitionBy === "client" ? 1 : 2)
  }
  const info = await run(here.topics.create(0, { name: nameOn(1), partitionBy: "name", configs }))
  assert.equal(info.partitionBy, undefined)
})
