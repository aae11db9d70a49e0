/**
 * A JSON Schema of the whole configuration, with the parts of the plugins: what editors complete and check a manifest by.
 *
 * Draft-07, because that is what the TOML tools of editors check by (taplo, which is in "Even Better TOML", compiles its validator
 * without the later drafts); and because they complete by `properties`, `items`, `anyOf` and `$ref` but not by `if`, the shape of
 * `options` is said twice: by `anyOf`, so that all keys are offered, and by `use` in a chain of if-then-else, so that a wrong key is
 * told as such. (An `allOf` would hide the keys beside it from taplo.)
 *
 * Invariant: what loads, the schema accepts; what it accepts may still have faults that only the whole shows.
 */
import type { ConversionConfig, JsonSchema as Converted, OverrideActionContext } from "@valibot/to-json-schema"
import type * as v from "valibot"
import type { EngineFact, Plugin } from "../plugin/Plugin.ts"
import { isTable } from "./check-value.ts"
import { enginesOf } from "./engines.ts"
import { topicDefaultsOf } from "./fill-modes.ts"
import type { ConfigSource } from "./load.ts"
import * as schemas from "./schema.ts"

export type JsonSchema = Readonly<Record<string, unknown>>
type Plugins = Pick<ConfigSource, "builtins" | "leftOut" | "external">
type Convert = (schema: v.GenericSchema) => JsonSchema

/** A plugin as an entry names it. */
interface Named {
  readonly use: string
  readonly plugin: Plugin
  readonly isBuiltIn: boolean
}

export async function manifestSchema({ builtins, leftOut = [], external = new Map() }: Plugins): Promise<JsonSchema> {
  // Only here: a broker that runs has no use for it.
  const { toJsonSchema } = await import("@valibot/to-json-schema")
  const convert: Convert = (schema) => tidied({ ...toJsonSchema(schema, CONVERSION) })
  const named: ReadonlyArray<Named> = [
    ...builtins.map((plugin) => ({ use: plugin.name, plugin, isBuiltIn: true })),
    ...[...external].flatMap(([use, file]) =>
      "plugin" in file ? [{ use, plugin: file.plugin, isBuiltIn: false }] : []
    )
  ]
  const engines = enginesOf(named.map(({ plugin }) => plugin))
  const topics = withEngines(convert(schemas.topics), engines, topicDefaultsOf(engines))
  const rule = at(at(topics, "properties"), "rule")
  const definitions = new Map(named.map(({ plugin }) => [plugin.name, optionsSchema(plugin, convert)]))
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "manifold.toml",
    description: "the configuration of Manifold",
    type: "object",
    additionalProperties: false,
    properties: {
      node: { description: "what runs, and where it keeps its data", ...convert(schemas.node) },
      topics: {
        description: "how topics are created",
        ...topics,
        properties: {
          ...at(topics, "properties"),
          rule: { ...rule, items: withEngines(at(rule, "items"), engines) }
        }
      },
      binding: {
        description: "topics that are the home of every MQTT topic name that matches their filter",
        type: "array",
        items: withEngines(convert(schemas.binding), engines)
      },
      plugin: {
        description:
          "protocols, storage engines and what else is started; replaces the default list of protocols and admin-http",
        type: "array",
        items: entrySchema(convert(schemas.pluginEntry), named, leftOut, definitions)
      }
    },
    definitions: Object.fromEntries(definitions)
  }
}

const CONVERSION: ConversionConfig = {
  target: "draft-07",
  typeMode: "input",
  // What has no translation is checked when the configuration is loaded.
  errorMode: "ignore",
  overrideAction: ({ valibotAction, jsonSchema }: OverrideActionContext): Converted | undefined => {
    const requirement: unknown = "requirement" in valibotAction ? valibotAction.requirement : undefined
    if (!(requirement instanceof RegExp) || requirement.flags === "") return undefined
    // JSON Schema has no flags: without them the pattern would be another.
    const { pattern: _, ...rest } = jsonSchema
    return rest
  }
}

