/** The effective configuration as TOML and as plain data. */
import type { Path } from "./check-value.ts"
import type { EffectiveTable } from "./effective.ts"
import { tomlComment, tomlKey, tomlValue } from "./toml-text.ts"

/** Origins stand one below the other, as far as the lines are not longer than this. */
const ORIGIN_COLUMN_MAX = 48

/** Lines of TOML; `withOrigin` says behind each key which layer set it. */
export function effectiveToml(tables: ReadonlyArray<EffectiveTable>, withOrigin: boolean): ReadonlyArray<string> {
  const lines: Array<string> = []
  for (const { path, isListed, keys } of tables) {
    if (keys.length === 0 && !isListed) continue
    const header = headerOf(path)
    if (lines.length > 0 && (isListed || path.length === 1)) lines.push("")
    lines.push(isListed ? `[[${header}]]` : `[${header}]`)
    const pairs = keys.map(({ key, value, origin }) => ({
      text: value === undefined ? tomlComment(`${tomlKey(key)}: not set`) : `${tomlKey(key)} = ${tomlValue(value)}`,
      origin: value === undefined ? undefined : origin
    }))
    const lengths = pairs.map(({ text }) => text.length).filter((length) => length <= ORIGIN_COLUMN_MAX)
    const column = Math.max(0, ...lengths)
    for (const { text, origin } of pairs) {
      lines.push(withOrigin && origin !== undefined ? `${text.padEnd(column)}  ${tomlComment(origin)}` : text)
    }
  }
  return lines
}

/** The same as plain data: what JSON writes. */
export function effectiveValues(tables: ReadonlyArray<EffectiveTable>): Readonly<Record<string, unknown>> {
  const root: Record<string, unknown> = {}
  for (const { path, isListed, keys } of tables) {
    if (keys.length === 0 && !isListed) continue
    const last = path[path.length - 1] ?? ""
    let at = root
    for (const [index, key] of path.slice(0, -1).entries()) {
      // A number stands behind the name of its list.
      const makes = isListed && index === path.length - 2 ? [] : {}
      const next: unknown = Array.isArray(at) ? at[Number(key)] : Object.hasOwn(at, key) ? at[key] : undefined
      if (next === undefined) put(at, key, makes)
      at = (next ?? makes) as Record<string, unknown>
    }
    put(at, last, Object.fromEntries(keys.flatMap(({ key, value }) => (value === undefined ? [] : [[key, value]]))))
  }
  return root
}

/** Which layer set each key, by its dotted path. */
export function effectiveOrigins(tables: ReadonlyArray<EffectiveTable>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    tables.flatMap(({ path, keys }) =>
      keys.flatMap(({ key, value, origin }) => (value === undefined ? [] : [[[...path, key].join("."), origin]]))
    )
  )
}

function put(at: Record<string, unknown>, key: string, value: unknown): void {
  if (Array.isArray(at)) at[Number(key)] = value
  else Object.defineProperty(at, key, { value, enumerable: true, configurable: true, writable: true })
}

/** A table's name in TOML: a table in a list is not numbered there. */
function headerOf(path: Path): string {
  const number = path[0] === "topics" ? 2 : 1
  return path
    .filter((_, index) => index !== number)
    .map(tomlKey)
    .join(".")
}
