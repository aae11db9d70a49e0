/** Which plugins a manifest starts, and with which options. */
import type { LoadedPlugin } from "../node/NodeOptions.ts"
import type { PluginFile } from "../plugin/load-plugin.ts"
import type { Plugin } from "../plugin/Plugin.ts"
import { thrownMessage } from "../plugin/PluginFault.ts"
import { checkNeeds } from "./check-needs.ts"
import { checkValue, type Path, type Place, unknownKey } from "./check-value.ts"
import { type Fault, NOT_SHOWN, SECRET_ITSELF, show } from "./faults.ts"
import { type Override, putSetting, sourceOf } from "./overrides.ts"
import { type PluginEntries, SECTIONS } from "./schema.ts"

/** What a manifest without `[[plugin]]` starts beside the built-in storage and meta plugins, which need no entry. */
const DEFAULT_FACES: ReadonlyArray<Plugin["kind"]> = ["protocol", "http"]

/** What else a manifest may name. */
const NOT_BUILT_IN = "a package in the node_modules beside the manifest, or a path that begins with ./ or /"

/** Of the name of a setting nobody knows. */
const KEY_SHOWN_MAX = 80

/** The plugins that there are to choose from. */
export interface Available {
  readonly builtins: ReadonlyArray<Plugin>
  /** Names of built-in plugins that this executable was built without. */
  readonly leftOut: ReadonlyArray<string>
  /** Those that the manifest names and that are not built in, already loaded, by what it calls them. */
  readonly external: ReadonlyMap<string, PluginFile>
}

interface Chosen {
  readonly plugin: Plugin
  readonly options: Readonly<Record<string, unknown>>
  /** The path of its entry in the file; undefined = it has none. */
  readonly entry: Path | undefined
}

/** Every plugin that can be named, whether it is started or not. */
export function allPlugins({ builtins, external }: Available): ReadonlyArray<Plugin> {
  return [...builtins, ...[...external.values()].flatMap((file) => ("plugin" in file ? [file.plugin] : []))]
}

/** The plugins to start. `entries` is the file's list, undefined = it has none. */
export function loadPlugins(
  entries: PluginEntries | undefined,
  available: Available,
  overrides: ReadonlyArray<Override>,
  place: Place,
  faults: Array<Fault>
): ReadonlyArray<LoadedPlugin> {
  const before = faults.length
  const chosen = choose(entries, available, place, faults)
  const areFound = faults.length === before
  const loaded = chosen.map((one) => ({ plugin: one.plugin, options: readOptions(one, overrides, place, faults) }))
  const all = allPlugins(available)
  for (const plugin of all) {
    if (chosen.some((one) => one.plugin === plugin)) continue
    // Told to a plugin that is not started, a setting does nothing; it has to be one all the same. What else it lacks is no fault.
    const found: Array<Fault> = []
    readOptions({ plugin, options: {}, entry: undefined }, overrides, place, found)
    faults.push(...found.filter((fault) => overrides.some(({ source }) => source === fault.source)))
  }
  const sections = [...SECTIONS.slice(0, 2), ...all.map(({ name }) => name)]
  for (const { section, keys, source } of overrides) {
    if (sections.includes(section)) continue
    const key = keys.join(".").slice(0, KEY_SHOWN_MAX)
    if (SECTIONS.includes(section)) {
      const allowed = `[[${section}]] in the file; from outside: node, topics, and a plugin's options by its name`
      faults.push({ key: `${section}.${key}`, source, found: "a setting of a list of tables", allowed })
      continue
    }
    if (available.leftOut.includes(section)) {
      faults.push({ key: `${section}.${key}`, source, found: show(section), allowed: notBuiltIn(available) })
      continue
    }
    const { allowed, nearest, found } = unknownKey([section], source, sections)
    const fault = { key: `${section}.${key}`, source, found, allowed }
    faults.push(nearest === undefined ? fault : { ...fault, nearest: `${nearest}.${key}` })
  }
  // A plugin that is not found may be the one that brings what is needed: then that is the fault.
  if (areFound) checkNeeds(loaded, entries, available.builtins, place, faults)
  return loaded
}

