/** The JSON Schema that is shipped, the default manifest, and what both say of each key: they cannot drift apart. */
import assert from "node:assert"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { Ajv } from "ajv"
import { parse } from "smol-toml"
import { type JsonSchema, manifestSchema } from "../core/config/json-schema.ts"
import { effectiveConfig, effectiveToml } from "../core/config/mod.ts"
import { builtins, leftOut } from "./builtins.ts"
import { jsonText } from "./json-text.ts"

const read = (path: string): string => readFileSync(join(import.meta.dirname, "..", path), "utf8")
const MANIFEST = read("manifold.toml")
const schema = await manifestSchema({ builtins, leftOut })

function part(...path: ReadonlyArray<string>): JsonSchema {
  return path.reduce<JsonSchema>((found, key) => found[key] as JsonSchema, schema)
}

test("manifold.schema.json is what `manifold config schema` prints", () => {
  const how = "npm run --silent manifold -- config schema > manifold.schema.json"
  assert.equal(read("manifold.schema.json"), `${jsonText(schema)}\n`, `write it anew: ${how}`)
})

test("editors find it by the first line of the manifest", () => {
  assert.equal(MANIFEST.split("\n")[0], "#:schema ./manifold.schema.json")
})

test("the default manifest is right, also with the defaults and examples that it only shows", () => {
  const isValid = new Ajv({ strict: true, strictTypes: false, strictRequired: false }).compile(schema)
  const whole = MANIFEST.replaceAll(/^#(?=[a-z_]+ = )/gm, "").replaceAll(/^# {3}(?=\[|[a-z]+ = )/gm, "")
  for (const text of [MANIFEST, whole, "", read("docs/configuration.md").match(/```toml\n(.*?)```/s)?.[1] ?? ""]) {
    assert.ok(isValid(parse(text)), JSON.stringify(isValid.errors))
  }
  assert.ok(!isValid(parse(whole.replace("packet_size_max = ", "packet_size_maximum = "))))
})

/** Sections, and options by `use`, with their keys. */
const tables = new Map<string, JsonSchema>([
  ["node", part("properties", "node", "properties")],
  ["topics", part("properties", "topics", "properties")],
  ["topics.rule", part("properties", "topics", "properties", "rule", "items", "properties")],
  ["binding", part("properties", "binding", "items", "properties")],
  ["plugin", part("properties", "plugin", "items", "properties")],
  ["protocol-mqtt.listener", part("definitions", "protocol-mqtt", "properties", "listener", "items", "properties")],
  [
    "protocol-mqtt.auto_subscribe",
    part("definitions", "protocol-mqtt", "properties", "auto_subscribe", "items", "properties")
  ],
  [
    "protocol-mqtt.topic_rewrite",
    part("definitions", "protocol-mqtt", "properties", "topic_rewrite", "items", "properties")
  ],
  [
    "protocol-mqtt.topic_refusal",
    part("definitions", "protocol-mqtt", "properties", "topic_refusal", "items", "properties")
  ],
  ["protocol-mqtt.blacklist", part("definitions", "protocol-mqtt", "properties", "blacklist", "items", "properties")],
  ["bridge-mqtt.bridge", part("definitions", "bridge-mqtt", "properties", "bridge", "items", "properties")],
  [
    "bridge-mqtt.bridge.out",
    part("definitions", "bridge-mqtt", "properties", "bridge", "items", "properties", "out", "items", "properties")
  ],
  [
    "bridge-mqtt.bridge.in",
    part("definitions", "bridge-mqtt", "properties", "bridge", "items", "properties", "in", "items", "properties")
  ],
  ...builtins.map(({ name }): [string, JsonSchema] => [name, part("definitions", name, "properties")])
])

test("every key says what it is for, in a line", () => {
  for (const [table, keys] of tables) {
    for (const [key, { description }] of Object.entries(keys as Record<string, JsonSchema>)) {
      assert.ok(typeof description === "string" && /^\S.{8,120}$/.test(description), `${table}.${key}: ${description}`)
    }
  }
})

test("the comments of the default manifest say the same in the same words", () => {
  let table = ""
  let count = 0
  for (const line of MANIFEST.split("\n")) {
    const section = /^\[(node|topics)\]/.exec(line)
    if (section?.[1] !== undefined) table = section[1]
    if (line.startsWith("[[plugin]]")) table = "plugin"
    const use = /^use = "([^"]+)"/.exec(line)
    if (use?.[1] !== undefined) table = use[1]
    const shown = /^#? ?([a-z_]+) = (?:\[[^\]]*\]|"[^"]*"|[^\s#]+) +(?:# )?(\S.*)$/.exec(line)
    if (shown?.[1] === undefined || !tables.has(table)) continue
    const { description } = (tables.get(table) as Record<string, JsonSchema>)[shown[1]] ?? {}
    assert.equal(shown[2], String(description).replace(`${table}: `, ""), line)
    count++
  }
  const faces = builtins.filter(({ kind }) => kind === "protocol" || kind === "http")
  const options = faces.flatMap(({ name }) => Object.keys(tables.get(name) ?? {}))
  // The eight of [topics] beside its rules, and the ten of [node].
  assert.equal(count, options.length + 18)
})

