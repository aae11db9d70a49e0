/**
 * Values of Kafka's configurations, which are text: how each type is written, and within which bounds.
 *
 * Source: org.apache.kafka.common.config.ConfigDef of Apache Kafka 4.3 (parseType; Range, ValidString, ValidList), tried against
 * org.apache.kafka.storage.internals.log.LogConfig.validate.
 */

export type ConfigType = "boolean" | "string" | "int" | "long" | "double" | "list"

/** What a value may be: numbers within two bounds, both included, or besides them; text and the parts of lists from a set or a pattern. */
export interface ConfigRange {
  readonly min?: number
  readonly max?: number
  /** A number that is allowed besides those within the bounds. */
  readonly or?: number
  readonly oneOf?: ReadonlyArray<string>
  /** Of each part of a list; `words` says for a person what it means. */
  readonly pattern?: RegExp
  readonly words?: string
}

/** "9223372036854775807": what has no bound. */
export const LONG_MAX = "9223372036854775807"
const INT_MAX = 2_147_483_647n
const LONG_MAX_NUMBER = BigInt(LONG_MAX)
const WHOLE = /^[+-]?\d{1,19}$/
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/

/** The value as Kafka shows it again, blanks and signs put right; undefined where it is no value of that type and range. */
export function parseConfigValue(type: ConfigType, range: ConfigRange, text: string): string | undefined {
  const value = text.trim()
  switch (type) {
    case "boolean": {
      const word = value.toLowerCase()
      if (word !== "true" && word !== "false") return undefined
      return range.oneOf === undefined || range.oneOf.includes(word) ? word : undefined
    }
    case "string":
      return range.oneOf === undefined || range.oneOf.includes(value) ? value : undefined
    case "list":
      return parseList(range, value)
    case "double":
      return DECIMAL.test(value) && isWithin(Number(value), range) ? String(Number(value)) : undefined
    default: {
      if (!WHOLE.test(value)) return undefined
      const whole = BigInt(value.replace("+", ""))
      const max = type === "int" ? INT_MAX : LONG_MAX_NUMBER
      if (whole > max || whole < -max - 1n) return undefined
      return isWithin(Number(whole), range) ? String(whole) : undefined
    }
  }
}

/** The parts of a list, without blanks around them; none of "". */
export function partsOfList(text: string): ReadonlyArray<string> {
  const value = text.trim()
  return value === "" ? [] : value.split(",").map((part) => part.trim())
}

/** What is allowed, for a person: "from 1 on", "delete | compact". */
export function rangeText(type: ConfigType, { min, max, or, oneOf, words }: ConfigRange): string {
  if (words !== undefined) return words
  if (oneOf !== undefined) return type === "list" ? `none or more of ${oneOf.join(", ")}` : oneOf.join(" | ")
  if (type === "boolean") return "true | false"
  if (min === undefined) return "any"
  const bounds = max === undefined ? `from ${min} on` : `${min} to ${max}`
  return or === undefined ? bounds : `${bounds}, or ${or}`
}

function isWithin(value: number, { min, max, or }: ConfigRange): boolean {
  if (or !== undefined && value === or) return true
  return (min === undefined || value >= min) && (max === undefined || value <= max)
}

/** Each part once, in the order in which they stand first. */
function parseList({ oneOf, pattern }: ConfigRange, value: string): string | undefined {
  const parts = [...new Set(partsOfList(value))]
  const isAllowed = (part: string): boolean =>
    (oneOf === undefined || oneOf.includes(part)) && (pattern === undefined || pattern.test(part) || value === "*")
  return parts.every(isAllowed) ? parts.join(",") : undefined
}
