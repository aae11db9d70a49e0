import assert from "node:assert"
import { test } from "node:test"
import { Effect, Layer, Schema } from "effect"
import fc from "fast-check"
import * as v from "valibot"
import { checkPlugin } from "./check-plugin.ts"
import type { InspectionRequest } from "./Inspection.ts"
import { CONTRACT_VERSION } from "./Plugin.ts"
import { PluginFault } from "./PluginFault.ts"

const right = {
  name: "third-party",
  version: "1.0.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  runs: "shard",
  options: v.strictObject({ tcp: v.optional(v.string(), "a") }),
  layer: () => Layer.empty
}
const storage = { ...right, kind: "storage", engines: [{ name: "jsonl", modes: ["memory", "hybrid"] }] }

test("what comes out is a copy: the module's object is not asked again", () => {
  const source = { ...storage, extra: 1 }
  const plugin = checkPlugin({ plugin: source })
  source.name = "changed"
  source.engines = []
  assert.deepEqual(
    [plugin.name, plugin.kind === "storage" && plugin.engines, plugin.kind === "storage" && plugin.keyValueStore],
    ["third-party", [{ name: "jsonl", modes: ["memory", "hybrid"] }], undefined]
  )
  assert.equal(plugin.options, source.options)
  assert.ok(Object.isFrozen(plugin) && !("extra" in plugin))
})

test("the layer is called with the plugin as its own, and with the options", () => {
  const source = {
    ...right,
    made: [] as Array<unknown>,
    layer(options: unknown) {
      this.made.push(options)
      return Layer.empty
    }
  }
  checkPlugin({ plugin: source }).layer({ tcp: "b" })
  assert.deepEqual(source.made, [{ tcp: "b" }])
})

test("what looks at its files is called with the plugin as its own; kinds without files have none", () => {
  const source = { ...storage, asked: [] as Array<unknown>, inspect: inspecting }
  function inspecting(this: { asked: Array<unknown> }, ...given: ReadonlyArray<unknown>) {
    this.asked.push(...given)
    return Effect.succeed([])
  }
  const request = { store: 0 } as unknown as InspectionRequest
  for (const kind of [{}, { kind: "meta", runs: "node" }]) {
    const plugin = checkPlugin({ plugin: Object.assign(source, kind) })
    assert.ok(plugin.kind === "storage" || plugin.kind === "meta")
    plugin.inspect?.({ path: "x" }, request)
  }
  assert.deepEqual(source.asked, [{ path: "x" }, request, { path: "x" }, request])
  assert.ok(!("inspect" in checkPlugin({ plugin: storage })))
  const all = checkPlugin({
    plugin: { ...source, kind: "storage", runs: "shard", dump: inspecting, repair: inspecting }
  })
  assert.ok(all.kind === "storage" && all.dump !== undefined && all.repair !== undefined)
  source.asked.length = 0
  for (const hook of [all.dump, all.repair]) Reflect.apply(hook, undefined, [1])
  assert.deepEqual(source.asked, [1, 1])
  assert.ok(!("inspect" in checkPlugin({ plugin: { ...right, inspect: inspecting } })))
})

test("each part is read once", () => {
  const counts = new Map<PropertyKey, number>()
  const counting = new Proxy(storage, {
    get: (target, key) => {
      counts.set(key, (counts.get(key) ?? 0) + 1)
      return Reflect.get(target, key)
    }
  })
  checkPlugin({ plugin: counting })
  assert.deepEqual(new Set(counts.values()), new Set([1]))
})

test("where a plugin may run depends on its kind", () => {
  const runs = { protocol: ["shard", "node"], storage: ["shard"], meta: ["node"], http: ["node"] }
  for (const [kind, allowed] of Object.entries(runs)) {
    for (const place of ["shard", "node"]) {
      const check = () => checkPlugin({ plugin: { ...storage, kind, runs: place } })
      if (allowed.includes(place)) assert.deepEqual([check().kind, check().runs], [kind, place])
      else assert.throws(check, /plugin third-party with runs: /)
    }
  }
})

const throwing = (key: string) =>
  Object.defineProperty({ ...right }, key, {
    get: () => {
      throw new Error(`boom at ${key}`)
    }
  })
const revoked = Proxy.revocable({}, {})
revoked.revoke()

