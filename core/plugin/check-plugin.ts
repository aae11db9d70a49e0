/**
 * What a module exported as its plugin, judged whole before anything of it is used.
 *
 * Invariant: what comes out is a copy, each part of it read once: a value that answers differently each time it is asked (a Proxy, a
 * getter) has been asked for the last time. Only the options' schema and the layer stay the plugin's own.
 */
import type { GenericSchema } from "valibot"
import type { Dump, Inspect, Repair } from "./Inspection.ts"
import type { EngineFact, Plugin } from "./Plugin.ts"
import { CONTRACT_VERSION } from "./Plugin.ts"
import { PluginFault, thrownMessage } from "./PluginFault.ts"

/** As a section of the settings: an environment variable has `_` for `-`, and `__` between a section and its key. */
const NAME = /^(?=.{1,64}$)[a-z0-9]+(?:-[a-z0-9]+)*$/
/** A plugin's name is a section of the settings; these are the manifest's own. */
const RESERVED: ReadonlyArray<string> = ["node", "topics", "binding", "plugin"]
const VERSION = /^[\x21-\x7e]{1,64}$/
const ENGINES_MAX = 64
const MODES = ["memory", "hybrid", "persistent"] as const
/** Where a plugin of each kind may run. */
const RUNS: Readonly<Record<Plugin["kind"], ReadonlyArray<string>>> = {
  protocol: ["shard", "node"],
  storage: ["shard"],
  meta: ["node"],
  http: ["node"]
}

/** The plugin that a module's exports hold. Throws {@link PluginFault}. */
export function checkPlugin(exported: unknown): Plugin {
  try {
    return check(exported)
  } catch (error) {
    if (error instanceof PluginFault) throw error
    throw new PluginFault(`a plugin that can be looked at; this one throws: ${thrownMessage(error)}`)
  }
}

function check(module: unknown): Plugin {
  const wanted = 'a module that exports "plugin"'
  if (!isRecord(module)) throw new PluginFault(`${wanted}; this one exports nothing`)
  const source = module["plugin"]
  if (source === undefined) throw new PluginFault(`${wanted}; this one exports ${namesOf(module)}`)
  if (!isRecord(source)) throw new PluginFault(`${wanted}, an object; this one is ${kindOf(source)}`)
  const name = source["name"]
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new PluginFault(
      `a plugin with a "name" of 1 to 64 of a-z 0-9, words joined by -; this one's is ${show(name)}`
    )
  }
  const refuse = (key: string, allowed: string, found: unknown): never => {
    throw new PluginFault(`plugin ${name} with ${key}: ${allowed}; found ${show(found)}`)
  }
  if (RESERVED.includes(name))
    throw new PluginFault(`a plugin of another name; ${show(name)} is a section of the manifest`)
  const contractVersion = source["contractVersion"]
  if (contractVersion !== CONTRACT_VERSION) {
    const what = `plugin ${name} written for contract version ${CONTRACT_VERSION}`
    throw new PluginFault(`${what}; it is for version ${show(contractVersion)}: use a release of it for this one`)
  }
  const version = source["version"]
  if (typeof version !== "string" || !VERSION.test(version)) return refuse("version", "a text such as 1.0.0", version)
  const kind = source["kind"]
  if (typeof kind !== "string" || !isKind(kind)) return refuse("kind", Object.keys(RUNS).join(" | "), kind)
  const runs = source["runs"]
  if (typeof runs !== "string" || !RUNS[kind].includes(runs)) {
    return refuse("runs", `${RUNS[kind].join(" | ")} (kind ${kind})`, runs)
  }
  const options = source["options"]
  if (!isOptionsSchema(options)) {
    return refuse("options", 'the schema of its options, a strictObject of "valibot"', schemaOf(options))
  }
  const layer = source["layer"]
  if (typeof layer !== "function") return refuse("layer", "a function from its options to a layer", layer)
  const build = (given: unknown): never => Reflect.apply(layer, source, [given]) as never
  const prepare = source["prepareOptions"]
  if (prepare !== undefined && typeof prepare !== "function") {
    return refuse("prepareOptions", "a function that loads what its options are judged by, or nothing", prepare)
  }
  const prepareOptions = prepare && ((given: unknown): never => Reflect.apply(prepare, source, [given]) as never)
  const base = { name, version, contractVersion, options, ...(prepareOptions && { prepareOptions }), layer: build }
  switch (kind) {
    case "storage": {
      const look = hooksOf(source, refuse)
      const keyValueStore = source["keyValueStore"]
      if (keyValueStore !== undefined && keyValueStore !== "memory" && keyValueStore !== "durable") {
        return refuse("keyValueStore", "memory | durable", keyValueStore)
      }
      const engines = enginesOf(source["engines"], refuse)
      if (keyValueStore === undefined) return Object.freeze({ ...base, ...look, kind, runs: "shard", engines })
      return Object.freeze({
        ...base,
        ...look,
        kind,
        runs: "shard",
        engines,
        keyValueStore: keyValueStore as "memory" | "durable"
      })
    }
    case "protocol":
      return Object.freeze({ ...base, kind, runs: runs === "node" ? "node" : "shard" })
    case "meta": {
      const { inspect } = hooksOf(source, refuse)
      return Object.freeze({ ...base, ...(inspect && { inspect }), kind, runs: "node" })
    }
    default:
      return Object.freeze({ ...base, kind, runs: "node" })
  }
}

