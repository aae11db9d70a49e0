import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { UsageError } from "../arguments.ts"
import type { JsonSchema } from "./description.ts"
import { type CallWords, flagOf, readCall, readInput } from "./words.ts"

const plain: CallWords = {
  resource: "topic",
  verb: "list",
  rest: [],
  url: "http://127.0.0.1:8080",
  output: "table",
  isHelp: false
}

const calls: ReadonlyArray<readonly [line: string, expected: Partial<CallWords>, environment?: string]> = [
  ["topic list", {}],
  ["topic", { verb: undefined }],
  ["topic --help", { verb: undefined, isHelp: true }],
  ["topic list -h", { isHelp: true }],
  ["topic list --output json", { output: "json" }],
  ["topic list --output=json a --b c", { output: "json", rest: ["a", "--b", "c"] }],
  ["topic --output json list", { output: "json" }],
  ["topic list --url localhost:1", { url: "http://localhost:1" }],
  ["topic list --url https://a.example/", { url: "https://a.example" }],
  ["topic list --url=[::1]:1", { url: "http://[::1]:1" }],
  ["topic list", { url: "http://there:1" }, "there:1"],
  ["topic list", {}, ""],
  ["topic list --url here:1", { url: "http://here:1" }, "there:1"],
  ["topic list -- --url --output", { rest: ["--", "--url", "--output"] }]
]
for (const [line, expected, environment] of calls) {
  test(`manifold ${line}${environment === undefined ? "" : `, MANIFOLD_URL=${environment}`}`, () => {
    assert.deepEqual(readCall(line.split(" "), environment), { ...plain, ...expected })
  })
}

const refusedCalls: ReadonlyArray<readonly [line: string, message: string]> = [
  ["topic list --url", "--url needs a value"],
  ["topic list --output", "--output needs a value"],
  ["topic list --output jsn", 'unknown value of --output "jsn"; known: table, json; did you mean "json"?'],
  ["topic list --url ftp://a", '--url is "ftp://a"; expected http://127.0.0.1:8080 or the like'],
  ["topic list --url http://a/b", '--url is "http://a/b"; expected http://127.0.0.1:8080 or the like'],
  ["topic list --url a:b:c", '--url is "a:b:c"; expected http://127.0.0.1:8080 or the like']
]
for (const [line, message] of refusedCalls) {
  test(`refused: manifold ${line}`, () => {
    assert.throws(() => readCall(line.split(" "), undefined), { name: "UsageError", message })
  })
}

const schema: JsonSchema = {
  type: "object",
  properties: {
    name: { type: "string" },
    partitions: { type: "integer" },
    ratio: { type: "number" },
    compact: { type: "boolean" },
    retention_ms: { anyOf: [{ type: "string", enum: ["forever"] }, { type: "integer" }] },
    note: { anyOf: [{ type: "string" }, { type: "null" }] },
    mode: { enum: ["memory", "hybrid"] },
    filters: { type: "array", items: { type: "string" } },
    sizes: { type: "array", items: { type: "integer" } },
    settings: { type: "object" },
    configs: { type: "object", additionalProperties: { type: "string" } },
    anything: {},
    url: { type: "string" }
  }
}

const inputs: ReadonlyArray<readonly [words: ReadonlyArray<string>, input: object, ids?: ReadonlyArray<string>]> = [
  [[], {}],
  [["a"], {}, ["a"]],
  [["a", "--name", "b", "c"], { name: "b" }, ["a", "c"]],
  [["--", "--name"], {}, ["--name"]],
  [["-1"], {}, ["-1"]],
  [["--name", "--odd"], { name: "--odd" }],
  [["--name="], { name: "" }],
  [["--name=a=b"], { name: "a=b" }],
  [["--name", "a", "--name", "b"], { name: "b" }],
  [["--partitions", "-3"], { partitions: -3 }],
  [["--ratio", "1.5e1"], { ratio: 15 }],
  [["--compact"], { compact: true }],
  [["--compact", "a"], { compact: true }, ["a"]],
  [["--compact", "false", "a"], { compact: false }, ["a"]],
  [["--compact=true"], { compact: true }],
  [["--retention-ms", "5"], { retention_ms: 5 }],
  [["--retention_ms", "forever"], { retention_ms: "forever" }],
  [["--note", "null"], { note: null }],
  [["--note", "5"], { note: "5" }],
  [["--mode", "hybrid"], { mode: "hybrid" }],
  [["--filters", "a, b", "--filters", "c"], { filters: ["a", "b", "c"] }],
  [["--filters="], { filters: [] }],
  [["--sizes", "1,2"], { sizes: [1, 2] }],
  [["--settings", '{"a":[1]}'], { settings: { a: [1] } }],
  [["--anything", "5"], { anything: 5 }],
  [["--anything", "five"], { anything: "five" }],
  [["--input.url", "u"], { url: "u" }]
]
for (const [words, input, ids = []] of inputs) {
  test(`${JSON.stringify(words)} is ${JSON.stringify(input)}`, () => {
    assert.deepEqual(readInput(words, schema, "topic create"), { ids, input })
  })
}

