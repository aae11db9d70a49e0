import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import * as v from "valibot"
import type { NewTopic } from "../topics/AgreedTopics.ts"
import { TopicDirectory } from "../topics/TopicDirectory.ts"
import { TopicError } from "../topics/TopicError.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import type { TopicAlteration } from "../topics/topic-alteration.ts"
import { makeResources, type Page, type Resource, type ResourceError } from "./Resources.ts"
import { topicResource } from "./topic.ts"

const info = (name: string, changes: Partial<TopicInfo> = {}): TopicInfo => ({
  tenant: 0,
  name,
  id: `id of ${name}`,
  partitions: 1,
  engine: "memory",
  mode: "memory",
  origin: "admin",
  ...changes
})

function make(fault?: TopicError["reason"]) {
  const directory = new TopicDirectory()
  const asked: Array<unknown> = []
  const failing = new TopicError({ topic: "t", reason: fault ?? "exists", message: "why" })
  const topics = {
    find: (tenant: number, name: string) => directory.find(tenant, name),
    page: (tenant: number, cursor: string, part: string, limit: number) => directory.page(tenant, cursor, part, limit),
    create: (tenant: number, topic: NewTopic) => {
      asked.push([tenant, topic])
      return fault === undefined ? Effect.succeed(info(topic.name, { filter: "a/+" })) : Effect.fail(failing)
    },
    alter: (tenant: number, name: string, alteration: TopicAlteration) => {
      asked.push([tenant, name, alteration])
      return fault === undefined ? Effect.succeed(info(name)) : Effect.fail(failing)
    },
    delete: (tenant: number, name: string) => {
      asked.push([tenant, name])
      return fault === undefined ? Effect.void : Effect.fail(failing)
    }
  }
  const moved = (...given: ReadonlyArray<unknown>) => {
    asked.push(given)
    return fault === undefined ? Effect.succeed(info(String(given[1]))) : Effect.fail(failing)
  }
  const moves = { move: moved, cancel: moved, all: () => Effect.succeed([]) }
  return { directory, asked, resource: topicResource(topics, moves, { bind: moved }) }
}

const run = <A>(effect: Effect.Effect<A, ResourceError> | undefined): Promise<A> =>
  Effect.runPromise(effect ?? Effect.die("not there"))
const refused = (effect: Effect.Effect<unknown, ResourceError> | undefined): Promise<ResourceError> =>
  Effect.runPromise(Effect.flip(effect ?? Effect.die("not there")))
const verb = ({ verbs }: Resource, name: string) => verbs?.find((each) => each.name === name)

test("the declaration is a resource, and its items are what its schema says", async () => {
  const { directory, resource } = make()
  await Effect.runPromise(Effect.scoped(makeResources().register(resource)))
  directory.add(info("a", { filter: "a/#", partitions: 3, origin: "manifest" }))
  const item = await run(resource.get?.("a"))
  assert.deepEqual(v.parse(resource.schema, item), item)
  assert.deepEqual(item, {
    name: "a",
    partitions: 3,
    engine: "memory",
    mode: "memory",
    retention_time: 604_800,
    retention_bytes: 0,
    compression: "none",
    configs: {},
    filter: "a/#",
    partition_by: "name",
    origin: "manifest",
    id: "id of a"
  })
  const { reason, code, message } = await refused(resource.get?.("a\u0000"))
  assert.deepEqual([reason, code, message], ["not-found", "topic-not-found", 'there is no topic "a\\u0000"'])
})

test("pages go through all names in order, whatever comes and goes between them; a filter picks", async () => {
  const { directory, resource } = make()
  for (const name of ["b", "a", "d", "c", "ab"]) directory.add(info(name))
  directory.add(info("other", { tenant: 1 }))
  const names = ({ items }: Page<unknown>): ReadonlyArray<unknown> =>
    items.map((item) => (item as { name: string }).name)
  const first = await run(resource.list?.({ limit: 2, cursor: "", filter: "" }))
  assert.deepEqual([names(first), first.cursor], [["a", "ab"], "ab"])
  directory.remove("id of ab")
  directory.add(info("aa"))
  const second = await run(resource.list?.({ limit: 2, cursor: first.cursor ?? "", filter: "" }))
  assert.deepEqual([names(second), second.cursor], [["b", "c"], "c"])
  const last = await run(resource.list?.({ limit: 2, cursor: "c", filter: "" }))
  assert.deepEqual([names(last), last.cursor], [["d"], undefined])
  assert.deepEqual(names(await run(resource.list?.({ limit: 9, cursor: "", filter: "a" }))), ["a", "aa"])
  assert.deepEqual(names(await run(resource.list?.({ limit: 9, cursor: "zz", filter: "" }))), [])
})

test("a page of 100,000 topics costs no look at all of them", async () => {
  const { directory, resource } = make()
  for (let index = 0; index < 100_000; index++) directory.add(info(`t${index}`))
  const startMs = performance.now()
  for (let round = 0; round < 200; round++) {
    const page = await run(resource.list?.({ limit: 100, cursor: "t55", filter: "" }))
    assert.equal(page.items.length, 100)
  }
  assert.ok((performance.now() - startMs) / 200 < 10, "milliseconds a page")
})

