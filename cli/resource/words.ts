/**
 * What is typed behind a resource and its verb: an id, flags that are the verb's input, and the two flags that every call has.
 *
 * `--key value` and `--key=value` are the same; a switch (a boolean) needs no value; of a list each repetition and each comma adds
 * one, of a table of texts each `name=value`. `-` in a flag may stand for `_` in a key. A key that is called like a flag of every call is typed `--input.key`. What
 * follows `--` is no flag.
 *
 * Invariant: what is wrong with a word is told with the nearest right one; what only the broker can judge (ranges, patterns) is
 * left to it.
 */
import { UsageError, unknownWord } from "../arguments.ts"
import type { JsonSchema } from "./description.ts"

export interface CallWords {
  readonly resource: string
  /** Undefined where only a resource was typed. */
  readonly verb: string | undefined
  /** Everything behind the verb but the flags of every call. */
  readonly rest: ReadonlyArray<string>
  readonly url: string
  readonly output: "table" | "json"
  readonly isHelp: boolean
}

export const DEFAULT_URL = "http://127.0.0.1:8080"
const OUTPUTS = ["table", "json"] as const

/** Takes the words apart as far as that can be done without knowing the resource. Throws {@link UsageError}. */
export function readCall(words: ReadonlyArray<string>, environmentUrl: string | undefined): CallWords {
  const [resource = "", ...behind] = words
  const rest: Array<string> = []
  let verb: string | undefined
  let url = environmentUrl === undefined || environmentUrl === "" ? DEFAULT_URL : environmentUrl
  let output: CallWords["output"] = "table"
  let isHelp = false
  for (let index = 0; index < behind.length; index++) {
    const word = behind[index] ?? ""
    if (word === "--") {
      rest.push(...behind.slice(index))
      break
    }
    const { name, tied } = splitFlag(word)
    if (name === "--url" || name === "--output") {
      const value = tied ?? behind[++index]
      if (value === undefined) throw new UsageError(`${name} needs a value`)
      if (name === "--url") url = value
      else output = oneOf(name, value, OUTPUTS)
    } else if (word === "--help" || word === "-h") isHelp = true
    else if (verb === undefined && !word.startsWith("-")) verb = word
    else rest.push(word)
  }
  return { resource, verb, rest, url: checkUrl(url), output, isHelp }
}

/** An id, or none, and an input that has the form of `schema`. Throws {@link UsageError}. */
export function readInput(
  words: ReadonlyArray<string>,
  schema: JsonSchema,
  verb: string
): { readonly ids: ReadonlyArray<string>; readonly input: Readonly<Record<string, unknown>> } {
  const properties = new Map(Object.entries(schema.properties ?? {}))
  const ids: Array<string> = []
  const input: Record<string, unknown> = {}
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? ""
    if (word === "--") {
      ids.push(...words.slice(index + 1))
      break
    }
    if (!word.startsWith("--")) {
      ids.push(word)
      continue
    }
    const { name, tied } = splitFlag(word)
    const typed = name.slice(2).replace(/^input\./, "")
    const key = properties.has(typed) ? typed : typed.replaceAll("-", "_")
    const property = properties.get(key)
    if (property === undefined) {
      throw new UsageError(unknownWord(`argument of ${verb}`, name, [...properties.keys()].map(flagOf)))
    }
    const next = words[index + 1]
    const isSwitch = property.type === "boolean" && tied === undefined && next !== "true" && next !== "false"
    const value = isSwitch ? "true" : (tied ?? words[++index])
    if (value === undefined) throw new UsageError(`${name} needs a value`)
    if (property.type === "array") input[key] = addItems(input[key], name, value, property)
    else if (property.additionalProperties?.type === "string" && !value.trimStart().startsWith("{")) {
      input[key] = addPair(input[key], name, value)
    } else input[key] = convert(name, value, property)
  }
  const missing = (schema.required ?? []).filter((key) => !Object.hasOwn(input, key))
  if (missing.length > 0) throw new UsageError(`${verb} needs ${missing.map(flagOf).join(", ")}`)
  return { ids, input }
}

