import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import * as v from "valibot"
import { makeResources, type Page, type Resource, ResourceError } from "./Resources.ts"

const missing = (id: string) => new ResourceError({ reason: "not-found", code: "client-not-found", message: id })

/** A resource over texts in order; the cursor is the last one of a page. */
function part(shard: number, ids: ReadonlyArray<string>, calls: Array<string> = []): Resource {
  const find = (id: string) => (ids.includes(id) ? Effect.succeed({ id, shard }) : Effect.fail(missing(id)))
  return {
    name: "client",
    plural: "clients",
    description: `of shard ${shard}`,
    schema: v.unknown(),
    idMember: "id",
    list: ({ limit, cursor, filter }) => {
      assert.ok(limit > 0, "a shard is asked for one item at least")
      const rest = ids.filter((id) => id > cursor && id.includes(filter))
      const items = rest.slice(0, limit)
      const last = items.at(-1)
      return Effect.succeed(rest.length > limit && last !== undefined ? { items, cursor: last } : { items })
    },
    get: find,
    verbs: [
      { name: "kick", description: "", input: v.unknown(), run: (id) => Effect.as(find(id), `kicked by ${shard}`) },
      {
        name: "fail",
        description: "",
        input: v.unknown(),
        run: (id) => {
          calls.push(`${shard} ${id}`)
          return Effect.fail(new ResourceError({ reason: "conflict", code: "no", message: "no" }))
        }
      },
      {
        name: "sweep",
        description: "",
        target: "collection",
        input: v.unknown(),
        run: () => Effect.succeed(`swept by ${shard}`)
      }
    ]
  }
}

/** The one resource of a node whose shards register `parts`. */
function withParts<Result>(parts: ReadonlyArray<Resource>, use: (resource: Resource) => Promise<Result>) {
  const resources = makeResources()
  return Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        for (const [shard, each] of parts.entries()) yield* resources.forPlugin("line", shard).register(each)
        const [only, ...others] = resources.all()
        assert.ok(only !== undefined && others.length === 0)
        return yield* Effect.promise(() => use(only))
      })
    )
  )
}

const code = (effect: Effect.Effect<unknown, ResourceError> | undefined): Promise<string> =>
  Effect.runPromise(
    (effect ?? Effect.succeed("nothing")).pipe(
      Effect.match({ onSuccess: (value) => JSON.stringify(value), onFailure: (error) => error.code })
    )
  )

test("pages of any size show every item of every shard once, in order", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.uniqueArray(fc.stringMatching(/^[a-c:0-9]{1,3}$/), { maxLength: 8 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 9 }),
      async (shards, limit) => {
        const sorted = shards.map((ids) => ids.toSorted())
        await withParts(
          sorted.map((ids, shard) => part(shard, ids)),
          async (resource) => {
            const seen: Array<unknown> = []
            let cursor = ""
            for (let pages = 0; ; pages++) {
              assert.ok(pages <= seen.length + 1, "a page that is not the last one holds something")
              const page: Page<unknown> = await Effect.runPromise(
                resource.list?.({ limit, cursor, filter: "" }) ?? Effect.die("no list")
              )
              assert.ok(page.items.length <= limit)
              seen.push(...page.items)
              if (page.cursor === undefined) break
              cursor = page.cursor
            }
            assert.deepEqual(seen, sorted.flat())
          }
        )
      }
    )
  ))

test("a cursor that no page ended with is refused", () =>
  withParts([part(0, ["a"])], async (resource) => {
    for (const cursor of ["a", "0", "-1:a", "123456:a", " 0:a"]) {
      assert.equal(await code(resource.list?.({ limit: 1, cursor, filter: "" })), "invalid-cursor", cursor)
    }
    assert.equal(await code(resource.list?.({ limit: 1, cursor: "9:a", filter: "" })), '{"items":[]}')
  }))

test("an item and its verbs are those of the shard that has it", () =>
  withParts([part(0, ["a"]), part(1, ["b"]), part(2, ["c"])], async (resource) => {
    assert.equal(await code(resource.get?.("b")), '{"id":"b","shard":1}')
    assert.equal(await code(resource.get?.("d")), "client-not-found")
    const [kick, fail, sweep] = resource.verbs ?? []
    assert.equal(await code(kick?.run("c", {})), '"kicked by 2"')
    assert.equal(await code(kick?.run("d", {})), "client-not-found")
    assert.equal(await code(sweep?.run("", {})), '"swept by 0"')
    assert.equal(await code(fail?.run("c", {})), "no")
  }))

test("a verb that fails for another reason is not tried elsewhere", async () => {
  const calls: Array<string> = []
  await withParts([part(0, ["a"], calls), part(1, ["a"], calls)], async (resource) => {
    await code(resource.verbs?.[1]?.run("a", {}))
    assert.deepEqual(calls, ["0 a"])
  })
})

test("it stands until its last shard leaves, and what is left answers", async () => {
  const resources = makeResources()
  const scopes = [Scope.makeUnsafe(), Scope.makeUnsafe()] as const
  await Effect.runPromise(
    resources
      .forPlugin("line", 0)
      .register(part(0, ["a"]))
      .pipe(Scope.provide(scopes[0]))
  )
  await Effect.runPromise(
    resources
      .forPlugin("line", 1)
      .register(part(1, ["b"]))
      .pipe(Scope.provide(scopes[1]))
  )
  await Effect.runPromise(Scope.close(scopes[0], Exit.void))
  const [left] = resources.all()
  assert.equal(await code(left?.get?.("a")), "client-not-found")
  assert.equal(await code(left?.get?.("b")), '{"id":"b","shard":1}')
  await Effect.runPromise(Scope.close(scopes[1], Exit.void))
  assert.deepEqual(resources.all(), [])
})

