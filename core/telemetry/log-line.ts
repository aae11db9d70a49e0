/**
 * One event as one line: `2026-11-21T04:52:19.123Z INFO area message key=value`.
 *
 * Invariants
 *  - A line has no line break, no control character, nothing that turns the direction of text and no lone surrogate, whatever a
 *    client named itself: one event never looks like two, and a terminal obeys nothing in it.
 *  - A value that could be misread is quoted; a reader that knows JSON strings can read it back, except where it was cut.
 *  - A line is at most {@link FIELDS_MAX} fields of at most {@link VALUE_LENGTH_MAX} characters (before escapes) long.
 */

export const LEVELS = ["debug", "info", "warn", "error"] as const
export type LogLevel = (typeof LEVELS)[number]

/** What stands behind a key. `undefined` leaves the field out; of an error its name and message are shown, not its stack. */
export type LogValue = string | number | bigint | boolean | null | undefined | Error
export type LogFields = Readonly<Record<string, LogValue>>

export const FIELDS_MAX = 32
/** In UTF-16 code units. */
export const VALUE_LENGTH_MAX = 1_024
const KEY_LENGTH_MAX = 64
const MESSAGE_LENGTH_MAX = 256

/** What may stand in a line as it is: no space, quote, equals sign, backslash or anything beyond ASCII. */
const BARE = /^[A-Za-z0-9_./:@%+,-]+$/

/** C0 with DEL, C1, line and paragraph separators, what is invisible or turns direction, and halves of surrogate pairs. */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** Renders one event. `area` names the part that speaks; `message` is fixed text, what varies belongs into `fields`. */
export function formatLine(
  timeMs: number,
  level: LogLevel,
  area: string,
  message: string,
  fields: LogFields = {}
): string {
  let line = `${new Date(timeMs).toISOString()} ${level.toUpperCase()} ${name(area)} ${text(message)}`
  let count = 0
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue
    if (count === FIELDS_MAX) return `${line} fields_left_out=true`
    line += ` ${name(key)}=${formatValue(value)}`
    count += 1
  }
  return line
}

function formatValue(value: Exclude<LogValue, undefined>): string {
  if (value instanceof Error) return formatText(`${value.name}: ${value.message}`)
  return typeof value === "string" ? formatText(value) : String(value)
}

function formatText(value: string): string {
  if (value.length <= VALUE_LENGTH_MAX && BARE.test(value) && !isOtherType(value)) return value
  return `"${escapeUnsafe(cut(value, VALUE_LENGTH_MAX).replaceAll("\\", "\\\\").replaceAll('"', '\\"'))}"`
}

/** Whether a bare string would read as a number, a truth value or nothing. */
function isOtherType(value: string): boolean {
  return ["true", "false", "null", "NaN"].includes(value) || !Number.isNaN(Number(value))
}

/** Fixed text; an equals sign in it must not look like a field. */
function text(message: string): string {
  return escapeUnsafe(cut(message, MESSAGE_LENGTH_MAX).replaceAll("\\", "\\\\").replaceAll("=", "\\u003d"))
}

/** A key or an area: one word. */
function name(word: string): string {
  const safe = word.slice(0, KEY_LENGTH_MAX).replace(/[^A-Za-z0-9_.:/-]/g, "_")
  return safe === "" ? "_" : safe
}

/** Cut text says how much is missing; a surrogate pair cut in half is escaped later. */
function cut(value: string, lengthMax: number): string {
  return value.length <= lengthMax ? value : `${value.slice(0, lengthMax)}...(+${value.length - lengthMax})`
}

function escapeUnsafe(value: string): string {
  return value.replace(UNSAFE, (unit) => {
    if (unit === "\n") return "\\n"
    if (unit === "\r") return "\\r"
    if (unit === "\t") return "\\t"
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  })
}
