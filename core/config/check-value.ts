/**
 * What a schema says of a value, as faults: every unknown key with the nearest known one, then everything else that is wrong with
 * the rest. A secret is never shown.
 */
import * as v from "valibot"
import { type Fault, nearestOf, show } from "./faults.ts"

export type Path = ReadonlyArray<string>
/** How a fault names the place in which a setting was written. */
export type Place = (path: Path) => string

/**
 * The value as the schema puts it out, its unknown keys told and left out, so that checking can go on; undefined where more than
 * that is wrong with it. `at` is the path of `value` itself.
 */
export function checkValue<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  at: Path,
  place: Place,
  faults: Array<Fault>
): v.InferOutput<Schema> | undefined {
  const noTables = new Set<string>()
  const parsed = v.safeParse(schema, withoutUnknown(schema, value, at, { place, faults, noTables }))
  for (const issue of parsed.issues ?? []) {
    const path = [...at, ...(issue.path ?? []).map((item) => String(item.key))]
    if (!noTables.has(path.join("."))) faults.push(faultOf(issue, path, place))
  }
  return parsed.success ? parsed.output : undefined
}

/** Of a table, what its keys say that are right by themselves: further checks can go on with it. */
export function rightPart<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown
): v.InferOutput<Schema> | undefined {
  const entries = entriesOf(schema)
  if (entries === undefined || !isTable(value)) return undefined
  const isRight = ([key, below]: readonly [string, unknown]): boolean =>
    Object.hasOwn(entries, key) && v.is(entries[key] as v.GenericSchema, below)
  const parsed = v.safeParse(schema, Object.fromEntries(Object.entries(value).filter(isRight)))
  return parsed.success ? parsed.output : undefined
}

/** What `path` names is not known here. */
export function unknownKey(path: Path, source: string, known: ReadonlyArray<string>): Fault {
  const found = path[path.length - 1] ?? ""
  const nearest = nearestOf(found, known)
  const fault = { key: path.join("."), source, found: `unknown "${found}"`, allowed: known.join(", ") }
  return nearest === undefined ? fault : { ...fault, nearest }
}

/** The schema's entries, where it is one of a table that takes no other keys. */
function entriesOf(schema: unknown): Readonly<Record<string, unknown>> | undefined {
  return unwrap(schema)["type"] === "strict_object" ? fieldsOf(schema) : undefined
}

/** The schema's entries, where it is one of a table with names of its own. */
export function fieldsOf(schema: unknown): Readonly<Record<string, unknown>> | undefined {
  const { entries } = unwrap(schema)
  return isRecord(entries) ? entries : undefined
}

/** Whether what the schema asks for is a table with names of its own, or a list of such tables. */
export function tablesIn(schema: unknown): "table" | "tables" | undefined {
  if (fieldsOf(schema) !== undefined) return "table"
  return fieldsOf(unwrap(schema)["item"]) === undefined ? undefined : "tables"
}

interface Told {
  readonly place: Place
  readonly faults: Array<Fault>
  /** Paths that are no table and should be one, already told: valibot takes a list and a date for one. */
  readonly noTables: Set<string>
}

/** The schema of one entry, where there is one. */
export function entryOf(schema: unknown, key: string): unknown {
  const entries = fieldsOf(schema)
  return entries !== undefined && Object.hasOwn(entries, key) ? entries[key] : undefined
}

/** A copy without the keys that the schema does not know; valibot by itself would tell the first one only. */
function withoutUnknown(schema: unknown, value: unknown, at: Path, told: Told): unknown {
  const { type, item } = unwrap(schema)
  if (Array.isArray(value) && item !== undefined) {
    return value.map((each, index) => withoutUnknown(item, each, [...at, String(index)], told))
  }
  if ((type !== "strict_object" && type !== "record") || value === undefined) return value
  if (!isTable(value)) {
    const key = at.join(".")
    told.noTables.add(key)
    told.faults.push({ key, source: told.place(at), found: show(value, at[at.length - 1]), allowed: "a table" })
    return undefined
  }
  const entries = entriesOf(schema)
  if (entries === undefined) return value
  const known: Record<string, unknown> = {}
  for (const [key, below] of Object.entries(value)) {
    const path = [...at, key]
    if (!Object.hasOwn(entries, key)) told.faults.push(unknownKey(path, told.place(path), Object.keys(entries)))
    else known[key] = withoutUnknown(entries[key], below, path, told)
  }
  return known
}

function faultOf(issue: v.BaseIssue<unknown>, path: Path, place: Place): Fault {
  const value = issue.path?.[issue.path.length - 1]?.value ?? issue.input
  const allowed = describe(issue)
  const found = show(value, path[path.length - 1]) + inTable(issue)
  const fault = { key: path.join("."), source: place(path), found, allowed }
  const nearest = typeof value === "string" ? nearestOf(value, allowed.split(" | ")) : undefined
  return nearest === undefined ? fault : { ...fault, nearest }
}

/** Of what stands in a list of tables, the name of its table. */
function inTable(issue: v.BaseIssue<unknown>): string {
  const path: ReadonlyArray<v.IssuePathItem> = issue.path ?? []
  const names = path.flatMap(({ type, value }) => (type === "array" && isTable(value) ? [value["name"]] : []))
  const name = names.findLast((each) => typeof each === "string")
  return typeof name === "string" && path.at(-1)?.value !== name ? ` in ${show(name)}` : ""
}

/** What valibot names by the words of JavaScript, in the words of the manifest. */
const KINDS: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  boolean: "true or false",
  Array: "a list",
  Object: "a table"
}

/** What a schema expected, in words. */
function describe(issue: v.BaseIssue<unknown>): string {
  const requirement = "requirement" in issue ? String(issue.requirement) : ""
  const unit = typeof issue.input === "string" ? "characters" : "entries"
  switch (issue.type) {
    case "min_value":
      return `${requirement} or more`
    case "max_value":
      return `${requirement} or less`
    case "min_length":
    case "non_empty":
      return `${requirement === "" ? 1 : requirement} or more ${unit}`
    case "max_length":
      return `${requirement} or fewer ${unit}`
    case "integer":
    case "safe_integer":
      return "a whole number"
    case "check":
    case "regex":
      return issue.message.replace(/^expected /i, "")
  }
  const expected = (issue.expected ?? issue.message).replaceAll(/[()"]/g, "")
  return expected
    .split(" | ")
    .map((kind) => KINDS[kind] ?? kind)
    .join(" | ")
}

/** Takes `optional` and the like off a schema. */
function unwrap(schema: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(schema)) return {}
  return isRecord(schema["wrapped"]) ? unwrap(schema["wrapped"]) : schema
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null
}

/** A table of TOML; its dates are objects too. */
export function isTable(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && !Array.isArray(value) && !(value instanceof Date)
}
