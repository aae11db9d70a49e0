/**
 * What was typed after `manifold`: a verb, its flags and operands, or a fault that names the nearest right word.
 *
 * A verb is one word or two (`start`, `config print`). Values stand behind their flag (`--config FILE`) or are tied to it
 * (`--config=FILE`). Of a flag given twice the later counts, but every `--set` counts, in order; `--data DIR` is a
 * `--set node.data=DIR` at its place.
 */
import { nearestOf } from "../core/config/mod.ts"

export interface Arguments {
  /** The name of a verb of the table. */
  readonly verb: string
  /** The configuration file; undefined = ./manifold.toml if it is there. */
  readonly config: string | undefined
  readonly sets: ReadonlyArray<string>
  /** Flags without a value, and those with one, beside the three above. */
  readonly switches: ReadonlySet<Flag>
  readonly values: ReadonlyMap<Flag, string>
  readonly operands: ReadonlyArray<string>
}

/** What the command line of a verb may hold. */
export interface VerbForm {
  /** What is typed: "start", "config print". */
  readonly name: string
  readonly flags: ReadonlyArray<Flag>
  /** At most so many words that are no flags; absent = none. */
  readonly operandsMax?: number
  /** Its first word is that of a running broker's resource, too: other second words are that resource's. */
  readonly sharesResource?: boolean
}

/** What was typed makes no sense; the message says what would. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** Every flag, with an example of its value; undefined = it takes none. */
const FLAGS = {
  "--config": "manifold.toml",
  "--data": "./data",
  "--set": "protocol-mqtt.tcp=127.0.0.1:1883",
  "--output": "json",
  "--rate": "50",
  "--url": "http://127.0.0.1:8080",
  "--insecure": undefined,
  "--origin": undefined,
  "--records": undefined,
  "--json": undefined,
  "--apply": undefined,
  "--truncate": undefined,
  "--quarantine": undefined,
  "--rebuild-manifest": undefined
} as const satisfies Readonly<Record<string, string | undefined>>

export type Flag = keyof typeof FLAGS

/** What people type for a verb out of habit. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ["--help", "help"],
  ["-h", "help"],
  ["--version", "version"],
  ["-v", "version"],
  ["-V", "version"]
])

/** Reads the arguments after the program's name. Throws {@link UsageError}. */
export function readArguments(words: ReadonlyArray<string>, verbs: ReadonlyArray<VerbForm>): Arguments {
  const { verb, rest } = takeVerb(words, verbs)
  const sets: Array<string> = []
  const switches = new Set<Flag>()
  const values = new Map<Flag, string>()
  const operands: Array<string> = []
  for (let index = 0; index < rest.length; index++) {
    const word = rest[index] ?? ""
    if (OTHER_NAMES.get(word) === "help") return nothing("help")
    const equals = word.startsWith("--") ? word.indexOf("=") : -1
    const name = equals < 0 ? word : word.slice(0, equals)
    const flag = verb.flags.find((known) => known === name)
    if (flag === undefined) {
      if (word.startsWith("-") || operands.length >= (verb.operandsMax ?? 0)) {
        throw new UsageError(unknownWord(`argument of ${verb.name}`, name, verb.flags))
      }
      operands.push(word)
      continue
    }
    const example = FLAGS[flag]
    if (example === undefined) {
      if (equals >= 0) throw new UsageError(`${flag} takes no value`)
      switches.add(flag)
      continue
    }
    const value = equals < 0 ? rest[++index] : word.slice(equals + 1)
    if (value === undefined || value === "") throw new UsageError(`${flag} needs a value: ${flag} ${example}`)
    if (flag === "--set" || flag === "--data") sets.push(flag === "--data" ? `node.data=${value}` : value)
    else values.set(flag, value)
  }
  const config = values.get("--config")
  values.delete("--config")
  return { verb: verb.name, config, sets, switches, values, operands }
}

function nothing(verb: string): Arguments {
  return { verb, config: undefined, sets: [], switches: new Set(), values: new Map(), operands: [] }
}

/** The verb at the beginning, one word or two, and the words behind it. */
function takeVerb(
  words: ReadonlyArray<string>,
  verbs: ReadonlyArray<VerbForm>
): { readonly verb: VerbForm; readonly rest: ReadonlyArray<string> } {
  const first = OTHER_NAMES.get(words[0] ?? "help") ?? words[0] ?? "help"
  const find = (name: string): VerbForm | undefined => verbs.find((known) => known.name === name)
  const two = find(`${first} ${words[1] ?? ""}`)
  if (two !== undefined) return { verb: two, rest: words.slice(2) }
  const one = find(first)
  if (one !== undefined) return { verb: one, rest: words.slice(1) }
  const names = verbs.map(({ name }) => name)
  const below = names.filter((name) => name.startsWith(`${first} `)).map((name) => name.slice(first.length + 1))
  if (below.length === 0) throw new UsageError(unknownWord("verb", first, names))
  throw new UsageError(unknownWord(`verb of ${first}`, words[1] ?? "", below))
}

/** Whether the first word belongs to the table: it is a verb, the first of two, a flag, or nothing. */
export function startsWithVerb(words: ReadonlyArray<string>, verbs: ReadonlyArray<VerbForm>): boolean {
  const [first = "help", second = ""] = words
  if (first.startsWith("-")) return true
  const own = verbs.filter(({ name }) => name === first || name.startsWith(`${first} `))
  return own.some(({ name, sharesResource }) => sharesResource !== true || name === `${first} ${second}`)
}

/** Tells that a word is not known, and the nearest one that is. */
export function unknownWord(what: string, found: string, known: ReadonlyArray<string>): string {
  const nearest = nearestOf(found, known)
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`
  return `unknown ${what} "${found}"; known: ${known.length === 0 ? "none" : known.join(", ")}${hint}`
}