function choose(
  entries: PluginEntries | undefined,
  available: Available,
  place: Place,
  faults: Array<Fault>
): ReadonlyArray<Chosen> {
  const { builtins, leftOut, external } = available
  const names = builtins.map(({ name }) => name)
  const listed = new Map<string, { readonly isOn: boolean; readonly chosen: Omit<Chosen, "plugin"> }>()
  const chosen: Array<Chosen> = []
  for (const [index, { use, enabled, digest, options }] of entries ?? []) {
    const entry = ["plugin", String(index)]
    const path = [...entry, "use"]
    const fault = (allowed: string, key: "use" | "digest" = "use"): void => {
      const at = [...entry, key]
      faults.push({ key: at.join("."), source: place(at), found: show(key === "use" ? use : digest), allowed })
    }
    if (listed.has(use)) {
      fault("each plugin once")
      continue
    }
    listed.set(use, { isOn: enabled, chosen: { options, entry } })
    const file = external.get(use)
    if (file !== undefined && "plugin" in file) {
      const { plugin } = file
      const isTaken = names.includes(plugin.name) || chosen.some((other) => other.plugin.name === plugin.name)
      if (isTaken) fault(`a plugin of a new name; there is another "${plugin.name}"`)
      else if (enabled) chosen.push({ plugin, options, entry })
    } else if (file !== undefined) fault(file.fault, file.key)
    else if (digest !== undefined && names.includes(use))
      fault(`none for ${use}, which is part of this build`, "digest")
    else if (leftOut.includes(use) && enabled) fault(notBuiltIn(available))
    else if (!names.includes(use) && enabled) {
      const unknown = unknownKey([use], place(path), names)
      const allowed = `${unknown.allowed}, ${NOT_BUILT_IN}`
      faults.push({ ...unknown, key: path.join("."), allowed })
    }
  }
  for (const plugin of builtins) {
    const entry = listed.get(plugin.name)
    const isOn = entry?.isOn ?? isImplied(plugin, entries !== undefined)
    if (isOn) chosen.push({ plugin, ...(entry?.chosen ?? { options: {}, entry: undefined }) })
  }
  return chosen
}

/** Whether a built-in plugin that the manifest does not name is started. */
export function isImplied({ kind }: Plugin, hasList: boolean): boolean {
  return !hasList || !DEFAULT_FACES.includes(kind)
}

/** What is allowed instead of a built-in plugin that was left out. */
function notBuiltIn({ builtins, external }: Available): string {
  const files = [...external].flatMap(([use, file]) => ("plugin" in file ? [use] : []))
  const has = [...builtins.map(({ name }) => name), ...files]
  return `a plugin that was compiled in; this one is not in this executable; it has: ${has.join(", ")}`
}

/** A plugin's options: those of the file, then what came over them. */
function readOptions(chosen: Chosen, overrides: ReadonlyArray<Override>, place: Place, faults: Array<Fault>): unknown {
  try {
    return checkOptions(chosen, overrides, place, faults)
  } catch (error) {
    // A third party's schema is code, too.
    const { plugin, entry } = chosen
    const found = `a schema of options that throws: ${thrownMessage(error)}`
    faults.push({ key: plugin.name, source: place(entry ?? []), found, allowed: "one that says what is wrong" })
    return undefined
  }
}

function checkOptions(
  { plugin, options, entry }: Chosen,
  overrides: ReadonlyArray<Override>,
  place: Place,
  faults: Array<Fault>
): unknown {
  const { table, sources } = givenOptions(plugin, options, overrides, faults)
  const placeOption: Place = (path) => {
    const below = path.slice(1)
    if (below.length === 0) return [place(entry ?? []), ...sources.values()].join(", ")
    return sourceOf(sources, below) ?? place([...(entry ?? []), "options", ...below])
  }
  return checkValue(plugin.options, table, [plugin.name], placeOption, faults)
}

/** What a plugin is told: the file's options and what came over them, with the source of each of the latter by its path. */
export function givenOptions(
  plugin: Plugin,
  options: Readonly<Record<string, unknown>>,
  overrides: ReadonlyArray<Override>,
  faults: Array<Fault>
): { readonly table: Readonly<Record<string, unknown>>; readonly sources: ReadonlyMap<string, string> } {
  const sources = new Map<string, string>()
  let table = options
  for (const override of overrides) {
    if (override.section !== plugin.name) continue
    const { keys, text, source } = override
    const put = putSetting(table, plugin.options, override)
    const refusal = text === NOT_SHOWN ? SECRET_ITSELF : "refusal" in put ? put.refusal : undefined
    if (refusal !== undefined) {
      const key = [plugin.name, ...keys].join(".")
      faults.push({ key, source, found: show(text, key), allowed: refusal })
    }
    if ("refusal" in put) continue
    table = put.table
    sources.set(put.path.join("."), source)
  }
  return { table, sources }
}
