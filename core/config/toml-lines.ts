/**
 * On which line of a TOML text a key stands. The parser says what the text means, this only where: paths like
 * `plugin.1.options.tcp`, array tables numbered from 0.
 */

const TABLE = /^\s*\[([^[\]]+)\]\s*(?:#.*)?$/
const ARRAY_TABLE = /^\s*\[\[([^[\]]+)\]\]\s*(?:#.*)?$/
const KEY = /^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$/

/** Deeper paths are not kept apart: a line of dots would cost the square of its length. */
const DEPTH_MAX = 40

/** Lines by path, counted from 1. */
export function tomlLines(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>()
  const counts = new Map<string, number>()
  let prefix = ""
  let multiline: string | undefined
  /** Notes a path and the tables above it, which it makes where they are not there yet. */
  const note = (path: string, line: number): void => {
    for (let end = path.length; end > 0; end = path.lastIndexOf(".", end - 1)) {
      const part = path.slice(0, end)
      if (!lines.has(part)) lines.set(part, line)
    }
  }
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (multiline !== undefined) {
      if (line.includes(multiline)) multiline = undefined
      continue
    }
    const array = ARRAY_TABLE.exec(line)
    if (array?.[1] !== undefined) {
      const path = pathOf(array[1], counts)
      const count = counts.get(path) ?? 0
      counts.set(path, count + 1)
      prefix = `${path}.${count}`
      note(prefix, index + 1)
      continue
    }
    const table = TABLE.exec(line)
    if (table?.[1] !== undefined) {
      prefix = pathOf(table[1], counts)
      note(prefix, index + 1)
      continue
    }
    const key = KEY.exec(line)
    if (key?.[1] === undefined) continue
    const path = key[1].split(".", DEPTH_MAX).map(unquote).join(".")
    note(prefix === "" ? path : `${prefix}.${path}`, index + 1)
    multiline = openString(key[2] ?? "")
  }
  return lines
}

/** The line of `path`, or of the nearest table around it; undefined where nothing of it is written. */
export function lineOf(lines: ReadonlyMap<string, number>, path: ReadonlyArray<string>): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(path.slice(0, length).join("."))
    if (line !== undefined) return line
  }
  return undefined
}

/** A table's path, with the number of the array table that it belongs to put in. */
function pathOf(header: string, counts: ReadonlyMap<string, number>): string {
  let path = ""
  for (const part of header.split(".", DEPTH_MAX).map(unquote)) {
    const count = counts.get(path)
    if (count !== undefined) path = `${path}.${count - 1}`
    path = path === "" ? part : `${path}.${part}`
  }
  return path
}

function unquote(part: string): string {
  return part.trim().replace(/^(["'])(.*)\1$/, "$2")
}

/** The delimiter of a multi-line string that a value opens and does not close. */
function openString(value: string): string | undefined {
  for (const delimiter of ['"""', "'''"]) {
    const start = value.indexOf(delimiter)
    if (start >= 0 && value.indexOf(delimiter, start + 3) < 0) return delimiter
  }
  return undefined
}
