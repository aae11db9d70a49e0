/**
 * Engine and mode of topics where nobody has said them.
 *
 * `mode = "persistent"` is the default, and not every engine has it: an entry that says `engine = "memory"` and no more means what that
 * engine promises at most. The engine itself falls back where the default one is not part of the executable.
 *
 * Invariant: what a person wrote is never changed; a mode that its engine does not have is a fault, which `check-topics.ts` tells.
 */
import type { EngineFact } from "../plugin/Plugin.ts"
import { isTable, type Path } from "./check-value.ts"
import type { Available } from "./choose-plugins.ts"
import { enginesOf } from "./engines.ts"
import { TOPIC_DEFAULTS } from "./schema.ts"
import { matchesPattern } from "./topic-defaults.ts"

type Entry = Record<string, unknown>
/** Told of each value that was filled in, with where it comes from, as a person reads it. */
type Filled = (path: Path, origin: string) => void

/** What takes the place of the default engine where it is not there, the better ones first. */
const FALLBACKS: ReadonlyArray<string> = ["sqlite", "memory"]
/** From the weakest promise to the strongest. */
const MODES: ReadonlyArray<string> = ["memory", "hybrid", "persistent"]

/** Engine and mode of a manifest that names none, with the engines that there are. */
export function topicDefaultsOf(engines: ReadonlyArray<EngineFact>): {
  readonly engine: string
  readonly mode: string
} {
  const called = (name: string): EngineFact | undefined => engines.find((one) => one.name === name)
  const engine = [TOPIC_DEFAULTS.engine, ...FALLBACKS].map(called).find((one) => one !== undefined) ?? engines[0]
  if (engine === undefined) return TOPIC_DEFAULTS
  return { engine: engine.name, mode: promised(engine.modes, TOPIC_DEFAULTS.mode) ?? TOPIC_DEFAULTS.mode }
}

/**
 * Fills in `mode` in `[topics]`, its rules and the bindings, and the engine of `[topics]` where the default one is not there. Tables
 * are copied before they are changed, but for `raw` itself.
 */
export function fillModes(raw: Entry, available: Available, filled: Filled): void {
  const all = enginesIn(available, () => false)
  const off = switchedOff(raw["plugin"])
  const engines = enginesIn(available, (use) => off.has(use))
  const modes = new Map(engines.map((engine): [unknown, ReadonlyArray<string>] => [engine.name, engine.modes]))
  const before = raw["topics"] ?? {}
  if (!isTable(before)) return
  const topics: Entry = { ...before }
  const rules = listOf(before["rule"])
  const fallback = topicDefaultsOf(engines)
  const wished = before["mode"] ?? TOPIC_DEFAULTS.mode
  const isGuessed = before["mode"] === undefined || !all.some(({ name }) => name === TOPIC_DEFAULTS.engine)
  if (topics["engine"] === undefined && fallback.engine !== TOPIC_DEFAULTS.engine && isGuessed) {
    topics["engine"] = fallback.engine
    filled(["topics", "engine"], `default without engine ${TOPIC_DEFAULTS.engine}`)
  }
  fill(topics, ["topics"], fallback.engine, wished, TOPIC_DEFAULTS.mode)
  if (rules !== undefined) {
    topics["rule"] = rules.map((rule, index) => {
      if (!isTable(rule) || rule["engine"] === undefined) return rule
      return fill({ ...rule }, ["topics", "rule", String(index)], undefined, wished, topics["mode"])
    })
  }
  if (Object.keys(topics).length > 0) raw["topics"] = topics
  const bindings = listOf(raw["binding"])
  if (bindings === undefined) return
  raw["binding"] = bindings.map((binding, index) => {
    if (!isTable(binding) || binding["engine"] === undefined) return binding
    const at = ruleOf(rules, binding["topic"])
    const ruled = at < 0 ? undefined : listOf(topics["rule"])?.[at]
    const inherited = (isTable(ruled) ? ruled["mode"] : undefined) ?? topics["mode"]
    const rule = rules?.[at]
    const wish = (isTable(rule) ? rule["mode"] : undefined) ?? wished
    return fill({ ...binding }, ["binding", String(index)], undefined, wish, inherited)
  })

  /** `wish` is the mode that was written for the entry from outside it, or the default; `inherited` what it has without being filled. */
  function fill(entry: Entry, path: Path, engine: unknown, wish: unknown, inherited: unknown): Entry {
    const name = entry["engine"] ?? engine
    const known = modes.get(name)
    if (entry["mode"] !== undefined || known === undefined) return entry
    const mode = promised(known, wish)
    if (mode === undefined || mode === (inherited ?? TOPIC_DEFAULTS.mode)) return entry
    entry["mode"] = mode
    filled([...path, "mode"], `default of engine ${String(name)}`)
    return entry
  }
}

function enginesIn({ builtins, external }: Available, isOff: (use: string) => boolean): ReadonlyArray<EngineFact> {
  const files = [...external].flatMap(([use, file]) => ("plugin" in file && !isOff(use) ? [file.plugin] : []))
  const plugins = [...builtins.filter(({ name }) => !isOff(name)), ...files]
  return enginesOf(plugins)
}

/** What the manifest calls the plugins that it switches off. */
function switchedOff(entries: unknown): ReadonlySet<unknown> {
  const tables = (listOf(entries) ?? []).filter(isTable)
  return new Set(tables.filter(({ enabled }) => enabled === false).map(({ use }) => use))
}

/** The mode that is wished, else the strongest of those there are. */
function promised(known: ReadonlyArray<string>, wish: unknown): string | undefined {
  return known.find((mode) => mode === wish) ?? MODES.findLast((mode) => known.includes(mode))
}

function ruleOf(rules: ReadonlyArray<unknown> | undefined, topic: unknown): number {
  if (rules === undefined || typeof topic !== "string") return -1
  return rules.findIndex((rule) => {
    const match = isTable(rule) ? rule["match"] : undefined
    return typeof match === "string" && matchesPattern(match, topic)
  })
}

function listOf(value: unknown): ReadonlyArray<unknown> | undefined {
  return Array.isArray(value) ? value : undefined
}
