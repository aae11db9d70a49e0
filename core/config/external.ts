/** Which plugins a manifest names by path: their files have to be imported before the manifest can be judged as a whole. */
import { parse } from "smol-toml"

/** The `use` values that are paths, of plugins that are not switched off. A text that does not parse names none. */
export function externalPlugins(text: string): ReadonlyArray<string> {
  let list: unknown
  try {
    list = parse(text)["plugin"]
  } catch {
    // The fault is told when the manifest is read.
    return []
  }
  if (!Array.isArray(list)) return []
  return list.flatMap((entry: unknown) => {
    if (typeof entry !== "object" || entry === null || !("use" in entry) || typeof entry.use !== "string") return []
    const isOn = !("enabled" in entry) || entry.enabled !== false
    return isOn && isPath(entry.use) ? [entry.use] : []
  })
}

function isPath(use: string): boolean {
  return use.startsWith("./") || use.startsWith("../") || use.startsWith("/")
}
