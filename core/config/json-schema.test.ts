import assert from "node:assert"
import { test } from "node:test"
import { Ajv } from "ajv"
import fc from "fast-check"
import { parse } from "smol-toml"
import * as v from "valibot"
import { addressList } from "./address-list.ts"
import { builtins, fakeProtocol, fakeStorage, load } from "./fakes.ts"
import { type JsonSchema, manifestSchema } from "./json-schema.ts"
import type { ConfigSource } from "./load.ts"
import { beyondSchemas, refused } from "./testing.ts"

const mine = fakeProtocol(
  "mine",
  v.pipe(
    v.strictObject({
      seconds: v.optional(v.pipe(v.string(), v.regex(/^\d+S$/i), v.transform(Number.parseInt)), "5s"),
      tls: v.optional(v.strictObject({ port: v.number() })),
      needed: v.pipe(v.boolean(), v.description("has to be given")),
      when: v.optional(v.date())
    }),
    v.check(() => true)
  )
)
const third = fakeStorage("storage-third", [
  { name: "third", modes: ["hybrid", "persistent"] },
  { name: "other", modes: ["memory", "hybrid"] }
])
const more: Pick<ConfigSource, "builtins" | "external"> = {
  builtins: [...builtins, third],
  external: new Map([["./mine.ts", { plugin: mine }]])
}

async function validator(plugins: Parameters<typeof manifestSchema>[0]): Promise<(value: unknown) => boolean> {
  // Not `strictTypes`: a pattern stands beside the type that a table around it gives.
  return new Ajv({ strict: true, strictTypes: false, strictRequired: false }).compile(await manifestSchema(plugins))
}

/** What a TOML tool hands to its validator. */
const jsonOf = (text: string): unknown => JSON.parse(JSON.stringify(parse(text)))

test("the shape, its words, defaults, ranges and enums", async () => {
  const schema = await manifestSchema({ ...more, leftOut: ["protocol-coap"] })
  const find = (...path: ReadonlyArray<string>): unknown =>
    path.reduce<unknown>((part, key) => (part as JsonSchema)[key], schema)
  assert.equal(schema["$schema"], "http://json-schema.org/draft-07/schema#")
  assert.deepEqual(find("properties", "node", "properties", "shards"), {
    type: "integer",
    minimum: 1,
    maximum: 64,
    default: 1,
    description: "event loops that share the work; all in one thread for now"
  })
  for (const table of [
    find("properties", "topics"),
    find("properties", "topics", "properties", "rule", "items"),
    find("properties", "binding", "items")
  ]) {
    const { engine, mode } = (table as { properties: Record<string, { enum: unknown }> }).properties
    assert.deepEqual(engine?.enum, ["memory", "third", "other"])
    assert.deepEqual(mode?.enum, ["memory", "hybrid", "persistent"])
  }
  const entry = find("properties", "plugin", "items", "properties") as Record<string, { anyOf: Array<JsonSchema> }>
  const names = [...more.builtins.map(({ name }) => name), "./mine.ts", "protocol-coap"]
  assert.deepEqual(entry["use"]?.anyOf[0], { enum: names })
  assert.deepEqual(entry["options"]?.anyOf.at(-2), { $ref: "#/definitions/mine" })
  assert.deepEqual(find("definitions", "protocol-kafka", "properties", "tcp", "anyOf", "0", "type"), "array")
  assert.deepEqual(find("definitions", "mine", "properties", "needed"), {
    type: "boolean",
    description: "mine: has to be given"
  })
  // Its flags have no translation; without them it would refuse what is right.
  assert.deepEqual(find("definitions", "mine", "properties", "seconds"), { type: "string", default: "5s" })
})

test("what taplo completes by: no allOf anywhere, and every reference from the root", async () => {
  const text = JSON.stringify(await manifestSchema(more))
  assert.ok(!text.includes('"allOf"'))
  const references = [...text.matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1] ?? "")
  assert.ok(references.length > 10)
  for (const reference of references) assert.match(reference, /^#\/definitions\/[a-z0-9-]+$/)
})

test("addresses: a text or a list of them, as they are parsed", async () => {
  const isValid = await validator(more)
  const accepts = (tcp: unknown): boolean => isValid({ plugin: [{ use: "protocol-kafka", options: { tcp } }] })
  assert.ok(accepts("127.0.0.1:0") && accepts([]) && accepts(["[::1]:1", "a:65535"]))
  assert.ok(!accepts(1) && !accepts([1]) && !accepts({}))
  const piece = fc.constantFrom(
    "127.0.0.1",
    "[::1]",
    ":",
    "0",
    "00001",
    "65535",
    "65536",
    "99999",
    "123456",
    " ",
    "[",
    "host"
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece, { maxLength: 4 }).map((all) => all.join("")),
        fc.string()
      ),
      (text) => {
        assert.equal(accepts(text), v.is(addressList, text), JSON.stringify(text))
      }
    ),
    { numRuns: 2_000 }
  )
})

for (const [name, text] of refused.filter(([one]) => !beyondSchemas.includes(one))) {
  test(`refused by the schema: ${name}`, async () => {
    const isValid = await validator({ builtins })
    assert.equal(isValid(jsonOf(text)), false)
  })
}