const CONFIGURATION = `${read("docs/configuration.md")}\n`

/** What a key may be, in words. */
function allowedBy({ type, anyOf, items, minimum, maximum, pattern, ...more }: JsonSchema): string {
  if (Array.isArray(more["enum"])) return more["enum"].map((value) => `\`${value}\``).join(", ")
  if (Array.isArray(anyOf)) {
    const [list, one] = anyOf.map(allowedBy)
    return list === `list of ${one}` ? `${one}, or a list` : [...new Set([list, one])].join(" or ")
  }
  if (type === "array") return `list of ${allowedBy(items as JsonSchema)}`
  if (type === "boolean") return "`true`, `false`"
  if (type === "object") return "table"
  if (type === "string") return String(pattern).includes("]\\s]+):") ? "`host:port`" : "text"
  return maximum === undefined ? `${minimum} or more` : `${minimum} to ${maximum}`
}

function rowOf(table: string, key: string, schema: JsonSchema): string {
  const preset = schema["default"] === undefined ? "" : `\`${JSON.stringify(schema["default"])}\``
  const text = String(schema["description"]).replace(`${table}: `, "").replaceAll("|", "\\|")
  return `| \`${key}\` | ${preset} | ${allowedBy(schema)} | ${text} |`
}

for (const [table, keys] of tables) {
  test(`docs/configuration.md has every key of ${table} as it is`, () => {
    const rows = Object.entries(keys as Record<string, JsonSchema>).map(([key, schema]) => rowOf(table, key, schema))
    const expected =
      rows.length === 0
        ? "No options."
        : ["| key | default | allowed | |", "| --- | --- | --- | --- |", ...rows].join("\n")
    const [, after = ""] = CONFIGURATION.split(`<!-- keys of ${table} -->\n`)
    assert.equal(after.slice(0, after.indexOf("\n\n")), expected)
  })
}

test("the example of docs/configuration.md says what is printed", () => {
  const block = (language: string): string =>
    CONFIGURATION.match(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s"))?.[1] ?? ""
  const text = block("toml")
  const command = block("sh")
  const environment = Object.fromEntries(
    [...command.matchAll(/(MANIFOLD_\w+)=(\S+)/g)].map((match) => [match[1], match[2]])
  )
  const sets = [...command.matchAll(/--set (\S+)/g)].map((match) => match[1] ?? "")
  assert.ok(Object.keys(environment).length > 0 && sets.length > 0)
  const { tables: printed, faults } = effectiveConfig({ text, file: "edge.toml", environment, sets, builtins, leftOut })
  assert.deepEqual(faults, [])
  // The page leaves out what is all default.
  const lines = effectiveToml(printed, true)
  const shown = block("text").trimEnd().split("\n")
  assert.ok(
    shown.filter((line) => line !== "...").every((line) => lines.includes(line)),
    block("text")
  )
  assert.deepEqual(
    lines.filter((line) => line.includes("  # ") && !line.endsWith("# default") && !shown.includes(line)),
    []
  )
})
