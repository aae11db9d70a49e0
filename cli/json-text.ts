/** JSON for a file that people read: lists of plain values stand in one line where they fit. */
const LINE_LENGTH_MAX = 120

/** As the repository's formatter would write it. */
export function jsonText(value: unknown, indent = "", before = 0): string {
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    const items = value.map((each) => jsonText(each, inner))
    const line = `[${items.join(", ")}]`
    const fits = indent.length + before + line.length < LINE_LENGTH_MAX
    return fits && !line.includes("\n") && !line.includes("{")
      ? line
      : `[\n${inner}${items.join(`,\n${inner}`)}\n${indent}]`
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const pairs = Object.entries(value).filter(([, each]) => each !== undefined)
  if (pairs.length === 0) return "{}"
  const lines = pairs.map(([key, each]) => {
    const name = `${JSON.stringify(key)}: `
    return `${inner}${name}${jsonText(each, inner, name.length)}`
  })
  return `{\n${lines.join(",\n")}\n${indent}}`
}
