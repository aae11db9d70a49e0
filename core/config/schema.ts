/** The shape of `manifold.toml`: its keys are a contract that scripts rely on; more may be added, none renamed. */
import * as v from "valibot"

const partitions = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000))
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(249))
const mode = v.picklist(["memory", "hybrid", "persistent"])

export const rule = v.strictObject({
  match: name,
  engine: v.optional(name),
  mode: v.optional(mode),
  partitions: v.optional(partitions)
})

export const binding = v.strictObject({
  topic: name,
  filter: v.pipe(v.string(), v.minLength(1)),
  partitions: v.optional(partitions),
  engine: v.optional(name),
  mode: v.optional(mode)
})

export const pluginEntry = v.strictObject({
  use: v.pipe(v.string(), v.minLength(1)),
  enabled: v.optional(v.boolean(), true),
  options: v.optional(v.record(v.string(), v.unknown()), {})
})

export const node = v.strictObject({
  id: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 of A-Z a-z 0-9 . _ -")), "node-1"),
  data: v.optional(v.pipe(v.string(), v.minLength(1)), "./data"),
  shards: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)), 1)
})

export const topics = v.strictObject({
  auto_create: v.optional(v.boolean(), true),
  auto_create_mqtt: v.optional(v.picklist(["memory", "default", "off"]), "memory"),
  partitions: v.optional(partitions, 1),
  engine: v.optional(name, "memory"),
  mode: v.optional(mode, "memory"),
  rule: v.optional(v.array(rule), [])
})

export const manifest = v.strictObject({
  node: v.optional(node, {}),
  topics: v.optional(topics, {}),
  binding: v.optional(v.array(binding), []),
  plugin: v.optional(v.array(pluginEntry))
})

export type Manifest = v.InferOutput<typeof manifest>

/** The entries of a strict object schema at `path` below `schema`; undefined where there is none. */
export function entriesAt(schema: unknown, path: ReadonlyArray<string>): Record<string, unknown> | undefined {
  let current = unwrap(schema)
  for (const key of path) {
    if (current === undefined) return undefined
    if (isRecord(current["item"])) current = unwrap(current["item"])
    else if (isRecord(current["entries"])) current = unwrap(current["entries"][key])
    else return undefined
  }
  return current !== undefined && isRecord(current["entries"]) ? current["entries"] : undefined
}

/** Takes `optional` and `pipe` off a schema. */
function unwrap(schema: unknown): Record<string, unknown> | undefined {
  if (!isRecord(schema)) return undefined
  return isRecord(schema["wrapped"]) ? unwrap(schema["wrapped"]) : schema
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null
}
