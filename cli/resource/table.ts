/** Items as a person reads them: a table of many, one line a value of one. */
import { columns } from "../plugin-facts.ts"
import { plainText } from "./client.ts"
import type { JsonSchema } from "./description.ts"

/** Longest cell of a table, in characters; what is cut is whole in `get` and in JSON. */
const CELL_LENGTH_MAX = 80

/** A line of column names and one line an item. Objects have no column: they do not fit in one line. */
export function tableLines(items: ReadonlyArray<unknown>, schema: JsonSchema): ReadonlyArray<string> {
  const names = columnsOf(items, schema)
  const rows = items.map((item) => names.map((name) => shorten(cell(memberOf(item, name)))))
  return columns([names.map((name) => plainText(name).toUpperCase()), ...rows])
}

/** One line a value, its place first: `nodes.0.id  node-1`. */
export function itemLines(item: unknown): ReadonlyArray<string> {
  if (typeof item !== "object" || item === null) return [cell(item)]
  return columns([...flatten(item, "")])
}

function columnsOf(items: ReadonlyArray<unknown>, schema: JsonSchema): ReadonlyArray<string> {
  const declared = Object.entries(schema.properties ?? {})
  const found = new Set(items.flatMap((item) => (typeof item === "object" && item !== null ? Object.keys(item) : [])))
  if (declared.length === 0) return [...found]
  // What only `get` tells would be a column without values.
  const isTold = (name: string): boolean => items.length === 0 || found.has(name)
  return declared.filter(([name, { type }]) => type !== "object" && isTold(name)).map(([name]) => name)
}

function memberOf(item: unknown, name: string): unknown {
  return typeof item === "object" && item !== null && Object.hasOwn(item, name) ? Reflect.get(item, name) : undefined
}

/** A value in one line; of an object its name, where it has one. */
function cell(value: unknown): string {
  if (value === undefined || value === null) return "-"
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.map(cell).join(",")
  if (typeof value !== "object") return plainText(String(value)) || '""'
  const name = memberOf(value, "name") ?? memberOf(value, "id")
  return plainText(typeof name === "string" ? name : JSON.stringify(value))
}

function* flatten(value: unknown, place: string): Generator<ReadonlyArray<string>> {
  const isNested = typeof value === "object" && value !== null
  const entries = isNested ? Object.entries(value) : []
  const isPlainList = Array.isArray(value) && value.every((each) => typeof each !== "object" || each === null)
  if (entries.length === 0 || isPlainList) yield [plainText(place), cell(isNested && !isPlainList ? "{}" : value)]
  else for (const [key, each] of entries) yield* flatten(each, place === "" ? key : `${place}.${key}`)
}

function shorten(text: string): string {
  return text.length > CELL_LENGTH_MAX ? `${text.slice(0, CELL_LENGTH_MAX - 1)}…` : text
}
