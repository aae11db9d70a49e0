/**
 * The layers of a configuration put together, not judged yet: the file, then the environment, then `--set`, the later winning; and of
 * each key, which layer it came from.
 *
 * Invariant: the settings of a plugin stay beside the file's table (`overrides`): which entry is its own is not known here.
 */
import { parse, TomlError } from "smol-toml"
import { isTable, type Path, type Place } from "./check-value.ts"
import { type Available, allPlugins } from "./choose-plugins.ts"
import { type Fault, NOT_SHOWN, SECRET_ITSELF, show } from "./faults.ts"
import { fillModes } from "./fill-modes.ts"
import type { ConfigSource } from "./load.ts"
import {
  environmentOverrides,
  mistakenVariables,
  type Override,
  putSetting,
  setOverride,
  sourceOf
} from "./overrides.ts"
import * as schemas from "./schema.ts"
import { lineOf, tomlLines } from "./toml-lines.ts"

/** More tables within tables than any setting needs, and few enough for whoever walks them. */
const DEPTH_MAX = 32

export interface Layers {
  readonly raw: Readonly<Record<string, unknown>>
  readonly available: Available
  readonly overrides: ReadonlyArray<Override>
  readonly place: Place
}

/** The sections whose keys can be set from outside; a plugin's name is a section too. */
const OVERRIDABLE: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["node", schemas.node],
  ["topics", schemas.topics]
])

/** Undefined where the file cannot be read at all, which has been told. */
export function readLayers(source: ConfigSource, faults: Array<Fault>): Layers | undefined {
  const raw = parseText(source, faults)
  if (raw === undefined) return undefined
  const { builtins, leftOut = [], external = new Map() } = source
  const available: Available = { builtins, leftOut, external }
  const overrides = collectOverrides(source, available, faults)
  const sources = new Map<string, string>()
  for (const override of overrides) apply(raw, override, sources, faults)
  const filled = new Map<string, string>()
  fillModes(raw, available, (path, origin) => void filled.set(path.join("."), origin))
  const lines = tomlLines(source.text ?? "")
  const place = (path: Path): string => {
    const origin = filled.get(path.join("."))
    if (origin !== undefined) return origin
    const line = lineOf(lines, path)
    return sourceOf(sources, path) ?? (line === undefined ? source.file : `${source.file}:${line}`)
  }
  // A program gives values of its own, whatever they hold; a secret that was printed comes back as a text.
  if (source.text !== undefined) refusePlaceholders(raw, [], place, faults)
  return { raw, available, overrides, place }
}

function parseText(source: ConfigSource, faults: Array<Fault>): Record<string, unknown> | undefined {
  try {
    if (source.text === undefined) return { ...source.values }
    const raw = parse(source.text)
    const deep = Object.keys(raw).find((key) => isDeep(raw[key]))
    if (deep === undefined) return raw
    const at = `${source.file}:${lineOf(tomlLines(source.text), [deep]) ?? 1}`
    const found = `more than ${DEPTH_MAX} tables within tables`
    faults.push({ key: show(deep).slice(1, -1), source: at, found, allowed: `${DEPTH_MAX} or fewer` })
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const message = error.message.split("\n")[0]?.replace("Invalid TOML document: ", "") ?? ""
    const at = `${source.file}:${error.line}`
    faults.push({ key: `column ${error.column}`, source: at, found: message, allowed: "TOML 1.0" })
  }
  return undefined
}

/** Whether a value has more levels than {@link DEPTH_MAX}; the parser bounds lists and inline tables, but not dotted keys. */
function isDeep(value: unknown): boolean {
  let level: ReadonlyArray<unknown> = [value]
  for (let depth = 0; depth <= DEPTH_MAX; depth++) {
    level = level.flatMap((each) => (Array.isArray(each) ? each : isTable(each) ? Object.values(each) : []))
    if (level.length === 0) return false
  }
  return true
}

function collectOverrides(source: ConfigSource, available: Available, faults: Array<Fault>): ReadonlyArray<Override> {
  const plugins = allPlugins(available)
  const names = [...OVERRIDABLE.keys(), ...plugins.map(({ name }) => name), ...available.leftOut]
  const sections = new Map([...OVERRIDABLE, ...plugins.map(({ name, options }): [string, unknown] => [name, options])])
  faults.push(...mistakenVariables(source.environment, sections))
  const overrides = [...environmentOverrides(source.environment, names)]
  for (const argument of source.sets) {
    const override = setOverride(argument)
    if (override !== undefined) overrides.push(override)
    else faults.push({ key: argument, source: "--set", found: show(argument), allowed: "section.key=value" })
  }
  return overrides
}

/** Puts an override of a section into the raw manifest; what it means is judged with the rest. */
function apply(
  raw: Record<string, unknown>,
  override: Override,
  sources: Map<string, string>,
  faults: Array<Fault>
): void {
  const schema = OVERRIDABLE.get(override.section)
  const before = raw[override.section] ?? {}
  // A section that is no table is a fault of the file: it must stay to be told.
  if (schema === undefined || !isTable(before)) return
  const put = putSetting(before, schema, override)
  if ("refusal" in put) {
    const key = [override.section, ...override.keys].join(".")
    faults.push({ key, source: override.source, found: show(override.text, key), allowed: put.refusal })
    return
  }
  raw[override.section] = put.table
  sources.set([override.section, ...put.path].join("."), override.source)
}

/** What `config print` shows for a secret is none: a node that loads what was printed would go on with one that everybody knows. */
function refusePlaceholders(value: unknown, path: Path, place: Place, faults: Array<Fault>): void {
  if (value === NOT_SHOWN) {
    faults.push({ key: path.join("."), source: place(path), found: show(value), allowed: SECRET_ITSELF })
  } else if (Array.isArray(value) || isTable(value)) {
    for (const [key, below] of Object.entries(value)) refusePlaceholders(below, [...path, key], place, faults)
  }
}
