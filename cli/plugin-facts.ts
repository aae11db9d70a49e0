/** What a person and a program are told of a plugin: its facts, its options, where it comes from. */
import type { GenericSchema } from "valibot"
import type { EngineFact, Plugin } from "../core/mod.ts"
import type { PluginLoader } from "../core/plugin/load-plugin.ts"
import type { PluginPlace } from "../core/plugin/locate-plugin.ts"
import { oneLine, thrownMessage } from "../core/plugin/PluginFault.ts"
import { type Arguments, UsageError } from "./arguments.ts"

const OUTPUTS = ["table", "json"] as const

export interface PluginFacts {
  readonly name: string
  readonly version: string
  readonly kind: Plugin["kind"]
  readonly contractVersion: number
  readonly runs: Plugin["runs"]
  readonly origin: "built in" | PluginPlace["origin"]
  /** What a manifest calls it. */
  readonly use: string
  /** The module that exports it, of one from disk. */
  readonly entry?: string
  /** The digest of what lies there, of one from disk. */
  readonly digest?: string
  readonly engines?: ReadonlyArray<EngineFact>
  /** A JSON Schema (draft 2020-12) of `[plugin.options]`. */
  readonly options: Readonly<Record<string, unknown>>
}

/** How `--output` asks for the result. Throws UsageError. */
export function outputOf({ values, switches }: Arguments): (typeof OUTPUTS)[number] {
  const asked = values.get("--output") ?? (switches.has("--json") ? "json" : "table")
  const known = OUTPUTS.find((output) => output === asked)
  if (known === undefined) throw new UsageError(`unknown output ${JSON.stringify(asked)}; known: ${OUTPUTS.join(", ")}`)
  return known
}

/** The facts of a plugin; `place` and `loader` are those of one from disk. Throws PluginFault where its code cannot be read. */
export async function pluginFacts(
  plugin: Plugin,
  use: string,
  place?: PluginPlace,
  loader?: PluginLoader
): Promise<PluginFacts> {
  const { name, version, kind, contractVersion, runs } = plugin
  return {
    name,
    version,
    kind,
    contractVersion,
    runs,
    origin: place?.origin ?? "built in",
    use,
    ...(place === undefined ? {} : { entry: place.entry }),
    ...(place === undefined || loader === undefined ? {} : { digest: loader.digest(place) }),
    ...(plugin.kind === "storage" ? { engines: plugin.engines } : {}),
    options: await optionsSchema(plugin.options)
  }
}

/** A third party's schema may hold what has no translation, or throw: then all that is known is that it is a table. */
async function optionsSchema(schema: GenericSchema): Promise<Readonly<Record<string, unknown>>> {
  const { toJsonSchema } = await import("@valibot/to-json-schema")
  try {
    return { ...toJsonSchema(schema, { typeMode: "input", errorMode: "ignore", target: "draft-2020-12" }) }
  } catch (error) {
    return { type: "object", description: `not translated: ${thrownMessage(error)}` }
  }
}

/** The facts as lines: what is pasted into a manifest stands by itself. */
export function factLines(facts: PluginFacts): ReadonlyArray<string> {
  const { name, version, kind, runs, contractVersion, origin, entry, engines, digest, options } = facts
  const pairs: ReadonlyArray<readonly [string, string]> = [
    ["kind", `${kind}, one a ${runs}`],
    ["contract", `version ${contractVersion}`],
    ["origin", entry === undefined ? origin : `${origin}, ${oneLine(entry)}`],
    ...(engines ?? []).map((engine) => ["engine", `${engine.name} (${engine.modes.join(", ")})`] as const)
  ]
  const rows = optionRows(options)
  return [
    `${name} ${version}`,
    ...pairs.map(([key, value]) => `  ${key.padEnd(8)}  ${value}`),
    ...(digest === undefined ? [] : [`digest = ${JSON.stringify(digest)}`]),
    ...(rows.length === 0 ? ["  no options"] : ["  options", ...columns(rows).map((line) => `    ${line}`)])
  ]
}

/** Rows as lines of equal columns. */
export function columns(rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> {
  const widths: Array<number> = []
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd()
  )
}

/** Name, type and default of each option. */
function optionRows(schema: Readonly<Record<string, unknown>>): ReadonlyArray<ReadonlyArray<string>> {
  const { properties, required } = schema
  const needed: ReadonlyArray<unknown> = Array.isArray(required) ? required : []
  return Object.entries(isRecord(properties) ? properties : {}).map(([name, option]) => {
    const preset = isRecord(option) ? option["default"] : undefined
    const value =
      preset === undefined ? (needed.includes(name) ? "has to be given" : "") : `default ${JSON.stringify(preset)}`
    return [name, typeOf(option), value].map((cell) => oneLine(cell))
  })
}

/** What a JSON Schema allows, in the words of the manifest. */
function typeOf(schema: unknown): string {
  if (!isRecord(schema)) return "anything"
  const { type, anyOf, items, minimum, maximum } = schema
  if (Array.isArray(schema["enum"])) return schema["enum"].map((value) => JSON.stringify(value)).join(" | ")
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"])
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(typeOf))].join(" | ")
  if (type === "array") return `list of ${typeOf(items)}`
  if (type === "string") return "text"
  if (type === "boolean") return "true | false"
  if (type === "object") return "table"
  if (type !== "integer" && type !== "number") return "anything"
  const kind = type === "integer" ? "whole number" : "number"
  return minimum === undefined && maximum === undefined ? kind : `${kind} ${minimum ?? ""}..${maximum ?? ""}`
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