test("what is created is asked for as given, and what is deleted by its name", async () => {
  const { asked, resource } = make()
  const create = verb(resource, "create")
  const given = { name: "t", partitions: 3, engine: "e", mode: "hybrid", filter: "a/+" } as const
  const made = await run(create?.run("", given))
  assert.equal((made as { filter: string }).filter, "a/+")
  await run(create?.run("", { name: "u" }))
  await run(create?.run("", { name: "v", retention_time: 60 }))
  await run(create?.run("", { name: "w", retention_bytes: 0 }))
  await run(create?.run("", { name: "x", compression: "zstd" }))
  await run(verb(resource, "delete")?.run("t", {}))
  assert.deepEqual(asked, [
    [0, given],
    [0, { name: "u" }],
    [0, { name: "v", retention: { ms: 60_000 } }],
    [0, { name: "w", retention: { bytes: 0 } }],
    [0, { name: "x", compression: "zstd" }],
    [0, "t"]
  ])
  for (const bad of [
    {},
    { name: 1 },
    { name: "t", partitions: 0 },
    { name: "t", partitions: 10_001 },
    { name: "t", mode: "fast" },
    { name: "t", retention_time: -1 },
    { name: "t", retention_bytes: 0.5 },
    { name: "t", compression: "gzip" },
    { name: "t", more: 1 }
  ]) {
    assert.equal(v.safeParse(create?.input ?? v.unknown(), bad).success, false, JSON.stringify(bad))
  }
})

test("each refusal has a code of its own", async () => {
  const rows: ReadonlyArray<readonly [TopicError["reason"], string, string]> = [
    ["invalid-name", "invalid", "invalid-topic-name"],
    ["invalid-filter", "invalid", "invalid-topic-filter"],
    ["not-allowed", "refused", "topic-creation-off"],
    ["exists", "conflict", "topic-exists"],
    ["not-found", "not-found", "topic-not-found"],
    ["filter-conflict", "conflict", "topic-filter-conflict"],
    ["engine-missing", "invalid", "engine-not-available"],
    ["mode-missing", "invalid", "mode-not-available"],
    ["compaction-missing", "invalid", "compaction-not-available"],
    ["meta-store", "unavailable", "meta-store-unavailable"]
  ]
  for (const [fault, reason, code] of rows) {
    const { resource } = make(fault)
    for (const refusal of [
      await refused(verb(resource, "create")?.run("", { name: "t" })),
      await refused(verb(resource, "delete")?.run("t", {}))
    ]) {
      assert.deepEqual([refusal.reason, refusal.code, refusal.message], [reason, code, "why"])
    }
  }
})

test("a move is asked for as it was wished, and its refusals have codes of their own", async () => {
  const { resource, asked } = make()
  await run(verb(resource, "move")?.run("t", { engine: "segment", mode: "hybrid", rate: 0.5 }))
  await run(verb(resource, "move")?.run("t", { mode: "persistent" }))
  await run(verb(resource, "cancel-move")?.run("t", {}))
  assert.deepEqual(asked, [
    [0, "t", { engine: "segment", mode: "hybrid", bytesPerSecond: 524_288 }],
    [0, "t", { mode: "persistent" }],
    [0, "t"]
  ])
  for (const [reason, code] of [
    ["moving", "topic-moving"],
    ["not-moving", "topic-not-moving"],
    ["move-refused", "topic-move-refused"]
  ] as const) {
    assert.equal((await refused(verb(make(reason).resource, "move")?.run("t", {}))).code, code)
  }
})

test("an alteration is of configurations, whatever they are called, and of partitions", async () => {
  const { asked, resource } = make()
  const given = {
    partitions: 4,
    retention_time: 60,
    retention_bytes: 0,
    configs: { "cleanup.policy": "compact", "retention.bytes": "7" },
    reset: ["segment.ms"]
  }
  await run(verb(resource, "alter")?.run("t", given))
  assert.deepEqual(asked, [
    [
      0,
      "t",
      {
        partitions: 4,
        configs: [
          { name: "segment.ms", operation: "delete", value: "" },
          { name: "retention.ms", operation: "set", value: "60000" },
          { name: "retention.bytes", operation: "set", value: "7" },
          { name: "cleanup.policy", operation: "set", value: "compact" }
        ]
      }
    ]
  ])
  const partitions = await make("invalid-partitions")
  const { reason, code } = await refused(verb(partitions.resource, "alter")?.run("t", { partitions: 1 }))
  assert.deepEqual([reason, code], ["invalid", "topic-partitions-invalid"])
})

test("configurations are handed on and shown", async () => {
  const { asked, directory, resource } = make()
  await run(verb(resource, "create")?.run("", { name: "t", configs: { "segment.ms": "5" } }))
  assert.deepEqual(asked, [[0, { name: "t", configs: { "segment.ms": "5" } }]])
  directory.add(info("a", { configs: { "cleanup.policy": "compact" } }))
  const item = (await run(resource.get?.("a"))) as { configs: unknown }
  assert.deepEqual(item.configs, { "cleanup.policy": "compact" })
})