/** What looks after the plugin's files, where it has that; what it answers is judged where it is asked (core/inspect). */
function hooksOf(
  source: Readonly<Record<string, unknown>>,
  refuse: (key: string, allowed: string, found: unknown) => never
): { readonly inspect?: Inspect; readonly dump?: Dump; readonly repair?: Repair } {
  const hookOf = (name: string, does: string): ((...given: ReadonlyArray<unknown>) => never) | undefined => {
    const hook = source[name]
    if (hook === undefined) return undefined
    if (typeof hook !== "function") return refuse(name, `a function that ${does}, or nothing`, hook)
    return (...given) => Reflect.apply(hook, source, given) as never
  }
  const inspect = hookOf("inspect", "looks at its files")
  const dump = hookOf("dump", "says what a file of its own holds")
  const repair = hookOf("repair", "makes its files right")
  return { ...(inspect && { inspect }), ...(dump && { dump }), ...(repair && { repair }) }
}

function enginesOf(
  list: unknown,
  refuse: (key: string, allowed: string, found: unknown) => never
): ReadonlyArray<EngineFact> {
  if (!Array.isArray(list) || list.length > ENGINES_MAX) {
    return refuse("engines", `a list of { name, modes }, ${ENGINES_MAX} or fewer`, list)
  }
  const engines: Array<EngineFact> = []
  for (let index = 0; index < list.length; index++) {
    const key = `engines.${index}`
    const engine: unknown = list[index]
    const name = isRecord(engine) ? engine["name"] : undefined
    if (typeof name !== "string" || !NAME.test(name))
      return refuse(`${key}.name`, "1 to 64 of a-z 0-9, words joined by -", name)
    if (engines.some((other) => other.name === name)) return refuse(`${key}.name`, "each engine once", name)
    const modes: unknown = isRecord(engine) ? engine["modes"] : undefined
    const copy = Array.isArray(modes) ? [...modes] : []
    const known = MODES.filter((mode) => copy.includes(mode))
    if (copy.length === 0 || known.length !== copy.length) {
      return refuse(`${key}.modes`, `one or more of ${MODES.join(" | ")}, each once`, modes)
    }
    engines.push({ name, modes: known })
  }
  return engines
}

function isKind(text: string): text is Plugin["kind"] {
  return Object.hasOwn(RUNS, text)
}

/** Keys, defaults and the forms of `--set` are read from the schema itself: another library's would be checked only in part. */
function isOptionsSchema(value: unknown): value is GenericSchema {
  if (!isRecord(value)) return false
  const { kind, type, async: isAsync, "~standard": standard } = value
  return kind === "schema" && type === "strict_object" && isAsync === false && isRecord(standard)
}

/** What stands in the place of the options' schema. */
function schemaOf(value: unknown): unknown {
  const standard = isRecord(value) ? value["~standard"] : undefined
  if (!isRecord(standard)) return value
  const vendor = standard["vendor"]
  return vendor === "valibot" ? `valibot ${String(isRecord(value) ? value["type"] : "")}` : vendor
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return (typeof value === "object" && value !== null) || typeof value === "function"
}

function namesOf(module: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(module)
  return names.length === 0 ? "nothing" : names.slice(0, 10).join(", ")
}

function kindOf(value: unknown): string {
  return value === null ? "null" : `a ${typeof value}`
}

function show(value: unknown): string {
  if (value === undefined) return "nothing"
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value)
  return typeof value === "number" || typeof value === "boolean" ? String(value) : kindOf(value)
}
