/**
 * A plugin from a file: imported, then judged by its shape before anything of it runs. Whatever is wrong with it becomes one line.
 */
import * as v from "valibot"
import { CONTRACT_VERSION, type Plugin } from "./Plugin.ts"

const shape = v.looseObject({
  name: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "1 to 64 of a-z 0-9 -")),
  version: v.string(),
  contractVersion: v.number(),
  kind: v.picklist(["protocol", "storage", "meta", "http"]),
  runs: v.picklist(["shard", "node"]),
  options: v.custom<unknown>((value) => typeof value === "object" && value !== null && "~standard" in value),
  layer: v.function()
})

/** The plugin, or why it is none. */
export type PluginFile = { readonly plugin: Plugin } | { readonly fault: string }

/** Imports `file` (an absolute path) and takes its export `plugin`. Never rejects. */
export async function loadPluginFile(file: string): Promise<PluginFile> {
  let exported: Record<string, unknown>
  try {
    exported = (await import(file)) as Record<string, unknown>
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { fault: `a file that loads; this one says: ${message.split("\n")[0] ?? ""}` }
  }
  if (exported["plugin"] === undefined) return { fault: 'a file that exports "plugin"; this one does not' }
  const parsed = v.safeParse(shape, exported["plugin"])
  if (!parsed.success)
    return { fault: `a plugin; the one exported is not: ${v.summarize(parsed.issues).split("\n")[0] ?? ""}` }
  const { name, contractVersion } = parsed.output
  if (contractVersion !== CONTRACT_VERSION) {
    const fault = `contract version ${CONTRACT_VERSION}; plugin ${name} is written for version ${contractVersion}`
    return { fault }
  }
  return { plugin: exported["plugin"] as Plugin }
}