/** What a module exports, and what the refusal has to say. */
const refused: ReadonlyArray<readonly [string, unknown, RegExp]> = [
  ["no module", undefined, /exports "plugin"; this one exports nothing$/],
  ["an empty module", {}, /exports "plugin"; this one exports nothing$/],
  ["other exports", { default: right, other: 1 }, /exports "plugin"; this one exports default, other$/],
  ["a text", { plugin: "protocol-mqtt" }, /exports "plugin", an object; this one is a string$/],
  ["null", { plugin: null }, /an object; this one is null$/],
  ["an empty object", { plugin: {} }, /"name" of 1 to 64 of a-z 0-9, words joined by -; this one's is nothing$/],
  ["a class instance of nothing", { plugin: new Map() }, /"name" of /],
  ["a name with a line end", { plugin: { ...right, name: "a\nb" } }, /this one's is "a\\nb"$/],
  ["a name with a dot", { plugin: { ...right, name: "a.b" } }, /this one's is "a\.b"$/],
  ["a name that no environment variable can say", { plugin: { ...right, name: "a--b" } }, /this one's is "a--b"$/],
  ["a name that ends in a hyphen", { plugin: { ...right, name: "a-" } }, /this one's is "a-"$/],
  ["a section's name", { plugin: { ...right, name: "topics" } }, /"topics" is a section of the manifest$/],
  [
    "another contract",
    { plugin: { ...right, contractVersion: 999, kind: "new-kind" } },
    /third-party written for contract version 1; it is for version 999/
  ],
  ["no contract", { plugin: { ...right, contractVersion: undefined } }, /it is for version nothing/],
  ["a contract as text", { plugin: { ...right, contractVersion: "1" } }, /it is for version "1"/],
  ["no version", { plugin: { ...right, version: 1 } }, /third-party with version: a text such as 1\.0\.0; found 1$/],
  [
    "an unknown kind",
    { plugin: { ...right, kind: "toString" } },
    /third-party with kind: protocol \| storage \| meta \| http; found "toString"/
  ],
  [
    "no schema",
    { plugin: { ...right, options: undefined } },
    /third-party with options: .*strictObject of "valibot"; found nothing/
  ],
  [
    "a schema of Effect",
    { plugin: { ...right, options: Schema.toStandardSchemaV1(Schema.Struct({})) } },
    /with options: .*; found "effect"/
  ],
  [
    "any Standard Schema",
    { plugin: { ...right, options: { "~standard": { version: 1, vendor: "zod" } } } },
    /found "zod"/
  ],
  ["an open schema", { plugin: { ...right, options: v.object({}) } }, /found "valibot object"/],
  [
    "an asynchronous schema",
    { plugin: { ...right, options: v.strictObjectAsync({}) } },
    /found "valibot strict_object"/
  ],
  ["no layer", { plugin: { ...right, layer: Layer.empty } }, /third-party with layer: a function /],
  ["no repair", { plugin: { ...storage, repair: "yes" } }, /third-party with repair: a function that makes/],
  ["no inspection", { plugin: { ...storage, inspect: {} } }, /third-party with inspect: a function .*; found a object/],
  ["no engines", { plugin: { ...storage, engines: undefined } }, /third-party with engines: a list .*; found nothing/],
  [
    "an engine without a name",
    { plugin: { ...storage, engines: [{ modes: ["memory"] }] } },
    /engines\.0\.name: .*; found nothing/
  ],
  ["an engine that is null", { plugin: { ...storage, engines: [null] } }, /engines\.0\.name/],
  [
    "an engine twice",
    { plugin: { ...storage, engines: [...storage.engines, ...storage.engines] } },
    /engines\.1\.name: each engine once; found "jsonl"/
  ],
  [
    "an engine without modes",
    { plugin: { ...storage, engines: [{ name: "a", modes: [] }] } },
    /engines\.0\.modes: one or more of memory \| hybrid \| persistent/
  ],
  [
    "an unknown mode",
    { plugin: { ...storage, engines: [{ name: "a", modes: ["memory", "tiered"] }] } },
    /engines\.0\.modes/
  ],
  [
    "a mode twice",
    { plugin: { ...storage, engines: [{ name: "a", modes: ["memory", "memory"] }] } },
    /engines\.0\.modes/
  ],
  [
    "a key-value store that is a text",
    { plugin: { ...storage, keyValueStore: "yes" } },
    /keyValueStore: memory \| durable; found "yes"/
  ],
  ["a revoked Proxy", { plugin: revoked.proxy }, /a plugin that can be looked at; this one throws: /],
  ["a module that throws when it is looked at", revoked.proxy, /can be looked at; this one throws: /],
  ...["name", "contractVersion", "kind", "options", "layer"].map(
    (key) =>
      [
        `a getter that throws: ${key}`,
        { plugin: throwing(key) },
        new RegExp(`this one throws: boom at ${key}$`)
      ] as const
  )
]
for (const [name, module, says] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => checkPlugin(module),
      (error) => error instanceof PluginFault && says.test(error.message)
    )
  })
}

test("any change of any part is a plugin all the same, or refused in one line", () => {
  const keys = fc.constantFrom(...Object.keys(storage), "keyValueStore")
  fc.assert(
    fc.property(keys, fc.anything({ withNullPrototype: true, withMap: true }), (key, value) => {
      try {
        assert.match(checkPlugin({ plugin: { ...storage, [key]: value } }).name, /^[a-z0-9][a-z0-9-]{0,63}$/)
      } catch (error) {
        assert.ok(error instanceof PluginFault && !/[\u0000-\u001f]/.test(error.message))
      }
    })
  )
})