/** `[[plugin]]`: its keys, and for each plugin by its `use` the shape of its options. */
function entrySchema(
  entry: JsonSchema,
  named: ReadonlyArray<Named>,
  leftOut: ReadonlyArray<string>,
  definitions: ReadonlyMap<string, JsonSchema>
): JsonSchema {
  const { use, options, ...properties } = at(entry, "properties")
  const names = [...named.map((one) => one.use), ...leftOut]
  const { description } = isTable(options) ? options : {}
  const shapes = named.map(({ plugin }) => ({ $ref: referenceOf(plugin) }))
  let chain: JsonSchema = {}
  for (const { use, plugin, isBuiltIn } of named.toReversed()) {
    const isThis = { required: ["use"], properties: { use: { const: use }, enabled: { const: true } } }
    const then = {
      properties: { options: { $ref: referenceOf(plugin) }, ...(isBuiltIn ? { digest: false } : {}) },
      // No options are an empty table, which is not enough where one has to be given.
      ...(definitions.get(plugin.name)?.["required"] === undefined ? {} : { required: ["options"] })
    }
    chain = { if: isThis, then, ...(chain["if"] === undefined ? {} : { else: chain }) }
  }
  return {
    ...entry,
    properties: {
      use: { ...(isTable(use) ? { description: use["description"] } : {}), anyOf: [{ enum: names }, withoutText(use)] },
      ...properties,
      options: { description, anyOf: [...shapes, { type: "object" }] }
    },
    ...chain
  }
}

/** The options of a plugin. A third party's schema may throw when it is asked: then all that is known is that it is a table. */
function optionsSchema(plugin: Plugin, convert: Convert): JsonSchema {
  const unknown = { type: "object", description: `options of ${plugin.name}` }
  try {
    const options = convert(plugin.options)
    const properties = Object.entries(at(options, "properties")).map(([key, option]) => {
      const text = isTable(option) ? option["description"] : undefined
      // An editor that does not know which plugin it is shows what all of them say of the key.
      return [
        key,
        typeof text === "string" ? { ...at({ option }, "option"), description: `${plugin.name}: ${text}` } : option
      ]
    })
    return { ...unknown, ...options, properties: Object.fromEntries(properties) }
  } catch {
    return unknown
  }
}

/**
 * A table with engine and mode: the engines that there are, and of each the modes it promises. `fallback` is what holds where the
 * table leaves both out; without it that is for another table to say. A mode alone is always left to be filled in (fill-modes.ts).
 */
function withEngines(
  table: JsonSchema,
  engines: ReadonlyArray<EngineFact>,
  fallback?: { readonly engine: string; readonly mode: string }
): JsonSchema {
  const properties = at(table, "properties")
  const modes = [...new Set(engines.flatMap((engine) => engine.modes))]
  const names = engines.map(({ name }) => name)
  let chain: JsonSchema | undefined
  // The fallback's is asked last: it is meant where no engine is named, too.
  const isFallback = ({ name }: EngineFact): boolean => name === fallback?.engine
  const inTurn = [...engines.filter(isFallback), ...engines.filter((one) => !isFallback(one))]
  for (const { name, modes: own } of inTurn) {
    const then = { properties: { mode: { enum: [...own] } } }
    if (name === fallback?.engine) chain = then
    else {
      const isThis = { required: ["engine"], properties: { engine: { const: name } } }
      chain = { if: isThis, then, ...(chain === undefined ? {} : { else: chain }) }
    }
  }
  return {
    ...table,
    properties: {
      ...properties,
      engine: { ...at(properties, "engine"), enum: names, ...(fallback && { default: fallback.engine }) },
      mode: { ...at(properties, "mode"), enum: modes, ...(fallback && { default: fallback.mode }) }
    },
    ...(chain?.["if"] === undefined ? {} : chain)
  }
}

/** Without what says nothing: an empty list of required keys, which draft-04 does not even allow; the draft, which stands once. */
function tidied(value: unknown): JsonSchema {
  const copy = (each: unknown): unknown => {
    if (Array.isArray(each)) return each.map(copy)
    return isTable(each) ? tidied(each) : each
  }
  const kept = Object.entries(isTable(value) ? value : {}).filter(
    ([key, each]) => key !== "$schema" && !(key === "required" && Array.isArray(each) && each.length === 0)
  )
  return Object.fromEntries(kept.map(([key, each]) => [key, copy(each)]))
}

const referenceOf = ({ name }: Plugin): string => `#/definitions/${name}`

function withoutText(schema: unknown): unknown {
  const { description: _, ...rest } = isTable(schema) ? schema : {}
  return rest
}

/** A part of a schema that is a table itself; empty where it is none. */
function at(schema: JsonSchema, key: string): JsonSchema {
  const part = schema[key]
  return isTable(part) ? part : {}
}
