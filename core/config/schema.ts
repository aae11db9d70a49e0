/** The shape of `manifold.toml`: its keys are a contract that scripts rely on; more may be added, none renamed. */
import * as v from "valibot"
import { DIGEST_FORM } from "../plugin/plugin-digest.ts"

const PARTITIONS_MAX = 10_000
const SHARDS_MAX = 64
/** As Kafka limits the name of a topic. */
const NAME_LENGTH_MAX = 249

const partitions = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(PARTITIONS_MAX))
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(NAME_LENGTH_MAX))
/** Engines and their modes are what the plugins bring: `check-topics.ts` judges them. */
const engine = v.string()
const mode = v.string()

export const rule = v.strictObject({
  match: name,
  engine: v.optional(engine),
  mode: v.optional(mode),
  partitions: v.optional(partitions)
})

export const binding = v.strictObject({
  topic: name,
  filter: v.pipe(v.string(), v.minLength(1)),
  partitions: v.optional(partitions),
  engine: v.optional(engine),
  mode: v.optional(mode)
})

export const pluginEntry = v.strictObject({
  use: v.pipe(v.string(), v.minLength(1)),
  enabled: v.optional(v.boolean(), true),
  digest: v.optional(
    v.pipe(v.string(), v.regex(DIGEST_FORM, '"sha256-" and 64 of 0-9 a-f, as plugin check prints it'))
  ),
  options: v.optional(v.record(v.string(), v.unknown()), {})
})

export const node = v.strictObject({
  id: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 of A-Z a-z 0-9 . _ -")), "node-1"),
  data: v.optional(v.pipe(v.string(), v.minLength(1)), "./data"),
  shards: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(SHARDS_MAX)), 1)
})

export const topics = v.strictObject({
  auto_create: v.optional(v.boolean(), true),
  auto_create_mqtt: v.optional(v.picklist(["memory", "default", "off"]), "memory"),
  partitions: v.optional(partitions, 1),
  engine: v.optional(engine, "memory"),
  mode: v.optional(mode, "memory"),
  rule: v.optional(v.array(rule), [])
})

/** The sections of a manifest. */
export const SECTIONS: ReadonlyArray<string> = ["node", "topics", "binding", "plugin"]

/** A manifest as a person writes it, but for its plugins, whose options are their own. */
export interface ManifestInput {
  readonly node?: v.InferInput<typeof node>
  readonly topics?: v.InferInput<typeof topics>
  readonly binding?: ReadonlyArray<v.InferInput<typeof binding>>
}

export type Topics = v.InferOutput<typeof topics>
/** Entries by their place in the file; those with faults are left out. */
export type Bindings = ReadonlyMap<number, v.InferOutput<typeof binding>>
export type PluginEntries = ReadonlyMap<number, v.InferOutput<typeof pluginEntry>>
