import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import * as v from "valibot"
import type { Resource } from "./Resources.ts"
import { resourceList } from "./resource-list.ts"

const topic: Resource = {
  name: "topic",
  plural: "topics",
  description: "Topics",
  schema: v.strictObject({ name: v.string(), partitions: v.number() }),
  idMember: "name",
  list: () => Effect.succeed({ items: [] }),
  verbs: [
    {
      name: "create",
      kind: "create",
      description: "Makes one",
      input: v.strictObject({
        name: v.pipe(
          v.string(),
          v.minLength(1),
          v.check(() => true)
        ),
        partitions: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1)
      }),
      run: () => Effect.void
    },
    { name: "empty", description: "Empties it", input: v.strictObject({}), run: () => Effect.void }
  ]
}
const info: Resource = {
  name: "cluster/info",
  description: "This cluster",
  schema: v.unknown(),
  singleton: true,
  get: () => Effect.void,
  verbs: [{ name: "turn", description: "", input: v.strictObject({}), run: () => Effect.void }]
}

function listed(...resources: ReadonlyArray<Resource>) {
  const all: Array<Resource> = [...resources]
  const list = resourceList({ all: () => all })
  all.push(list)
  return list
}
const page = (list: Resource, limit = 100, cursor = "", filter = "") =>
  Effect.runPromise(list.list?.({ limit, cursor, filter }) ?? Effect.die("no list"))

test("a resource is told with its verbs, and its schemas as JSON Schema", async () => {
  const list = listed(topic)
  assert.deepEqual(await Effect.runPromise(list.get?.("topic") ?? Effect.void), {
    name: "topic",
    path: "topics",
    description: "Topics",
    singleton: false,
    list: true,
    get: false,
    verbs: [
      {
        name: "create",
        description: "Makes one",
        kind: "create",
        target: "collection",
        input: {
          $schema: "https://json-schema.org/draft/2020-12/schema",
          type: "object",
          properties: {
            name: { type: "string", minLength: 1 },
            partitions: { type: "integer", minimum: 1, default: 1 }
          },
          required: ["name"],
          additionalProperties: false
        }
      },
      {
        name: "empty",
        description: "Empties it",
        kind: "act",
        target: "item",
        input: {
          $schema: "https://json-schema.org/draft/2020-12/schema",
          type: "object",
          properties: {},
          required: [],
          additionalProperties: false
        }
      }
    ],
    item: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      properties: { name: { type: "string" }, partitions: { type: "number" } },
      required: ["name", "partitions"],
      additionalProperties: false
    }
  })
})

test("a singleton and its verbs say so", async () => {
  const found = v.parse(
    v.object({ singleton: v.boolean(), list: v.boolean(), verbs: v.array(v.object({ target: v.string() })) }),
    await Effect.runPromise(listed(info).get?.("cluster/info") ?? Effect.void)
  )
  assert.deepEqual(found, { singleton: true, list: false, verbs: [{ target: "singleton" }] })
})

test("what it tells is what its schema says, itself included", async () => {
  const list = listed(topic, info)
  const { items } = await page(list)
  assert.equal(items.length, 3)
  for (const item of items) assert.deepEqual(v.parse(list.schema, JSON.parse(JSON.stringify(item))), item)
})

test("pages go by name, and a filter picks", async () => {
  const list = listed(topic, info)
  const nameOf = (item: unknown) => v.parse(v.object({ name: v.string() }), item).name
  const first = await page(list, 2)
  assert.deepEqual([first.items.map(nameOf), first.cursor], [["cluster/info", "resource"], "resource"])
  const second = await page(list, 2, "resource")
  assert.deepEqual([second.items.map(nameOf), second.cursor], [["topic"], undefined])
  assert.deepEqual((await page(list, 9, "", "o")).items.map(nameOf), ["cluster/info", "resource", "topic"])
  assert.deepEqual((await page(list, 9, "", "info")).items.map(nameOf), ["cluster/info"])
})

test("one that is not there is not found", async () => {
  const missing = listed(topic).get?.("topics") ?? Effect.void
  await assert.rejects(Effect.runPromise(missing), { code: "resource-not-found", reason: "not-found" })
})