/** How a key of an input is typed. */
export function flagOf(key: string): string {
  const flag = `--${key.replaceAll("_", "-")}`
  return flag === "--url" || flag === "--output" || flag === "--help" ? `--input.${key}` : flag
}

function splitFlag(word: string): { readonly name: string; readonly tied: string | undefined } {
  const equals = word.startsWith("--") ? word.indexOf("=") : -1
  return equals < 0 ? { name: word, tied: undefined } : { name: word.slice(0, equals), tied: word.slice(equals + 1) }
}

function addItems(before: unknown, flag: string, text: string, schema: JsonSchema): ReadonlyArray<unknown> {
  const items = text === "" ? [] : text.split(",").map((item) => convert(flag, item.trim(), schema.items ?? {}))
  return [...(Array.isArray(before) ? before : []), ...items]
}

/** Of a table of texts: one name with its value. */
function addPair(before: unknown, flag: string, text: string): Readonly<Record<string, unknown>> {
  const equals = text.indexOf("=")
  if (equals < 1) throw new UsageError(`${flag} is ${quote(text)}; expected name=value, or JSON`)
  const known = typeof before === "object" && before !== null ? before : {}
  return { ...known, [text.slice(0, equals).trim()]: text.slice(equals + 1) }
}

/** The value that `text` stands for in a place of this schema. */
function convert(flag: string, text: string, schema: JsonSchema): unknown {
  if (schema.enum?.every((each) => typeof each === "string")) return oneOf(flag, text, schema.enum.map(String))
  if (schema.anyOf !== undefined) return convertToAny(flag, text, schema.anyOf)
  switch (schema.type) {
    case "string":
      return text
    case "integer":
    case "number":
      if (
        text.trim() === "" ||
        !Number.isFinite(Number(text)) ||
        (schema.type === "integer" && !Number.isSafeInteger(Number(text)))
      ) {
        throw new UsageError(`${flag} is ${quote(text)}; expected a ${schema.type === "integer" ? "whole " : ""}number`)
      }
      return Number(text)
    case "boolean":
      return oneOf(flag, text, ["true", "false"]) === "true"
    case "null":
      return oneOf(flag, text, ["null"]) === "null" ? null : undefined
    default: {
      const value = parseJson(text)
      if (value !== undefined) return value
      if (schema.type === undefined) return text
      throw new UsageError(`${flag} is ${quote(text)}; expected JSON, an ${schema.type}`)
    }
  }
}

/** The first kind that takes the text; a text, which takes all, comes last. */
function convertToAny(flag: string, text: string, kinds: ReadonlyArray<JsonSchema>): unknown {
  const isText = ({ type, enum: members }: JsonSchema): number => (type === "string" && members === undefined ? 1 : 0)
  let first: unknown
  for (const kind of kinds.toSorted((one, other) => isText(one) - isText(other))) {
    try {
      return kind.type === "array" ? addItems(undefined, flag, text, kind) : convert(flag, text, kind)
    } catch (error) {
      first ??= error
    }
  }
  throw first ?? new UsageError(`${flag} takes no value`)
}

function oneOf<Member extends string>(flag: string, text: string, members: ReadonlyArray<Member>): Member {
  const found = members.find((member) => member === text)
  if (found === undefined) throw new UsageError(unknownWord(`value of ${flag}`, text, members))
  return found
}

function checkUrl(text: string): string {
  const full = text.includes("://") ? text : `http://${text}`
  const parsed = URL.canParse(full) ? new URL(full) : undefined
  const isPlain =
    parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.pathname === "/" && parsed.search === ""
  if (!isPlain) throw new UsageError(`--url is ${quote(text)}; expected ${DEFAULT_URL} or the like`)
  return parsed.origin
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)
}
