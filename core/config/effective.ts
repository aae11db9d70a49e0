/**
 * The whole configuration that is in effect: every key with its value, defaults included, and the layer that set it.
 *
 * Invariants
 *  - Loaded again, alone, it is the same configuration, but for its secrets, which are shown as {@link NOT_SHOWN}: that is refused.
 *  - Of a configuration with faults it says what was given, as it was given.
 */
import * as v from "valibot"
import type { Plugin } from "../plugin/Plugin.ts"
import { fieldsOf, isTable, type Path } from "./check-value.ts"
import { givenOptions, isImplied } from "./choose-plugins.ts"
import { type Fault, isSecret, NOT_SHOWN } from "./faults.ts"
import { type Layers, readLayers } from "./layers.ts"
import { type ConfigSource, loadConfig } from "./load.ts"
import { sourceOf } from "./overrides.ts"
import * as schemas from "./schema.ts"
import { matchesPattern } from "./topic-defaults.ts"

/** The layer below all others. */
export const DEFAULT = "default"

/** A key with its value; undefined = it has none. */
export interface EffectiveKey {
  readonly key: string
  readonly value: unknown
  /** `default`, or where it was set: `manifold.toml:12`, `MANIFOLD_NODE__DATA`, `--set node.data`. */
  readonly origin: string
}

/** A table as it is written in TOML; a later one may lie in an earlier one. */
export interface EffectiveTable {
  readonly path: Path
  /** Whether it is one of a list: `[[plugin]]`; its path ends with its number there. */
  readonly isListed: boolean
  readonly keys: ReadonlyArray<EffectiveKey>
}

export interface Effective {
  /** In the order of manifold.toml. */
  readonly tables: ReadonlyArray<EffectiveTable>
  readonly faults: ReadonlyArray<Fault>
}

type Raw = Readonly<Record<string, unknown>>
/** Which layer set what lies at a path below the table at hand. */
type OriginOf = (below: Path) => string

export function effectiveConfig(source: ConfigSource): Effective {
  const { faults } = loadConfig(source)
  const layers = readLayers(source, [])
  if (layers === undefined) return { tables: [], faults }
  const tables: Array<EffectiveTable> = []
  for (const [name, schema] of [
    ["node", schemas.node],
    ["topics", schemas.topics]
  ] as const) {
    const given = layers.raw[name]
    const originOf: OriginOf = (below) => layers.place([name, ...below])
    addTable(tables, [name], false, schema, isTable(given) ? withoutRules(given) : {}, originOf)
  }
  const topics = tables[1]?.keys.filter(({ key }) => key !== "rule") ?? []
  tables[1] = { path: ["topics"], isListed: false, keys: topics }
  addNamed(tables, layers, topics)
  addPlugins(tables, layers)
  return { tables, faults }
}

/** Rules and bindings: what they leave open comes from the rule of their name, then from `[topics]`. */
function addNamed(tables: Array<EffectiveTable>, layers: Layers, topics: ReadonlyArray<EffectiveKey>): void {
  const rules = tablesOf(isTable(layers.raw["topics"]) ? layers.raw["topics"]["rule"] : undefined)
  const inherited = (from: EffectiveTable): ReadonlyArray<EffectiveKey> =>
    from.keys.map(({ key, value, origin }) => ({
      key,
      value,
      origin: origin.includes(": ") ? origin : `${from.path.join(".")}.${key}: ${origin}`
    }))
  const fromTopics = inherited({ path: ["topics"], isListed: false, keys: topics })
  const ruleTables: Array<EffectiveTable> = []
  const add = (into: Array<EffectiveTable>, path: Path, schema: v.GenericSchema, entry: Raw): EffectiveTable => {
    const at = into.length
    addTable(into, path, true, schema, entry, (below) => layers.place([...path, ...below]))
    return into[at] ?? { path, isListed: true, keys: [] }
  }
  for (const [index, entry] of rules) {
    const table = add([], ["topics", "rule", String(index)], schemas.rule, entry)
    ruleTables.push({ ...table, keys: filled(table.keys, fromTopics) })
  }
  tables.push(...ruleTables)
  for (const [index, entry] of tablesOf(layers.raw["binding"])) {
    const table = add([], ["binding", String(index)], schemas.binding, entry)
    const topic = entry["topic"]
    const rule = ruleTables.find(({ keys }) => {
      const match = keys.find(({ key }) => key === "match")?.value
      return typeof topic === "string" && typeof match === "string" && matchesPattern(match, topic)
    })
    tables.push({ ...table, keys: filled(table.keys, rule === undefined ? fromTopics : inherited(rule)) })
  }
}

function filled(
  keys: ReadonlyArray<EffectiveKey>,
  inherited: ReadonlyArray<EffectiveKey>
): ReadonlyArray<EffectiveKey> {
  return keys.map((one) => (one.value === undefined ? (inherited.find(({ key }) => key === one.key) ?? one) : one))
}

