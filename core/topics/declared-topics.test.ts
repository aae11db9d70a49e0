import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import type { DeclaredTopic } from "../node/NodeOptions.ts"
import { Simulation } from "../platform/simulated.ts"
import { declareTopics } from "./declared-topics.ts"
import { FakeMeta } from "./fakes.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import { decodeTopic, encodeTopic, removedKey, topicKey } from "./topic-codec.ts"

const declared = (topic: string, filter: string, changes: Partial<DeclaredTopic> = {}): DeclaredTopic => ({
  topic,
  filter,
  partitions: 1,
  engine: "memory",
  mode: "memory",
  ...changes
})

function make() {
  const simulation = new Simulation(1)
  const meta = new FakeMeta(simulation)
  const lines: Array<string> = []
  const log = {
    info: (_area: string, message: string) => void lines.push(message),
    warn: (_area: string, message: string) => void lines.push(message)
  }
  const declare = (...topics: ReadonlyArray<DeclaredTopic>) =>
    declareTopics({ declared: topics, meta, random: simulation.random, log })
  const start = (...topics: ReadonlyArray<DeclaredTopic>): ReadonlyArray<string> => {
    lines.length = 0
    Effect.runSync(declare(...topics))
    return [...lines]
  }
  const refusal = (...topics: ReadonlyArray<DeclaredTopic>): string =>
    Effect.runSync(Effect.flip(declare(...topics))).message
  const stored = (name: string): TopicInfo | undefined => {
    const entry = meta.entries.get(topicKey({ tenant: 0, name }))
    return entry === undefined ? undefined : decodeTopic(entry.key, entry.value)
  }
  const put = (info: TopicInfo): void => {
    const writes = [{ key: topicKey(info), value: encodeTopic(info) }]
    Effect.runSync(meta.transact({ compare: [], writes }))
  }
  return { meta, start, refusal, stored, put }
}

const created = (name: string, filter?: string): TopicInfo => ({
  tenant: 0,
  name,
  id: `id of ${name}`,
  partitions: 1,
  engine: "memory",
  mode: "memory",
  origin: "admin",
  ...(filter === undefined ? {} : { filter })
})

test("a declared topic is made once; the next start writes and says nothing", () => {
  const { meta, start, stored } = make()
  assert.deepEqual(start(declared("a", "a/#", { partitions: 3 })), [])
  const made = stored("a")
  assert.deepEqual([made?.partitions, made?.filter, made?.origin], [3, "a/#", "manifest"])
  const entries = [...meta.entries.values()]
  assert.deepEqual(start(declared("a", "a/#", { partitions: 3 })), [])
  assert.deepEqual([...meta.entries.values()], entries)
})

test("its id depends on its name alone, but where what is to be forgotten has that id", () => {
  const [one, other, third] = [make(), make(), make()]
  one.start(declared("a", "a/#"))
  other.start(declared("a", "b/#"))
  const id = one.stored("a")?.id ?? ""
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(other.stored("a")?.id, id)
  const writes = [{ key: removedKey({ id }), value: new Uint8Array(0) }]
  Effect.runSync(third.meta.transact({ compare: [], writes }))
  third.start(declared("a", "a/#"))
  assert.notEqual(third.stored("a")?.id, id)
})

test("how long its records are kept is what the manifest says now, of one that is there, too", () => {
  const { start, stored, put } = make()
  put({ ...created("a", "a/#"), origin: "manifest" })
  const week = { ms: 604_800_000, bytes: 0 }
  start(declared("a", "a/#", { retention: week }))
  assert.equal(stored("a")?.retention, undefined, "it is what it was")
  const hour = { ms: 3_600_000, bytes: 1_000 }
  assert.deepEqual(start(declared("a", "a/#", { retention: hour })), [])
  assert.deepEqual(stored("a")?.retention, hour)
  start(declared("a", "a/#", { retention: week }))
  assert.deepEqual(stored("a"), { ...created("a", "a/#"), origin: "manifest", retention: week })
})

test("how it is compressed is what the manifest says now, of one that is there, too", () => {
  const { start, stored, put, meta } = make()
  put({ ...created("a", "a/#"), origin: "manifest" })
  const entries = [...meta.entries.values()]
  start(declared("a", "a/#", { compression: "none" }))
  assert.deepEqual([...meta.entries.values()], entries, "it is what it was")
  assert.deepEqual(start(declared("a", "a/#", { compression: "zstd" })), [])
  assert.equal(stored("a")?.compression, "zstd")
  start(declared("a", "a/#"))
  assert.equal(stored("a")?.compression, "zstd", "where nothing is said it stays")
  start(declared("a", "a/#", { compression: "none" }))
  assert.equal(stored("a")?.compression, "none")
  start(declared("a", "a/#", { compression: "none" }), declared("b", "b/#", { compression: "zstd" }))
  assert.equal(stored("b")?.compression, "zstd")
})

