/**
 * What was typed after `manifold`: a verb and its flags, or a fault that names the nearest right word.
 *
 * Values stand behind their flag (`--config FILE`) or are tied to it (`--config=FILE`). Of a flag given twice the later counts, but
 * every `--set` counts, in order; `--data DIR` is a `--set node.data=DIR` at its place.
 */
import { nearestOf } from "../core/config/mod.ts"

export interface Arguments {
  readonly verb: Verb
  /** The configuration file; undefined = ./manifold.toml if it is there. */
  readonly config: string | undefined
  readonly sets: ReadonlyArray<string>
  readonly insecure: boolean
}

export type Verb = "start" | "check-config" | "version" | "help"

/** What was typed makes no sense; the message says what would. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

type Flag = "--config" | "--data" | "--set" | "--insecure"

const FLAGS: Readonly<Record<Verb, ReadonlyArray<Flag>>> = {
  start: ["--config", "--data", "--set", "--insecure"],
  "check-config": ["--config", "--data", "--set"],
  version: [],
  help: []
}
const VERBS = Object.keys(FLAGS) as ReadonlyArray<Verb>
/** What people type for a verb out of habit. */
const OTHER_NAMES: ReadonlyMap<string, Verb> = new Map([
  ["--help", "help"],
  ["-h", "help"],
  ["--version", "version"],
  ["-v", "version"],
  ["-V", "version"]
])
const EXAMPLES: Readonly<Record<Flag, string>> = {
  "--config": "--config manifold.toml",
  "--data": "--data ./data",
  "--set": "--set protocol-mqtt.tcp=127.0.0.1:1883",
  "--insecure": "--insecure"
}

/** Reads the arguments after the program's name. Throws {@link UsageError}. */
export function readArguments(words: ReadonlyArray<string>): Arguments {
  const [first = "help", ...rest] = words
  const verb = OTHER_NAMES.get(first) ?? VERBS.find((known) => known === first)
  if (verb === undefined) throw new UsageError(unknown("verb", first, VERBS))
  const sets: Array<string> = []
  let config: string | undefined
  let insecure = false
  for (let index = 0; index < rest.length; index++) {
    const word = rest[index] ?? ""
    if (OTHER_NAMES.get(word) === "help") return { verb: "help", config: undefined, sets: [], insecure: false }
    const equals = word.startsWith("--") ? word.indexOf("=") : -1
    const name = equals < 0 ? word : word.slice(0, equals)
    const flag = FLAGS[verb].find((known) => known === name)
    if (flag === undefined) throw new UsageError(unknown(`argument of ${verb}`, name, FLAGS[verb]))
    if (flag === "--insecure") {
      if (equals >= 0) throw new UsageError("--insecure takes no value")
      insecure = true
      continue
    }
    const value = equals < 0 ? rest[++index] : word.slice(equals + 1)
    if (value === undefined || value === "") throw new UsageError(`${flag} needs a value: ${EXAMPLES[flag]}`)
    if (flag === "--config") config = value
    else sets.push(flag === "--data" ? `node.data=${value}` : value)
  }
  return { verb, config, sets, insecure }
}

function unknown(what: string, found: string, known: ReadonlyArray<string>): string {
  const nearest = nearestOf(found, known)
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`
  return `unknown ${what} "${found}"; known: ${known.length === 0 ? "none" : known.join(", ")}${hint}`
}