test("a table of texts is named one by one, or whole as JSON", () => {
  const read = (...words: ReadonlyArray<string>) => readInput(words, schema, "topic create").input["configs"]
  assert.deepEqual(read("--configs", "a.b=c,d"), { "a.b": "c,d" })
  assert.deepEqual(read("--configs=a=1", "--configs", "b="), { a: "1", b: "" })
  assert.deepEqual(read("--configs", '{ "a": "1" }'), { a: "1" })
  for (const wrong of ["a", "=1"]) {
    assert.throws(() => read("--configs", wrong), { name: "UsageError", message: /expected name=value, or JSON/ })
  }
})

const refusedInputs: ReadonlyArray<readonly [words: ReadonlyArray<string>, message: RegExp]> = [
  [["--nam", "a"], /^unknown argument of topic create "--nam"; known: --name, .*; did you mean "--name"\?$/],
  [["--__proto__", "a"], /^unknown argument of topic create "--__proto__"/],
  [["--name"], /^--name needs a value$/],
  [["--partitions", "1.5"], /^--partitions is "1.5"; expected a whole number$/],
  [["--partitions", ""], /^--partitions is ""; expected a whole number$/],
  [["--partitions", "9007199254740993"], /expected a whole number$/],
  [["--ratio", "much"], /^--ratio is "much"; expected a number$/],
  [["--ratio", "1e999"], /expected a number$/],
  [["--compact=maybe"], /^unknown value of --compact "maybe"; known: true, false$/],
  [["--mode", "hybird"], /^unknown value of --mode "hybird"; known: memory, hybrid; did you mean "hybrid"\?$/],
  [
    ["--retention-ms", "forevr"],
    /^unknown value of --retention-ms "forevr"; known: forever; did you mean "forever"\?$/
  ],
  [["--sizes", "1,x"], /^--sizes is "x"; expected a whole number$/],
  [["--settings", "a=b"], /^--settings is "a=b"; expected JSON, an object$/]
]
for (const [words, message] of refusedInputs) {
  test(`refused: ${JSON.stringify(words)}`, () => {
    assert.throws(() => readInput(words, schema, "topic create"), { name: "UsageError", message })
  })
}

test("what a verb requires is asked for by the names that are typed", () => {
  const required: JsonSchema = { ...schema, required: ["name", "retention_ms", "url"] }
  assert.throws(() => readInput(["--name", "a"], required, "topic create"), {
    message: "topic create needs --retention-ms, --input.url"
  })
})

test("a flag that is made of a key reads back as that key", () => {
  for (const key of Object.keys(schema.properties ?? {})) {
    const { input } = readInput([flagOf(key), "1"], { properties: { [key]: {} } }, "x")
    assert.deepEqual(input, { [key]: 1 })
  }
})

test("any words are a call and an input, or a usage error", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "--",
      "--name",
      "--compact",
      "--sizes",
      "--settings",
      "--input.url",
      "--url",
      "--output=json",
      "-h"
    ),
    fc.string({ maxLength: 10 })
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (words) => {
      try {
        readInput(readCall(["topic", ...words], undefined).rest, schema, "topic create")
      } catch (error) {
        assert.ok(error instanceof UsageError)
      }
    })
  )
})
