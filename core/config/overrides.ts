/**
 * Settings that come over the file: environment variables (`MANIFOLD_NODE__DATA`), then `--set key=value`, the later wins. The
 * options of a plugin are addressed by its name: `protocol-mqtt.tcp`, `MANIFOLD_PROTOCOL_MQTT__TCP`; a table among them by one more
 * word: `mine.tls.port`, `MANIFOLD_MINE__TLS__PORT`.
 */
import * as v from "valibot"
import { entryOf, fieldsOf, isTable, type Path, tablesIn } from "./check-value.ts"
import { type Fault, nearestOf, show } from "./faults.ts"
import { SECTIONS } from "./schema.ts"

export interface Override {
  /** A section of the manifest, or the name of a plugin. */
  readonly section: string
  /** The keys below it, one at least; a variable's are in small letters. */
  readonly keys: Path
  readonly text: string
  /** How a fault names it. */
  readonly source: string
  readonly isVariable: boolean
}

type Table = Readonly<Record<string, unknown>>

/** What stands between the words of a variable's name. */
const BETWEEN = "__"
const PREFIX = "MANIFOLD_"
const VARIABLE = /^MANIFOLD_([A-Z0-9_]+?)__([A-Z0-9_]+)$/
/** Tables within tables that a setting may go through. */
const KEYS_MAX = 8
/** What Kubernetes tells every container of a Service, whatever that is called. */
const SERVICE_LINK = /_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_[A-Z]+(?:_(?:PROTO|PORT|ADDR))?)?)$/

/** The overrides in `environment`: the variables with two underscores between section and key. */
export function environmentOverrides(
  environment: Readonly<Record<string, string | undefined>>,
  sections: Iterable<string>
): ReadonlyArray<Override> {
  const byName = new Map([...sections].map((section) => [variableName(section), section]))
  const found: Array<Override> = []
  for (const [source, text] of Object.entries(environment).sort()) {
    const match = VARIABLE.exec(source)
    if (match?.[1] === undefined || match[2] === undefined || text === undefined) continue
    const section = byName.get(match[1]) ?? match[1].toLowerCase()
    const all = match[2].toLowerCase()
    const keys = all.split(BETWEEN)
    found.push({ section, keys: keys.length > KEYS_MAX ? [all] : keys, text, source, isVariable: true })
  }
  return found
}

/**
 * Variables that are meant for a setting and name none: those that begin with a section and have one underscore behind it, those that
 * are a key of [node] or [topics] alone, and those with two underscores that are not in capitals. What else begins with MANIFOLD_ is somebody else's: a Kubernetes Service may be called so.
 */
export function mistakenVariables(
  environment: Readonly<Record<string, string | undefined>>,
  sections: ReadonlyMap<string, unknown>
): ReadonlyArray<Fault> {
  const known: Array<{ readonly name: string; readonly section: string; readonly key: string | undefined }> = []
  for (const [section, schema] of sections) {
    for (const key of Object.keys(fieldsOf(schema) ?? {})) {
      const words = { section: variableName(section), key: variableName(key) }
      const name = `${PREFIX}${words.section}${BETWEEN}${words.key}`
      // "tcp" alone could be meant for many.
      known.push({ name, section: words.section, key: SECTIONS.includes(section) ? words.key : undefined })
    }
  }
  const faults: Array<Fault> = []
  for (const [found, text] of Object.entries(environment).sort()) {
    // What has the form of a setting is judged as one.
    if (!found.startsWith(PREFIX) || VARIABLE.test(found) || text === undefined || SERVICE_LINK.test(found)) continue
    const word = found.slice(PREFIX.length).toUpperCase()
    const near = known.filter(({ section }) => word.startsWith(`${section}_`)).map(({ name }) => name)
    const alone = known.find(({ key }) => key === word)
    if (near.length === 0 && alone === undefined && !found.includes(BETWEEN)) continue
    const nearest = alone?.name ?? nearestOf(found, near)
    const allowed = `${PREFIX}SECTION${BETWEEN}KEY, in capitals, with two underscores between them`
    const fault = { key: found, source: "environment", found: `unknown ${show(found)}`, allowed }
    faults.push(nearest === undefined ? fault : { ...fault, nearest })
  }
  return faults
}

/** One `--set key=value`; undefined where it has no such form. */
export function setOverride(argument: string): Override | undefined {
  const match = /^([^=.]+)\.([^=]+)=(.*)$/s.exec(argument)
  if (match?.[1] === undefined || match[2] === undefined || match[3] === undefined) return undefined
  const keys = match[2].split(".")
  if (keys.includes("") || keys.length > KEYS_MAX) return undefined
  const source = `--set ${match[1]}.${match[2]}`
  return { section: match[1], keys, text: match[3], source, isVariable: false }
}

/** The table with the setting put in, and the path below it that the setting came to stand at; or why that cannot be. */
export function putSetting(
  table: Table,
  schema: unknown,
  override: Override
): { readonly table: Table; readonly path: Path } | { readonly refusal: string } {
  const [first = "", ...below] = override.keys
  const key = override.isVariable ? keyOf(schema, first) : first
  const inner = entryOf(schema, key)
  if (below.length > 0) {
    const before = Object.hasOwn(table, key) ? table[key] : undefined
    const put = putSetting(isTable(before) ? before : {}, inner, { ...override, keys: below })
    if ("refusal" in put) return put
    return { table: withKey(table, key, put.table), path: [key, ...put.path] }
  }
  const kind = tablesIn(inner)
  if (kind === "tables") return { refusal: "tables in the file: a list of tables cannot be written in one line" }
  if (kind === "table") {
    const keys = Object.keys(fieldsOf(inner) ?? {}).join(", ")
    return { refusal: `one key of this table at a time: ${override.source}.KEY, where KEY is one of ${keys}` }
  }
  return { table: withKey(table, key, readValue(override.text, inner)), path: [key] }
}

/** What set `path`, or something that it lies in, or something in it. */
export function sourceOf(sources: ReadonlyMap<string, string>, path: Path): string | undefined {
  for (let length = path.length; length > 0; length--) {
    const source = sources.get(path.slice(0, length).join("."))
    if (source !== undefined) return source
  }
  const prefix = `${path.join(".")}.`
  return [...sources].find(([key]) => key.startsWith(prefix))?.[1]
}

/**
 * The value that `text` stands for: the first reading (number or boolean, text, list) that `schema` accepts; else the first that is
 * of its kind, so that the fault is the range and not the kind; else the text.
 */
export function readValue(text: string, schema: unknown): unknown {
  if (schema === undefined) return text
  const list = text === "" ? [] : text.split(",").map((item) => item.trim())
  const readings = [scalar(text), text, list, list.map(scalar)].map((value) => ({
    value,
    issues: v.safeParse(schema as v.GenericSchema, value).issues ?? []
  }))
  const right = readings.find(({ issues }) => issues.length === 0)
  const near = readings.find(({ issues }) => issues.every(({ kind }) => kind === "validation"))
  return (right ?? near ?? { value: text }).value
}

/** A table with one key more; whatever the key is called, it is the table's own. */
function withKey(table: Table, key: string, value: unknown): Table {
  return { ...table, [key]: value }
}

/** The key that a variable's word means. */
function keyOf(schema: unknown, word: string): string {
  return Object.keys(fieldsOf(schema) ?? {}).find((key) => variableName(key) === variableName(word)) ?? word
}

function scalar(text: string): unknown {
  if (text === "true") return true
  if (text === "false") return false
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
}

function variableName(word: string): string {
  return word.toUpperCase().replaceAll(/[^A-Z0-9_]/g, "_")
}