test("what is said to be beyond the schema is", async () => {
  const isValid = await validator({ builtins })
  for (const [name, text] of refused.filter(([one]) => beyondSchemas.includes(one))) {
    const isRight = ((): boolean => {
      try {
        return isValid(jsonOf(text))
      } catch {
        return true
      }
    })()
    assert.ok(isRight, name)
  }
})

const rows: ReadonlyArray<readonly [string, string, boolean]> = [
  ["nothing", "", true],
  ["an engine with a mode of its own", '[topics]\nengine = "third"\nmode = "hybrid"\n', true],
  ["an engine with another's mode", '[topics]\nengine = "third"\nmode = "memory"\n', false],
  ["an engine without a mode", '[topics]\nengine = "third"\n', true],
  ["one that does not promise the default mode", '[topics]\nengine = "other"\n', true],
  ["a mode that the default engine does not promise", '[topics]\nmode = "hybrid"\n', false],
  ["a rule with an engine and no mode", '[[topics.rule]]\nmatch = "a"\nengine = "other"\n', true],
  ["a binding with an engine and no mode", '[[binding]]\ntopic = "a"\nfilter = "a"\nengine = "third"\n', true],
  [
    "a binding with engine and mode",
    '[[binding]]\ntopic = "a"\nfilter = "a"\nengine = "third"\nmode = "hybrid"\n',
    true
  ],
  [
    "a binding with another's mode",
    '[[binding]]\ntopic = "a"\nfilter = "a"\nengine = "third"\nmode = "memory"\n',
    false
  ],
  ["the topic ..", '[[binding]]\ntopic = ".."\nfilter = "a"\n', false],
  ["a shared filter", '[[binding]]\ntopic = "a"\nfilter = "$share/g/a"\n', false],
  ["a filter of $SYS", '[[binding]]\ntopic = "a"\nfilter = "$SYS/#"\n', true],
  ["a plugin of one's own, that is not loaded", '[[plugin]]\nuse = "../other.ts"\noptions.anything = 1\n', true],
  ["an option of another plugin", '[[plugin]]\nuse = "protocol-kafka"\noptions.websocket = []\n', false],
  ["the same, switched off", '[[plugin]]\nuse = "protocol-kafka"\nenabled = false\noptions.websocket = []\n', true],
  ["a plugin from disk, by its own schema", '[[plugin]]\nuse = "./mine.ts"\noptions.needed = true\n', true],
  ["without what has to be given", '[[plugin]]\nuse = "./mine.ts"\noptions.tls.port = 1\n', false],
  ["without any options, where one has to be given", '[[plugin]]\nuse = "./mine.ts"\n', false],
  ["a wrong table in a table", '[[plugin]]\nuse = "./mine.ts"\noptions = { needed = true, tls.prt = 1 }\n', false],
  ["a digest for what is built in", `[[plugin]]\nuse = "meta-raft"\ndigest = "sha256-${"0".repeat(64)}"\n`, false],
  ["no use", "[[plugin]]\nenabled = true\n", false]
]
for (const [name, text, isRight] of rows) {
  test(`the schema and the loader agree: ${name}`, async () => {
    const isValid = await validator(more)
    assert.equal(isValid(jsonOf(text)), isRight)
    const needsFile = text.includes("../other.ts")
    if (!needsFile) assert.equal(load(text, more).config !== undefined, isRight)
  })
}

test("what loads, the schema accepts", async () => {
  const isValid = await validator(more)
  const piece = fc.constantFrom(
    "[node]\n",
    "[topics]\n",
    "[[topics.rule]]\n",
    '[[topics.rule]]\nmatch = "*"\n',
    '[[binding]]\ntopic = "a"\nfilter = "a/+"\n',
    '[[binding]]\ntopic = "b."\nfilter = "+/#"\n',
    '[[plugin]]\nuse = "protocol-mqtt"\n',
    '[[plugin]]\nuse = "protocol-kafka"\nenabled = false\n',
    '[[plugin]]\nuse = "./mine.ts"\noptions.needed = true\n',
    '[[plugin]]\nuse = "storage-third"\nenabled = false\n',
    'id = "a"\n',
    'data = "/"\n',
    "shards = 2\n",
    "shards = 65\n",
    "partitions = 3\n",
    "partitions = 1.0\n",
    'engine = "memory"\n',
    'engine = "third"\n',
    'engine = "other"\n',
    'mode = "persistent"\n',
    'mode = "memory"\n',
    "options.tcp = []\n",
    'options.tcp = "a:1"\n',
    "options.receive_maximum = 5\n",
    'options.password = "12345678"\n',
    'options.seconds = "9S"\n',
    "auto_create = false\n"
  )
  let loadedCount = 0
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const text = pieces.join("")
      if (load(text, more).config === undefined) return
      loadedCount++
      assert.ok(isValid(jsonOf(text)), text)
    }),
    { numRuns: 5_000 }
  )
  assert.ok(loadedCount > 200, `only ${loadedCount} of the manifests were right`)
})

test("a third party's schema that cannot be translated, or throws, is any table", async () => {
  const odd = fakeProtocol(
    "odd",
    v.lazy(() => {
      throw new Error("no such luck")
    })
  )
  const isValid = await validator({ builtins, external: new Map([["./odd.ts", { plugin: odd }]]) })
  assert.ok(isValid({ plugin: [{ use: "./odd.ts", options: { anything: 1 } }] }))
  assert.ok(!isValid({ plugin: [{ use: "./odd.ts", options: 1 }] }))
})
