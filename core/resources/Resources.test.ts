import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import * as v from "valibot"
import { makeResources, pathOf, type Resource, targetOf, type Verb } from "./Resources.ts"

const get = () => Effect.succeed({})
const list = () => Effect.succeed({ items: [] })
const verb = (name: string, target?: "item" | "collection"): Verb => ({
  name,
  description: "",
  input: v.strictObject({}),
  run: () => Effect.void,
  ...(target === undefined ? {} : { target })
})
const make = (name: string, more: Partial<Resource> = {}): Resource => ({
  name,
  description: "",
  schema: v.unknown(),
  list,
  ...more
})

const register = (resource: Resource) =>
  Effect.runPromise(Effect.scoped(makeResources().register(resource)).pipe(Effect.as("registered")))

test("a resource is there as long as the scope that registered it", async () => {
  const resources = makeResources()
  const scope = Scope.makeUnsafe()
  await Effect.runPromise(resources.register(make("topics")).pipe(Scope.provide(scope)))
  await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        yield* resources.register(make("clients"))
        assert.deepEqual(
          resources.all().map(({ name }) => name),
          ["topics", "clients"]
        )
      })
    )
  )
  assert.deepEqual(
    resources.all().map(({ name }) => name),
    ["topics"]
  )
  await Effect.runPromise(Scope.close(scope, Exit.void))
  assert.deepEqual(resources.all(), [])
})

test("a second resource of the same name is a defect, and leaves the first one alone", async () => {
  const resources = makeResources()
  const twice = resources
    .register(make("topics"))
    .pipe(Effect.andThen(Effect.scoped(resources.register(make("topics")))))
  await assert.rejects(Effect.runPromise(Effect.scoped(twice)), /one resource is named "topics"/)
  const first = Scope.makeUnsafe()
  await Effect.runPromise(resources.register(make("topics")).pipe(Scope.provide(first)))
  await assert.rejects(Effect.runPromise(Effect.scoped(resources.register(make("topics")))))
  assert.equal(resources.all().length, 1)
})

for (const name of ["topics", "cluster/info", "kafka-groups", "a/b/c1"]) {
  test(`"${name}" is a name`, async () => assert.equal(await register(make(name)), "registered"))
}
for (const name of ["", "/topics", "topics/", "a//b", "Topics", "a b", "..", "a/../b", "1a", "a\n", "__proto__"]) {
  test(`${JSON.stringify(name)} is no name`, () => assert.rejects(register(make(name)), /plain path segments/))
}

test("a singleton has get and no list", async () => {
  assert.equal(
    await register({ name: "info", description: "", schema: v.unknown(), singleton: true, get }),
    "registered"
  )
  await assert.rejects(register(make("info", { singleton: true })), /has get and no list/)
  await assert.rejects(register(make("info", { singleton: true, get })), /has get and no list/)
})

test("a verb's name is a plain segment, and unique among those with the same target; sums are of all shards", async () => {
  assert.equal(
    await register(make("t", { verbs: [verb("create", "collection"), verb("create", "item")] })),
    "registered"
  )
  await assert.rejects(register(make("t", { verbs: [verb("x"), verb("x", "item")] })), /one verb of "t" is named "x"/)
  await assert.rejects(register(make("t", { verbs: [verb("a/b")] })), /plain path segment/)
  const summed = { ...verb("x", "collection"), isSummed: true }
  assert.equal(await register(make("t", { verbs: [{ ...summed, isEverywhere: true }] })), "registered")
  await assert.rejects(register(make("t", { verbs: [summed] })), /has sums of all/)
  const info = { name: "i", description: "", schema: v.unknown(), singleton: true, get }
  await assert.rejects(register({ ...info, verbs: [verb("x", "collection"), verb("x", "item")] }), /one verb of "i"/)
})

test("a plural is the path; names and paths are unique each", async () => {
  const topic = make("topic", { plural: "topics" })
  assert.deepEqual([pathOf(topic), pathOf(make("cluster/info"))], ["topics", "cluster/info"])
  const both = (second: Resource) => {
    const resources = makeResources()
    return Effect.runPromise(
      Effect.scoped(resources.register(topic).pipe(Effect.andThen(resources.register(second)), Effect.as("registered")))
    )
  }
  assert.equal(await both(make("user", { plural: "users" })), "registered")
  await assert.rejects(both(make("topic", { plural: "others" })), /one resource is named "topic"/)
  await assert.rejects(both(make("other", { plural: "topics" })), /one resource lies at "topics"/)
  await assert.rejects(both(make("topics")), /one resource lies at "topics"/)
  await assert.rejects(register(make("a", { plural: "A b" })), /plural "A b" is made of plain path segments/)
  const info = { name: "info", description: "", schema: v.unknown(), singleton: true, get, plural: "infos" }
  await assert.rejects(register(info), /has no plural/)
})

test("a kind fixes what a verb acts on, and a resource has one verb of each", async () => {
  const kinds = { create: "collection", alter: "item", delete: "item" } as const
  const all: Array<Verb> = []
  for (const [kind, target] of Object.entries(kinds) as Array<[keyof typeof kinds, "collection" | "item"]>) {
    const plain: Verb = { ...verb(kind), kind }
    all.push(plain)
    assert.equal(targetOf(plain), target)
    assert.equal(await register(make("t", { verbs: [{ ...plain, target }] })), "registered")
    const other = target === "item" ? "collection" : "item"
    await assert.rejects(register(make("t", { verbs: [{ ...plain, target: other }] })), /acts on what its kind does/)
    await assert.rejects(
      register(make("t", { verbs: [plain, { ...plain, name: "x" }] })),
      new RegExp(`one verb of "t" is of the kind "${kind}"`)
    )
    const info = { name: "i", description: "", schema: v.unknown(), singleton: true, get, verbs: [plain] }
    if (kind === "alter") assert.equal(await register(info), "registered")
    else await assert.rejects(register(info), /neither created nor deleted/)
  }
  const acts: ReadonlyArray<Verb> = [verb("a"), { ...verb("b"), kind: "act" }, verb("c", "collection")]
  assert.equal(await register(make("t", { verbs: [...all, ...acts] })), "registered")
  assert.deepEqual(acts.map(targetOf), ["item", "item", "collection"])
})