test("other plugins, the same shard and another path are refused", async () => {
  const singleton: Resource = {
    name: "client",
    description: "",
    schema: v.unknown(),
    singleton: true,
    get: () => Effect.void
  }
  const pairs: ReadonlyArray<readonly [plugin: string, shard: number, second: Resource, refusal: RegExp]> = [
    ["other", 1, part(1, []), /one resource is named "client"/],
    ["line", 0, part(0, []), /a shard registers "client" once/],
    ["line", 1, { ...part(1, []), plural: "others" }, /has one path on every shard/],
    ["line", 1, singleton, /is registered by one shard/]
  ]
  for (const [plugin, shard, second, refusal] of pairs) {
    const resources = makeResources()
    const both = resources
      .forPlugin("line", 0)
      .register(part(0, ["a"]))
      .pipe(Effect.andThen(Effect.scoped(resources.forPlugin(plugin, shard).register(second))))
    await assert.rejects(Effect.runPromise(Effect.scoped(both)), refusal)
  }
})

test("a list that has an order is put into it over all shards, page by page", async () => {
  const ranked = (shard: number, ranks: ReadonlyArray<number>): Resource => ({
    name: "slow",
    description: "",
    schema: v.unknown(),
    order: { member: "rank", isDescending: true },
    list: ({ limit, cursor }) => {
      const from = Number(cursor)
      const items = ranks.slice(from, from + Math.min(limit, 2)).map((rank) => ({ rank, shard }))
      const next = from + items.length
      return Effect.succeed(next < ranks.length ? { items, cursor: String(next) } : { items })
    }
  })
  await withParts([ranked(0, [5, 3, 1]), ranked(1, []), ranked(2, [9, 4, 4, 2, 0])], async (resource) => {
    const found: Array<number> = []
    let cursor: string | undefined = ""
    while (cursor !== undefined) {
      const page: Page<unknown> = await Effect.runPromise(
        resource.list?.({ limit: 3, cursor, filter: "" }) ?? Effect.die("list")
      )
      assert.ok(page.items.length <= 3)
      found.push(...page.items.map((item) => (item as { readonly rank: number }).rank))
      cursor = page.cursor
    }
    assert.deepEqual(found, [9, 5, 4, 4, 3, 2, 1, 0])
    const wrong = resource.list?.({ limit: 3, cursor: "1:x", filter: "" }) ?? Effect.die("list")
    assert.equal((await Effect.runPromise(Effect.flip(wrong))).code, "invalid-cursor")
  })
})

test("a verb that is run everywhere is run by every shard; one failure is the answer", async () => {
  const ran: Array<number> = []
  const clearing = (shard: number, fails = false): Resource => ({
    name: "slow",
    description: "",
    schema: v.unknown(),
    verbs: [
      {
        name: "clear",
        description: "",
        target: "collection",
        isEverywhere: true,
        input: v.unknown(),
        run: () => {
          ran.push(shard)
          return fails ? Effect.fail(missing("x")) : Effect.succeed(shard)
        }
      }
    ]
  })
  const run = (resource: Resource) =>
    Effect.runPromise(Effect.result(resource.verbs?.[0]?.run("", {}) ?? Effect.die("verb")))
  await withParts([clearing(0), clearing(1), clearing(2)], async (resource) => {
    const result = await run(resource)
    assert.deepEqual([ran.toSorted(), result._tag === "Success" && result.success], [[0, 1, 2], 0])
  })
  await withParts([clearing(0), clearing(1, true)], async (resource) => {
    assert.equal((await run(resource))._tag, "Failure")
  })
})

test("answers of objects of numbers are added up, member by member, where a verb says so", async () => {
  const sweeping = (answer: unknown): Resource => ({
    name: "line",
    description: "",
    schema: v.unknown(),
    verbs: [
      {
        name: "sweep",
        description: "",
        target: "collection",
        isEverywhere: true,
        isSummed: true,
        input: v.unknown(),
        run: () => (answer === undefined ? Effect.fail(missing("x")) : Effect.succeed(answer))
      }
    ]
  })
  const rows: ReadonlyArray<readonly [answers: ReadonlyArray<unknown>, told: string]> = [
    [[{ deleted: 3 }], '{"deleted":3}'],
    [[{ deleted: 3 }, { deleted: 0 }, { deleted: 4 }], '{"deleted":7}'],
    [[{ a: 1 }, {}, { a: 1, b: 2 }], '{"a":2,"b":2}'],
    [[{ deleted: 3 }, undefined], "client-not-found"]
  ]
  for (const [answers, told] of rows) {
    await withParts(answers.map(sweeping), async (resource) =>
      assert.equal(await code(resource.verbs?.[0]?.run("", {})), told)
    )
  }
  for (const wrong of [3, null, { deleted: "3" }]) {
    await withParts([sweeping({ deleted: 1 }), sweeping(wrong)], (resource) =>
      assert.rejects(code(resource.verbs?.[0]?.run("", {})), /answers with/)
    )
  }
})
