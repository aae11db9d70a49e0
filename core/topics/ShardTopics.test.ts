import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit } from "effect"
import { messageOf } from "../ingress/fakes.ts"
import type { PartitionLimits } from "../log/Engines.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import { Simulation } from "../platform/simulated.ts"
import { SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { type JoinTopicsOptions, joinTopics, NotingEngine } from "./fakes.ts"
import type { Retention } from "./TopicInfo.ts"
import { topicKey } from "./topic-codec.ts"

/** Topics of two shards; `owner` coordinates the name "owned", `other` does not. */
function make(options: JoinTopicsOptions = {}, name = "owned") {
  const simulation = new Simulation(1)
  const { joined, meta, shards, logged } = joinTopics(simulation, options)
  const index = slotOf(0, SLOT_TOPIC, name, 0) % 2
  const [owner, other] = index === 0 ? shards : shards.toReversed()
  assert.ok(owner !== undefined && other !== undefined)
  /** Names that the same shard coordinates, "owned" first. */
  const names = Array.from({ length: 60 }, (_, at) => `t${at}`).filter(
    (each) => slotOf(0, SLOT_TOPIC, each, 0) % 2 === index
  )
  const both = [owner.topics, other.topics] as const
  return { simulation, joined, meta, logged, owner, other, both, names: [name, ...names] }
}

const run = async <A, E>(simulation: Simulation, effect: Effect.Effect<A, E>): Promise<Exit.Exit<A, E>> => {
  const done = Effect.runPromise(Effect.exit(effect))
  await simulation.runAsync()
  return done
}

test("a topic that a PUBLISH creates is open on its coordinator at once and known elsewhere after a turn", () => {
  const { simulation, owner, other } = make()
  const info = owner.topics.createForPublishUnsafe(0, "owned")
  assert.ok(info !== undefined)
  assert.deepEqual([info.name, info.origin, info.engine, info.mode], ["owned", "publish", "memory", "memory"])
  assert.match(info.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.ok(owner.topics.logUnsafe(info, 0) !== undefined)
  assert.equal(other.topics.find(0, "owned"), undefined)
  simulation.run()
  assert.deepEqual(other.topics.find(0, "owned"), info)
  assert.deepEqual(other.topics.findById(info.id), info)
  assert.equal(other.topics.logUnsafe(info, 0), undefined)
  assert.equal(other.topics.ownerOf(info, 0), owner.topics.ownerOf(info, 0))
})

test("a name that is not plain, or that has its topic already, creates nothing", () => {
  const { owner } = make()
  for (const name of ["with space/x", "a//b", "_internal", "$SYS/x"]) {
    assert.equal(owner.topics.createForPublishUnsafe(0, name), undefined)
    assert.equal(owner.topics.creatable(name), false, name)
  }
  assert.equal(owner.topics.creatable("owned"), true)
  assert.ok(owner.topics.createForPublishUnsafe(0, "owned") !== undefined)
  assert.equal(owner.topics.createForPublishUnsafe(0, "owned"), undefined)
  assert.equal(make({ defaults: { autoCreateMqtt: "off" } }).owner.topics.creatable("owned"), false)
})

test("past the rate nothing is created, and it is counted", () => {
  const { owner, names } = make({ published: { creationsPerSecond: 6 } })
  const made = names.slice(0, 10).map((name) => owner.topics.createForPublishUnsafe(0, name))
  assert.equal(made.filter((info) => info !== undefined).length, 3)
  assert.equal(owner.topics.published.refusedCount, 7)
})

test("past the number the oldest goes, on every shard, with its log; on return it has a new id", () => {
  const { simulation, owner, other, logged, names } = make({ published: { topicsMax: 4 } })
  const infos = names.slice(0, 3).map((name) => {
    simulation.run(simulation.clock.monotonicMs() + 10)
    const info = owner.topics.createForPublishUnsafe(0, name)
    assert.ok(info !== undefined)
    owner.topics.logUnsafe(info, 0)?.takeUnsafe(messageOf(name, "x"))
    return info
  })
  simulation.run()
  assert.equal(owner.topics.find(0, "owned"), undefined)
  assert.equal(other.topics.find(0, "owned"), undefined)
  assert.equal(owner.topics.size, 2)
  assert.equal(other.topics.size, 2)
  assert.equal(owner.engine.partitions.size, [...owner.topics.logs()].length)
  assert.equal(logged.length, 1)
  const again = owner.topics.createForPublishUnsafe(0, "owned")
  assert.notEqual(again?.id, infos[0]?.id)
})

test("housekeeping keeps the bound of bytes", () => {
  const { owner, names } = make({ published: { sizeBytesMax: 20_000 } })
  for (const name of names.slice(0, 3)) {
    const info = owner.topics.createForPublishUnsafe(0, name)
    assert.ok(info !== undefined)
    owner.topics.logUnsafe(info, 0)?.takeUnsafe(messageOf(name, new Uint8Array(4_500)))
  }
  owner.topics.housekeep()
  assert.equal(owner.topics.size, 2)
})

test("a Kafka client's topic is agreed in the meta store and known on both shards, whoever was asked", async () => {
  for (const asked of ["owner", "other"] as const) {
    const parts = make()
    const exit = await run(parts.simulation, parts[asked].topics.ensure(0, "owned"))
    assert.ok(Exit.isSuccess(exit))
    for (const topics of parts.both) assert.deepEqual(topics.find(0, "owned"), exit.value)
    assert.ok(parts.owner.topics.logUnsafe(exit.value, 0) !== undefined)
    assert.ok(parts.meta.entries.has(topicKey({ tenant: 0, name: "owned" })))
    assert.equal(exit.value.origin, "kafka")
  }
})

test("many who ask for one name at once get one topic, also where the meta store takes its time", async () => {
  const { simulation, meta, owner, other } = make()
  meta.delayMs = 20
  const asked = [owner, other, owner, other, other].map(({ topics }) => Effect.runPromise(topics.ensure(0, "owned")))
  await simulation.runAsync()
  const ids = new Set((await Promise.all(asked)).map(({ id }) => id))
  assert.equal(ids.size, 1)
  assert.equal(owner.engine.partitions.size, 1)
})

test("what may not be created is refused with its reason", async () => {
  const rows: ReadonlyArray<readonly [JoinTopicsOptions, string, string]> = [
    [{}, "not valid", "invalid-name"],
    [{}, "", "invalid-name"],
    [{ defaults: { autoCreate: false } }, "owned", "not-allowed"],
    [{ defaults: { forName: () => ({ partitions: 1, engine: "none", mode: "memory" }) } }, "owned", "engine-missing"]
  ]
  for (const [options, name, reason] of rows) {
    const { simulation, owner } = make(options)
    const exit = await run(simulation, Effect.flip(owner.topics.ensure(0, name)))
    assert.ok(Exit.isSuccess(exit))
    assert.equal(exit.value.reason, reason)
    assert.equal(owner.topics.size, 0)
  }
})

test("partitions are opened where their slots are owned, each on one shard", async () => {
  const forName = () => ({ partitions: 12, engine: "memory", mode: "memory" }) as const
  const { simulation, owner, other } = make({ defaults: { forName } })
  const exit = await run(simulation, other.topics.ensure(0, "owned"))
  assert.ok(Exit.isSuccess(exit))
  const info = exit.value
  for (let partition = 0; partition < 12; partition++) {
    const opened = [owner, other].filter(({ topics }) => topics.logUnsafe(info, partition) !== undefined)
    assert.equal(opened.length, 1, String(partition))
  }
  assert.ok(owner.engine.partitions.size > 1 && other.engine.partitions.size > 1)
})

test("how much is kept is what was said, else as the rules say, else seven days of any size", async () => {
  const day = 86_400_000
  const byRule = { ms: 2 * day, bytes: 500 }
  const rows: ReadonlyArray<readonly [Retention | undefined, Partial<Retention> | undefined, number, number]> = [
    [undefined, undefined, 7 * day, Number.POSITIVE_INFINITY],
    [undefined, { bytes: 9 }, 7 * day, 9],
    [byRule, undefined, 2 * day, 500],
    [byRule, { ms: 0 }, 0, 500],
    [byRule, { bytes: 0 }, 2 * day, Number.POSITIVE_INFINITY]
  ]
  for (const [retention, given, ageMsMax, sizeBytesMax] of rows) {
    const limits: Array<PartitionLimits> = []
    const engine = new NotingEngine()
    const open = engine.open.bind(engine)
    engine.open = (key, options) => {
      limits.push(options.limits)
      return open(key, options)
    }
    const forName = () =>
      ({ partitions: 1, engine: "memory", mode: "memory", ...(retention && { retention }) }) as const
    const { simulation, owner } = make({ defaults: { forName }, engine })
    const topic = { name: "owned", ...(given && { retention: given }) }
    assert.ok(Exit.isSuccess(await run(simulation, owner.topics.create(0, topic))))
    assert.deepEqual(limits, [{ ageMsMax, sizeBytesMax, recordsMax: Number.POSITIVE_INFINITY }])
  }
})

test("a topic is compressed as it is asked for, else as the rules say; batches and bytes are counted by engine", async () => {
  const rows = [
    [undefined, undefined, false],
    [undefined, "zstd", true],
    ["zstd", undefined, true],
    ["zstd", "none", false]
  ] as const
  for (const [byRule, given, isCompressed] of rows) {
    const forName = () =>
      ({ partitions: 1, engine: "memory", mode: "memory", ...(byRule && { compression: byRule }) }) as const
    const { simulation, owner } = make({ defaults: { forName } })
    const exit = await run(simulation, owner.topics.create(0, { name: "owned", ...(given && { compression: given }) }))
    assert.ok(Exit.isSuccess(exit))
    assert.equal(exit.value.compression, isCompressed ? "zstd" : undefined)
    const log = owner.topics.logUnsafe(exit.value, 0)
    log?.takeUnsafe(messageOf("owned", "21.5 degrees; ".repeat(100)))
    log?.seal()
    const [[engine, counts] = []] = [...owner.topics.compressionCounts()]
    assert.deepEqual([engine, counts?.compressed], ["memory", isCompressed ? 1 : 0])
    assert.equal((counts?.inputBytes ?? 0) > (counts?.outputBytes ?? 0), isCompressed)
  }
})

test("one turn compresses so much and no more, whichever topics it is for; the next goes on", async () => {
  const forName = () => ({ partitions: 1, engine: "memory", mode: "memory", compression: "zstd" }) as const
  const { simulation, owner } = make({ defaults: { forName } })
  const logs: Array<PartitionLog> = []
  for (const name of ["a", "b", "c", "d", "e", "f", "g", "h"]) {
    const exit = await run(simulation, owner.topics.create(0, { name }))
    const log = Exit.isSuccess(exit) ? owner.topics.logUnsafe(exit.value, 0) : undefined
    if (log !== undefined) logs.push(log)
  }
  assert.ok(logs.length >= 2, "some are this shard's")
  const counts = () => [...owner.topics.compressionCounts()][0]?.[1]
  const busy: Array<boolean> = []
  for (let turn = 0; turn < 2; turn++) {
    const [before, was] = [counts()?.compressed ?? 0, counts()?.busy ?? 0]
    for (let each = 0; each < 60; each++) {
      logs[each % logs.length]?.takeUnsafe(messageOf("owned", new Uint8Array(40_000)))
      busy.push((counts()?.busy ?? 0) > was)
    }
    const compressed = (counts()?.compressed ?? 0) - before
    assert.ok(compressed > 20 && compressed < 30, String(compressed))
    assert.equal((counts()?.busy ?? 0) - was, 60 - compressed)
    await run(simulation, Effect.void)
  }
  assert.deepEqual(busy.slice(60), busy.slice(0, 60))
})

test("what the meta store drops is dropped, with its data; what it names anew replaces", async () => {
  const { simulation, meta, owner, both } = make()
  const exit = await run(simulation, owner.topics.ensure(0, "owned"))
  assert.ok(Exit.isSuccess(exit))
  const key = topicKey(exit.value)
  const anew = new TextEncoder().encode(JSON.stringify({ ...exit.value, id: "second" }))
  await Effect.runPromise(meta.transact({ compare: [], writes: [{ key, value: anew }] }))
  for (const topics of both) assert.equal(topics.find(0, "owned")?.id, "second")
  assert.deepEqual([...owner.engine.partitions.keys()], ["0/second/0"])
  await Effect.runPromise(meta.transact({ compare: [], writes: [{ key, value: undefined }] }))
  for (const topics of both) assert.equal(topics.size, 0)
  assert.equal(owner.engine.partitions.size, 0)
})

test("listeners hear which name a change makes stale, or that all may be", async () => {
  const { simulation, meta, owner } = make()
  const heard: Array<string | undefined> = []
  owner.topics.onChange((name) => heard.push(name))
  const { version } = owner.topics
  owner.topics.createForPublishUnsafe(0, "owned")
  assert.deepEqual(heard, ["owned"])
  assert.equal(owner.topics.version, version)
  const bound = { tenant: 0, name: "bound", id: "b", partitions: 1, engine: "memory", mode: "memory", filter: "x/+" }
  const value = new TextEncoder().encode(JSON.stringify(bound))
  await run(simulation, meta.transact({ compare: [], writes: [{ key: "topics/0/bound", value }] }))
  assert.deepEqual(heard, ["owned", undefined])
  assert.ok(owner.topics.version > version)
})

test("closing closes every log", async () => {
  const { owner, names } = make()
  for (const name of names.slice(0, 3)) owner.topics.createForPublishUnsafe(0, name)
  assert.equal([...owner.topics.logs()].length, 3)
  await Effect.runPromise(owner.topics.closeAll())
  assert.equal([...owner.topics.logs()].length, 0)
})

test("a name without a topic is sequenced where its topic would be", () => {
  const { both } = make()
  const [one, two] = both
  for (const name of ["owned", "sensors/room1", "not plain/x", "a//b"]) {
    assert.equal(one.ownerOfName(0, name), two.ownerOfName(0, name))
  }
  const info = one.createForPublishUnsafe(0, "owned")
  assert.ok(info !== undefined)
  assert.equal(one.ownerOf(info, 0), one.ownerOfName(0, "owned"))
})

test("while a Kafka client's topic is being created a PUBLISH on its name makes no second one", async () => {
  const { simulation, meta, owner } = make()
  meta.delayMs = 50
  const creating = Effect.runPromise(Effect.exit(owner.topics.ensure(0, "owned")))
  simulation.run(10)
  assert.equal(owner.topics.createForPublishUnsafe(0, "owned"), undefined)
  await simulation.runAsync()
  const exit = await creating
  assert.ok(Exit.isSuccess(exit))
  assert.equal(owner.topics.find(0, "owned")?.id, exit.value.id)
  owner.topics.metaChanged({ key: topicKey(exit.value), value: undefined, revision: 9 })
  assert.ok(owner.topics.createForPublishUnsafe(0, "owned") !== undefined)
})
