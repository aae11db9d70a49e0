import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import * as v from "valibot"
import { type MetaChange, MetaStoreError, type MetaStoreShape } from "../../../core/mod.ts"
import { RULES_MAX, RuleSet, ruleName, rulesOf } from "./RuleSet.ts"

const schema = v.strictObject({ name: ruleName, topic: v.pipe(v.string(), v.minLength(1)) })
const kind = { resource: "test-rule", description: "for tests", schema }
const encoder = new TextEncoder()

/** A meta store of one key space that tells its watchers at once. */
class FakeMeta {
  readonly values = new Map<string, Uint8Array>()
  readonly watchers: Array<(change: MetaChange) => void> = []
  isDown = false

  set(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) this.values.delete(key)
    else this.values.set(key, value)
    for (const tell of this.watchers) tell({ key, value, revision: 1 })
  }

  get shape(): MetaStoreShape {
    const shape: Pick<MetaStoreShape, "transact" | "watch"> = {
      transact: ({ compare, writes }) =>
        Effect.suspend(() => {
          if (this.isDown) return Effect.fail(new MetaStoreError({ message: "no leader" }))
          const committed = compare.every(({ key }) => !this.values.has(key))
          if (committed) for (const { key, value } of writes) this.set(key, value)
          return Effect.succeed({ committed, revision: 1 })
        }),
      watch: (prefix, changed) =>
        Effect.sync(() => {
          for (const [key, value] of this.values) if (key.startsWith(prefix)) changed({ key, value, revision: 1 })
          this.watchers.push(changed)
        })
    }
    return shape as MetaStoreShape
  }
}

async function make(declared: ReadonlyArray<{ name: string; topic: string }> = []) {
  const meta = new FakeMeta()
  const rules = new RuleSet(kind, declared)
  await Effect.runPromise(Effect.scoped(rules.watch(meta.shape)))
  const resource = rules.resource(meta.shape)
  const verb = (name: string, id: string, input: unknown = {}): Promise<unknown> => {
    const found = resource.verbs?.find((each) => each.name === name)
    assert.ok(found !== undefined)
    return Effect.runPromise(Effect.result(found.run(id, input))).then((result) =>
      result._tag === "Success" ? (result.success ?? "done") : result.failure.code
    )
  }
  return { meta, rules, resource, verb }
}

test("rules are made, listed by name, read and deleted; each refusal has its code", async () => {
  const { rules, resource, verb, meta } = await make([{ name: "m", topic: "declared" }])
  assert.deepEqual(await verb("create", "", { name: "z", topic: "t" }), { name: "z", topic: "t" })
  assert.deepEqual(await verb("create", "", { name: "a", topic: "t" }), { name: "a", topic: "t" })
  for (const name of ["a", "m"]) assert.equal(await verb("create", "", { name, topic: "t" }), "test-rule-exists")
  assert.deepEqual(
    rules.rules.map(({ name }) => name),
    ["a", "m", "z"]
  )
  const page = await Effect.runPromise(resource.list?.({ limit: 2, cursor: "", filter: "" }) ?? Effect.die("list"))
  assert.deepEqual([page.items.length, page.cursor], [2, "m"])
  assert.equal(await verb("delete", "m"), "test-rule-declared")
  assert.equal(await verb("delete", "none"), "test-rule-not-found")
  assert.equal(await verb("delete", "a"), "done")
  assert.deepEqual(
    rules.rules.map(({ name }) => name),
    ["m", "z"]
  )
  meta.isDown = true
  assert.equal(await verb("create", "", { name: "b", topic: "t" }), "test-rule-unavailable")
  assert.equal(await verb("delete", "z"), "test-rule-unavailable")
})

test("what others make is there at once; what cannot be read is no rule, nor is one of the manifest's name", async () => {
  const { rules, meta } = await make([{ name: "m", topic: "declared" }])
  let changes = 0
  rules.onChange = () => changes++
  const put = (name: string, value: string): void => meta.set(`mqtt/test-rule/${name}`, encoder.encode(value))
  put("n", '{"name":"n","topic":"t"}')
  put("bad", "{")
  put("other", '{"name":"other","topic":"t","more":1}')
  put("m", '{"name":"m","topic":"not this one"}')
  assert.deepEqual(rules.rules, [
    { name: "m", topic: "declared" },
    { name: "n", topic: "t" }
  ])
  meta.set("mqtt/test-rule/n", undefined)
  assert.deepEqual([rules.rules.length, changes], [1, 4])
})

test("there is a bound; names are plain, and each is one rule's", async () => {
  const { verb } = await make(Array.from({ length: RULES_MAX }, (_, each) => ({ name: `r${each}`, topic: "t" })))
  assert.equal(await verb("create", "", { name: "one-more", topic: "t" }), "test-rule-too-many")
  for (const name of ["", "a b", "a/b", "ü", ".", "..", "-x", "x".repeat(65)]) assert.ok(!v.is(ruleName, name), name)
  assert.ok(v.is(ruleName, "A-z.0_9") && v.is(ruleName, "x".repeat(64)))
  const rules = rulesOf(v.object({ name: v.string() }), 3)
  assert.ok(v.is(rules, [{ name: "a" }, { name: "b" }]))
  const { issues = [] } = v.safeParse(rules, [{ name: "a" }, { name: "b" }, { name: "b" }])
  assert.match(issues[0]?.message ?? "", /"b" is there twice/)
  assert.ok(!v.is(rules, [{ name: "a" }, { name: "b" }, { name: "c" }, { name: "d" }]))
})
