/**
 * Settings that come over the file: environment variables (`MANIFOLD_NODE__DATA`), then `--set key=value`, the later wins. The
 * options of a plugin are addressed by its name: `protocol-mqtt.tcp`, `MANIFOLD_PROTOCOL_MQTT__TCP`.
 */
import * as v from "valibot"

export interface Override {
  /** Section and key; a plugin's name is a section. */
  readonly section: string
  readonly key: string
  readonly text: string
  /** How a fault names it. */
  readonly source: string
}

/** The overrides in `environment`; other variables are none of ours. */
export function environmentOverrides(
  environment: Readonly<Record<string, string | undefined>>,
  sections: Iterable<string>
): ReadonlyArray<Override> {
  const byName = new Map([...sections].map((section) => [variableName(section), section]))
  const found: Array<Override> = []
  for (const [name, text] of Object.entries(environment).sort()) {
    const match = /^MANIFOLD_([A-Z0-9_]+?)__([A-Z0-9_]+)$/.exec(name)
    if (match?.[1] === undefined || match[2] === undefined || text === undefined) continue
    const section = byName.get(match[1]) ?? match[1].toLowerCase()
    found.push({ section, key: match[2].toLowerCase(), text, source: name })
  }
  return found
}

/** One `--set key=value`; undefined where it has no such form. */
export function setOverride(argument: string): Override | undefined {
  const match = /^([^=.]+)\.([^=.]+)=(.*)$/s.exec(argument)
  if (match?.[1] === undefined || match[2] === undefined || match[3] === undefined) return undefined
  return { section: match[1], key: match[2], text: match[3], source: `--set ${match[1]}.${match[2]}` }
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

function scalar(text: string): unknown {
  if (text === "true") return true
  if (text === "false") return false
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
}

function variableName(section: string): string {
  return section
    .toUpperCase()
    .replaceAll("-", "_")
    .replaceAll(/[^A-Z0-9_]/g, "_")
}
