/**
 * From what a person wrote to what a node is built from: file, then environment, then `--set`; every fault is found before
 * anything starts, and all of them are told.
 */
import { parse, TomlError } from "smol-toml"
import * as v from "valibot"
import type { DeclaredTopic, LoadedPlugin } from "../node/NodeOptions.ts"
import type { PluginFile } from "../plugin/load-plugin.ts"
import type { EngineFact, Plugin } from "../plugin/Plugin.ts"
import type { TopicDefaults } from "../topics/Topics.ts"
import { checkEngine, checkTopics } from "./check-topics.ts"
import { type Fault, nearestOf, show } from "./faults.ts"
import { environmentOverrides, type Override, readValue, setOverride } from "./overrides.ts"
import * as schemas from "./schema.ts"
import { lineOf, tomlLines } from "./toml-lines.ts"

/** The plugins that a manifest without `[[plugin]]` starts beside the built-in storage and meta plugins. */
const DEFAULT_FACES: ReadonlyArray<Plugin["kind"]> = ["protocol", "http"]

export interface ConfigSource {
  /** The file's text; undefined = no file, the defaults. */
  readonly text: string | undefined
  /** Its name, for faults. */
  readonly file: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The `--set` arguments, in order. */
  readonly sets: ReadonlyArray<string>
  readonly builtins: ReadonlyArray<Plugin>
  /** The plugins that the file names by path, already imported, by what it calls them. */
  readonly external?: ReadonlyMap<string, PluginFile>
}

/** A configuration without a fault. */
export interface Config {
  readonly node: schemas.Manifest["node"]
  readonly topics: schemas.Manifest["topics"]
  readonly defaults: TopicDefaults
  readonly declared: ReadonlyArray<DeclaredTopic>
  readonly plugins: ReadonlyArray<LoadedPlugin>
}

export type Loaded =
  | { readonly config: Config; readonly faults: readonly [] }
  | { readonly config: undefined; readonly faults: ReadonlyArray<Fault> }

type Raw = Record<string, unknown>

export function loadConfig(source: ConfigSource): Loaded {
  const faults: Array<Fault> = []
  const raw = parseText(source, faults)
  if (raw === undefined) return { config: undefined, faults }
  const lines = tomlLines(source.text ?? "")
  const sourceOf = (path: ReadonlyArray<string>): string => {
    const line = lineOf(lines, path)
    return line === undefined ? source.file : `${source.file}:${line}`
  }
  const overridden = new Map<string, string>()
  const overrides = collectOverrides(source, faults)
  const sections = new Set(["node", "topics"])
  for (const override of overrides) {
    if (sections.has(override.section)) apply(raw, override, overridden)
  }
  const parsed = v.safeParse(schemas.manifest, raw)
  if (!parsed.success) {
    for (const issue of parsed.issues) {
      faults.push(faultOf(issue, schemas.manifest, [], (path) => overridden.get(path.join(".")) ?? sourceOf(path)))
    }
    return { config: undefined, faults }
  }
  const manifest = parsed.output
  const chosen = choosePlugins(manifest, source, sourceOf, faults)
  const plugins = chosen.map(({ plugin, options, index }) =>
    loadPlugin(plugin, options, index, overrides, sourceOf, faults)
  )
  for (const { section, key, source: from } of overrides) {
    if (sections.has(section) || chosen.some(({ plugin }) => plugin.name === section)) continue
    const names = [...sections, ...chosen.map(({ plugin }) => plugin.name)]
    faults.push(unknown(`${section}.${key}`, from, section, names))
  }
  const engines = enginesOf(plugins)
  const place = (path: ReadonlyArray<string>): string => overridden.get(path.join(".")) ?? sourceOf(path)
  checkTopics(manifest, engines, place, faults)
  if (faults.length > 0) return { config: undefined, faults }
  const defaults = defaultsOf(manifest.topics)
  const declared = manifest.binding.map((entry) => ({
    topic: entry.topic,
    filter: entry.filter,
    partitions: entry.partitions ?? defaults.forName(entry.topic).partitions,
    engine: entry.engine ?? defaults.forName(entry.topic).engine,
    mode: entry.mode ?? defaults.forName(entry.topic).mode
  }))
  for (const [index, topic] of declared.entries()) {
    checkEngine(topic.engine, topic.mode, engines, ["binding", String(index)], place, faults)
  }
  if (faults.length > 0) return { config: undefined, faults }
  return { config: { node: manifest.node, topics: manifest.topics, defaults, declared, plugins }, faults: [] }
}

function parseText(source: ConfigSource, faults: Array<Fault>): Raw | undefined {
  try {
    return source.text === undefined ? {} : (parse(source.text) as Raw)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const message = error.message.split("\n")[0]?.replace("Invalid TOML document: ", "") ?? ""
    const at = `${source.file}:${error.line}`
    faults.push({ key: `column ${error.column}`, source: at, found: message, allowed: "TOML 1.0" })
    return undefined
  }
}

function collectOverrides(source: ConfigSource, faults: Array<Fault>): ReadonlyArray<Override> {
  const names = ["node", "topics", ...source.builtins.map((plugin) => plugin.name)]
  const overrides = [...environmentOverrides(source.environment, names)]
  for (const argument of source.sets) {
    const override = setOverride(argument)
    if (override !== undefined) overrides.push(override)
    else faults.push({ key: argument, source: "--set", found: show(argument), allowed: "section.key=value" })
  }
  return overrides
}

/** Puts an override into the raw manifest; what it means is judged with the rest. */
function apply(raw: Raw, override: Override, overridden: Map<string, string>): void {
  const entries = schemas.entriesAt(schemas.manifest, [override.section])
  const before = raw[override.section]
  const section: Raw = typeof before === "object" && before !== null ? { ...before } : {}
  section[override.key] = readValue(override.text, entries?.[override.key])
  raw[override.section] = section
  overridden.set(`${override.section}.${override.key}`, override.source)
}