/** The entries of the file, then the plugins that need none. */
function addPlugins(tables: Array<EffectiveTable>, layers: Layers): void {
  const { builtins, external } = layers.available
  const list = layers.raw["plugin"]
  const listed = new Set<string>()
  let count = 0
  for (const [index, entry] of tablesOf(list)) {
    const { use, options = {} } = entry
    if (typeof use === "string") listed.add(use)
    const file = typeof use === "string" ? external.get(use) : undefined
    const plugin = file !== undefined && "plugin" in file ? file.plugin : builtins.find(({ name }) => name === use)
    const path = ["plugin", String(index)]
    const place: OriginOf = (below) => layers.place([...path, ...below])
    const at = tables.length
    addTable(tables, ["plugin", String(count)], true, schemas.pluginEntry, { ...entry, options: undefined }, place)
    const keys = tables[at]?.keys.filter(({ key, value }) => key !== "options" && (key !== "digest" || value)) ?? []
    tables.splice(at, tables.length, { path: ["plugin", String(count)], isListed: true, keys })
    if (isTable(options)) {
      const isOn = plugin !== undefined && entry["enabled"] !== false
      if (isOn) addOptions(tables, layers, plugin, count, options, (below) => place(["options", ...below]))
      else addTable(tables, optionsPath(count), false, undefined, options, (below) => place(["options", ...below]))
    }
    count++
  }
  for (const plugin of builtins) {
    if (listed.has(plugin.name) || !isImplied(plugin, list !== undefined)) continue
    const keys = [
      { key: "use", value: plugin.name, origin: DEFAULT },
      { key: "enabled", value: true, origin: DEFAULT }
    ]
    tables.push({ path: ["plugin", String(count)], isListed: true, keys })
    addOptions(tables, layers, plugin, count, {}, () => DEFAULT)
    count++
  }
}

const optionsPath = (index: number): Path => ["plugin", String(index), "options"]

function addOptions(
  tables: Array<EffectiveTable>,
  layers: Layers,
  plugin: Plugin,
  index: number,
  options: Raw,
  place: OriginOf
): void {
  const { table, sources } = told(plugin, options, layers)
  addTable(
    tables,
    optionsPath(index),
    false,
    plugin.options,
    table,
    (below) => sourceOf(sources, below) ?? place(below)
  )
}

/** A third party's schema is code, which may throw when it is asked: then what the file says is all there is. */
function told(plugin: Plugin, options: Raw, layers: Layers): ReturnType<typeof givenOptions> {
  try {
    return givenOptions(plugin, options, layers.overrides, [])
  } catch {
    return { table: options, sources: new Map() }
  }
}

/** The table, and the tables in it that have names of their own: their keys, too, are told one by one. */
function addTable(
  tables: Array<EffectiveTable>,
  path: Path,
  isListed: boolean,
  schema: unknown,
  given: Raw,
  originOf: OriginOf
): void {
  const fields = fieldsOf(schema) ?? {}
  const isStrict = fieldsOf(schema) !== undefined && takesNoOthers(schema)
  const more = isStrict ? [] : Object.keys(given).filter((key) => !Object.hasOwn(fields, key))
  const keys: Array<EffectiveKey> = []
  const below: Array<() => void> = []
  for (const key of [...Object.keys(fields), ...more]) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined
    const isGiven = Object.hasOwn(given, key) && given[key] !== undefined
    const value = isGiven ? given[key] : defaultOf(field)
    if (isTable(value) && fieldsOf(field) !== undefined) {
      const originBelow: OriginOf = isGiven ? (rest) => originOf([key, ...rest]) : () => DEFAULT
      below.push(() => addTable(tables, [...path, key], false, field, value, originBelow))
    } else if (isGiven) keys.push({ key, value: hidden(value, key), origin: originOf([key]) })
    else keys.push({ key, value, origin: DEFAULT })
  }
  tables.push({ path, isListed, keys })
  for (const add of below) add()
}

function takesNoOthers(schema: unknown): boolean {
  return (
    isTable(schema) &&
    (isTable(schema["wrapped"]) ? takesNoOthers(schema["wrapped"]) : schema["type"] === "strict_object")
  )
}

/** The default of an entry, in the form in which it would be written. */
function defaultOf(schema: unknown): unknown {
  if (!isTable(schema)) return undefined
  try {
    return v.getDefault(schema as unknown as v.GenericSchema)
  } catch {
    // A third party's default is code, too: the fault is told where it is asked for.
    return undefined
  }
}

/** The value without its secrets. */
function hidden(value: unknown, key: string): unknown {
  if (isSecret(key, value)) return NOT_SHOWN
  if (Array.isArray(value)) return value.map((each) => hidden(each, ""))
  if (!isTable(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, hidden(each, name)]))
}

function withoutRules({ rule: _, ...topics }: Raw): Raw {
  return topics
}

/** The entries of a list that are tables, by their place in it. */
function tablesOf(list: unknown): ReadonlyArray<readonly [number, Raw]> {
  return [...(Array.isArray(list) ? list : []).entries()].filter((entry): entry is [number, Raw] => isTable(entry[1]))
}
