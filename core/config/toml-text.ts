/**
 * Values as TOML writes them, each in one line. Source: TOML 1.0, sections String, Integer, Float, Array, Inline Table.
 *
 * Invariant: what is written is read back as the same value.
 */
import { isTable } from "./check-value.ts"

const BARE_KEY = /^[A-Za-z0-9_-]+$/

export function tomlKey(key: string): string {
  return BARE_KEY.test(key) ? key : tomlString(key)
}

/** What TOML has no word for (a function, `undefined` in a list) is written as a text that says its kind. */
export function tomlValue(value: unknown): string {
  if (typeof value === "string") return tomlString(value)
  if (typeof value === "boolean") return String(value)
  if (typeof value === "number" || typeof value === "bigint") return tomlNumber(value)
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(", ")}]`
  if (!isTable(value)) return tomlString(`(${typeof value})`)
  const pairs = Object.entries(value).filter(([, each]) => each !== undefined)
  if (pairs.length === 0) return "{}"
  return `{ ${pairs.map(([key, each]) => `${tomlKey(key)} = ${tomlValue(each)}`).join(", ")} }`
}

/** What stands behind a "#": in one line, whatever it names. */
export function tomlComment(text: string): string {
  return `# ${text.replaceAll(/[\u0000-\u001f\u007f]/g, " ")}`
}

function tomlNumber(value: number | bigint): string {
  if (Object.is(value, -0)) return "-0.0"
  if (value === Number.POSITIVE_INFINITY) return "inf"
  if (value === Number.NEGATIVE_INFINITY) return "-inf"
  if (Number.isNaN(value)) return "nan"
  // Digits alone would be an integer, and one that is too large for a parser.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? Number(value).toExponential() : String(value)
}

/** JSON's escapes are TOML's too; the one control character that JSON leaves as it is, TOML does not. */
function tomlString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replaceAll("\u007f", "\\u007F")
}
