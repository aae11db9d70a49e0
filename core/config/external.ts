/** Which plugins a manifest names that are not built in: they have to be loaded before the manifest can be judged as a whole. */
import { parse } from "smol-toml"
import { isPackageName, isPath } from "../plugin/locate-plugin.ts"
import { DIGEST_FORM } from "../plugin/plugin-digest.ts"

export interface ExternalPlugin {
  /** A path, or what may be the name of a package. */
  readonly use: string
  /** What its code has to be; absent = it is loaded as it lies there. */
  readonly digest?: string
}

/**
 * What the manifest says of plugins that are not switched off, each `use` once; of a built-in one it says the name, too, which is for
 * the caller to know. Left out is what must not be loaded: an entry whose digest is none. A text that does not parse names none.
 */
export function externalPlugins(text: string): ReadonlyArray<ExternalPlugin> {
  let list: unknown
  try {
    list = parse(text)["plugin"]
  } catch {
    // The fault is told when the manifest is read.
    return []
  }
  const found = new Map<string, ExternalPlugin>()
  const refused = new Set<string>()
  for (const entry of Array.isArray(list) ? list : []) {
    if (typeof entry !== "object" || entry === null) continue
    const { use, enabled, digest } = entry as Readonly<Record<string, unknown>>
    if (typeof use !== "string" || enabled === false || !(isPath(use) || isPackageName(use))) continue
    const isRight = digest === undefined || (typeof digest === "string" && DIGEST_FORM.test(digest))
    if (!isRight || (found.has(use) && found.get(use)?.digest !== digest)) refused.add(use)
    else found.set(use, typeof digest === "string" ? { use, digest } : { use })
  }
  return [...found.values()].filter(({ use }) => !refused.has(use))
}