test("what the manifest says otherwise is told in one line, and changes nothing", () => {
  const { start, stored } = make()
  start(declared("a", "a/#"))
  const before = stored("a")
  const changed = declared("a", "b/#", { partitions: 4, engine: "sqlite", mode: "persistent" })
  assert.deepEqual(start(changed), [
    'topic "a" stays as it is, with partitions 1 where the manifest says 4, with engine "memory" where the manifest says "sqlite", with mode "memory" where the manifest says "persistent", with filter "a/#" where the manifest says "b/#"; engine and mode are changed by "manifold topic move"; the filter is changed by "manifold topic bind"; to have it made anew, without what it holds, delete it and start again'
  ])
  assert.deepEqual(stored("a"), before)
  assert.equal(start(changed).length, 1)
})

test("one that is no longer declared stays, which is said once; declared again it is the manifest's again", () => {
  const { start, stored } = make()
  start(declared("a", "a/#"), declared("b", "b/#"))
  const { id } = stored("a") ?? created("a")
  assert.deepEqual(start(declared("b", "b/#")), [
    'topic "a" is no longer declared: it stays, with what it holds, until it is deleted'
  ])
  assert.deepEqual([stored("a")?.origin, stored("a")?.id], ["admin", id])
  assert.deepEqual(start(declared("b", "b/#")), [])
  assert.deepEqual(start(declared("a", "a/#"), declared("b", "b/#")), [])
  assert.deepEqual([stored("a")?.origin, stored("a")?.id], ["manifest", id])
  assert.equal(start().length, 2)
})

test("topics that were created at run time stay silent; one of a declared name is taken over", () => {
  const { start, stored, put } = make()
  for (let index = 0; index < 2_500; index++) put(created(`t${index}`))
  put(created("a"))
  assert.deepEqual(start(declared("b", "b/#")), [])
  assert.match(start(declared("a", "a/#"))[0] ?? "", /^topic "a" stays as it is, with filter "none" where/)
  assert.deepEqual([stored("a")?.origin, stored("a")?.id], ["manifest", "id of a"])
})

test("a filter that shares names with one that was bound at run time keeps the node from starting", () => {
  const { start, refusal, put } = make()
  put(created("rival", "x/+"))
  assert.equal(
    refusal(declared("a", "x/+")),
    'binding of topic "a": filter "x/+" has names in common with "x/+" of topic "rival", which was bound at run time and has the same rank: a name has one home'
  )
  assert.deepEqual(start(declared("a", "x/y"), declared("b", "x/+/#")), [])
})

test("what was set for a declared topic at run time outlives the next start; what was not follows the manifest", () => {
  const { start, stored, put } = make()
  const topic = declared("a", "a/+", { retention: { ms: 60_000, bytes: 7 }, configs: { "segment.ms": "5" } })
  start(topic)
  const made = stored("a")
  assert.ok(made !== undefined)
  assert.deepEqual(made.configs, { "segment.ms": "5" })
  put({ ...made, retention: { ms: 1_000, bytes: 7 }, configs: { "retention.ms": "1000" } })
  start({ ...topic, retention: { ms: 60_000, bytes: 9 } })
  assert.deepEqual(stored("a")?.retention, { ms: 1_000, bytes: 9 })
  assert.deepEqual(stored("a")?.configs, { "retention.ms": "1000" })
})

test("a declared topic that was bound otherwise at run time stays so, and is a rival where another one is declared with its filter", () => {
  const { start, refusal, stored, put } = make()
  start(declared("a", "a/+"))
  const before = stored("a") ?? assert.fail("it is there")
  put({ ...before, filter: "b/+", boundFrom: [3], formerly: [{ filter: "a/+", from: [] }] })
  const [line = ""] = start(declared("a", "a/+"))
  assert.match(
    line,
    /with filter "b\/\+" where the manifest says "a\/\+"; the filter is changed by "manifold topic bind"/
  )
  assert.deepEqual([stored("a")?.filter, stored("a")?.boundFrom], ["b/+", [3]])
  assert.match(refusal(declared("a", "a/+"), declared("c", "b/+")), /"b\/\+" of topic "a", which was bound at run time/)
})