interface Chosen {
  readonly plugin: Plugin
  readonly options: Raw
  /** Its place in the file's list; -1 = not in it. */
  readonly index: number
}

function choosePlugins(
  manifest: schemas.Manifest,
  source: ConfigSource,
  sourceOf: (path: ReadonlyArray<string>) => string,
  faults: Array<Fault>
): ReadonlyArray<Chosen> {
  const named = new Map<string, { readonly enabled: boolean; readonly options: Raw; readonly index: number }>()
  for (const [index, entry] of (manifest.plugin ?? []).entries()) {
    const from = sourceOf(["plugin", String(index), "use"])
    if (named.has(entry.use)) {
      faults.push({ key: "plugin.use", source: from, found: show(entry.use), allowed: "each plugin once" })
    } else if (!source.external?.has(entry.use) && !source.builtins.some((plugin) => plugin.name === entry.use)) {
      const names = source.builtins.map((plugin) => plugin.name)
      faults.push(unknown("plugin.use", from, entry.use, names))
    }
    named.set(entry.use, { enabled: entry.enabled, options: entry.options, index })
  }
  const chosen: Array<Chosen> = []
  for (const [use, { enabled, options, index }] of named) {
    const file = source.external?.get(use)
    if (file === undefined || !enabled) continue
    if ("plugin" in file) chosen.push({ plugin: file.plugin, options, index })
    else {
      const from = sourceOf(["plugin", String(index), "use"])
      faults.push({ key: "plugin.use", source: from, found: show(use), allowed: file.fault })
    }
  }
  for (const plugin of source.builtins) {
    const entry = named.get(plugin.name)
    const listed = entry?.enabled ?? (manifest.plugin === undefined || !DEFAULT_FACES.includes(plugin.kind))
    if (listed) chosen.push({ plugin, options: entry?.options ?? {}, index: entry?.index ?? -1 })
  }
  return chosen
}

function loadPlugin(
  plugin: Plugin,
  options: Raw,
  index: number,
  overrides: ReadonlyArray<Override>,
  sourceOf: (path: ReadonlyArray<string>) => string,
  faults: Array<Fault>
): LoadedPlugin {
  const given: Raw = { ...options }
  const sources = new Map<string, string>()
  const entries = schemas.entriesAt(plugin.options, [])
  for (const override of overrides) {
    if (override.section !== plugin.name) continue
    given[override.key] = readValue(override.text, entries?.[override.key])
    sources.set(override.key, override.source)
  }
  const parsed = v.safeParse(plugin.options, given)
  if (parsed.success) return { plugin, options: parsed.output }
  for (const issue of parsed.issues) {
    faults.push(
      faultOf(issue, plugin.options, [plugin.name], (path) => {
        const inFile = ["plugin", String(index), "options", ...path.slice(1)]
        return sources.get(path[1] ?? "") ?? sourceOf(inFile)
      })
    )
  }
  return { plugin, options: undefined }
}

function enginesOf(plugins: ReadonlyArray<LoadedPlugin>): ReadonlyArray<EngineFact> {
  return plugins.flatMap(({ plugin }) => (plugin.kind === "storage" ? plugin.engines : []))
}

function faultOf(
  issue: v.BaseIssue<unknown>,
  schema: unknown,
  prefix: ReadonlyArray<string>,
  sourceOf: (path: ReadonlyArray<string>) => string
): Fault {
  const below = (issue.path ?? []).map((item) => String(item.key))
  const path = [...prefix, ...below]
  const key = path.join(".")
  const last = below[below.length - 1] ?? ""
  if (issue.type === "strict_object" && issue.expected === "never") {
    const entries = schemas.entriesAt(schema, below.slice(0, -1)) ?? {}
    return unknown(key, sourceOf(path), last, Object.keys(entries))
  }
  const value = issue.path?.[issue.path.length - 1]?.value ?? issue.input
  const missing = value === undefined
  const allowed = describe(issue)
  const nearest = typeof value === "string" ? nearestOf(value, allowed.split(" | ")) : undefined
  const fault = { key, source: sourceOf(path), found: missing ? "nothing" : show(value), allowed }
  return nearest === undefined ? fault : { ...fault, nearest }
}

/** What valibot expected, in words. */
function describe(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "check" || issue.type === "regex") return issue.message
  const expected = issue.expected ?? issue.message
  if (issue.type === "union") return expected.replaceAll(/[()]/g, "")
  return expected.replaceAll(/[()"]/g, "").replace(">=", "at least ").replace("<=", "at most ")
}

function unknown(key: string, source: string, found: string, known: ReadonlyArray<string>): Fault {
  const nearest = nearestOf(found, known)
  const fault = { key, source, found: `unknown "${found}"`, allowed: known.join(", ") }
  return nearest === undefined ? fault : { ...fault, nearest }
}

function defaultsOf(topics: schemas.Manifest["topics"]): TopicDefaults {
  const rules = topics.rule.map((rule) => ({ ...rule, pattern: patternOf(rule.match) }))
  return {
    autoCreate: topics.auto_create,
    autoCreateMqtt: topics.auto_create_mqtt,
    forName: (name) => {
      const rule = rules.find(({ pattern }) => pattern.test(name))
      return {
        partitions: rule?.partitions ?? topics.partitions,
        engine: rule?.engine ?? topics.engine,
        mode: rule?.mode ?? topics.mode
      }
    }
  }
}

/** `*` stands for any characters, dots too; everything else for itself. */
function patternOf(match: string): RegExp {
  return new RegExp(`^${match.split("*").map(RegExp.escape).join(".*")}$`, "s")
}
