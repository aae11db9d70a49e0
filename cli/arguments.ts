/** The command line: verbs, flags, and what to say to a wrong one. */
import { nearestOf } from "../core/config/mod.ts"

export const VERBS = ["start", "check-config", "version", "help"] as const
export type Verb = (typeof VERBS)[number]

export interface Arguments {
  readonly verb: Verb
  readonly config: string | undefined
  readonly data: string | undefined
  readonly sets: ReadonlyArray<string>
  readonly insecure: boolean
}

/** Why the arguments make no sense, in one line. */
export interface UsageError {
  readonly usage: string
}

const FLAGS = ["--config", "--data", "--set", "--insecure", "--help", "--version"]

export const HELP = `manifold: MQTT in, Kafka out, one log

  manifold start [--config FILE] [--data DIR] [--set section.key=value]... [--insecure]
  manifold check-config [--config FILE] [--set section.key=value]...
  manifold version
  manifold help

Without --config, manifold.toml in the working directory is read if it is there, else the defaults hold. Settings come from the file,
then the environment (MANIFOLD_NODE__DATA, MANIFOLD_PROTOCOL_MQTT__TCP), then --set; the later wins.
`

export function parseArguments(given: ReadonlyArray<string>): Arguments | UsageError {
  const [first = "help", ...rest] = given
  if (first === "--help" || first === "-h") return parseArguments(["help"])
  if (first === "--version" || first === "-v") return parseArguments(["version"])
  const verb = VERBS.find((known) => known === first)
  if (verb === undefined) return { usage: `unknown command "${first}"${hint(first, VERBS)}` }
  let config: string | undefined
  let data: string | undefined
  let insecure = false
  const sets: Array<string> = []
  for (let index = 0; index < rest.length; index++) {
    const argument = rest[index] ?? ""
    const equals = argument.indexOf("=")
    const flag = equals > 0 ? argument.slice(0, equals) : argument
    if (flag === "--help" || flag === "-h") return parseArguments(["help"])
    if (flag === "--insecure") {
      insecure = true
      continue
    }
    if (flag !== "--config" && flag !== "--data" && flag !== "--set") {
      return { usage: `unknown argument "${argument}"${hint(flag, FLAGS)}` }
    }
    const value = equals > 0 ? argument.slice(equals + 1) : rest[++index]
    if (value === undefined || value === "") return { usage: `${flag} needs a value` }
    if (flag === "--config") config = value
    else if (flag === "--data") data = value
    else sets.push(value)
  }
  return { verb, config, data, sets, insecure }
}

function hint(word: string, known: ReadonlyArray<string>): string {
  const nearest = nearestOf(word, known)
  return nearest === undefined ? `; known: ${known.join(", ")}` : `; did you mean "${nearest}"?`
}
