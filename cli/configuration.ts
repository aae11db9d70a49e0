/** Finds and reads the configuration that the command line asks for. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { externalPlugins, type Loaded, loadConfig } from "../core/config/mod.ts"
import { loadPluginFile, type PluginFile } from "../core/plugin/load-plugin.ts"
import type { Arguments } from "./arguments.ts"
import { builtins } from "./builtins.ts"

/** Read without being asked for, where it lies in the working directory. */
export const DEFAULT_FILE = "manifold.toml"

/** The file that was asked for cannot be read. */
export class UnreadableFile extends Error {
  override readonly name = "UnreadableFile"
}

/** What became of the configuration, and the file's name, `defaults` where there is none. Throws {@link UnreadableFile}. */
export async function readConfiguration(given: Arguments): Promise<Loaded & { readonly file: string }> {
  const text = readText(given.config)
  const file = text === undefined ? "defaults" : (given.config ?? DEFAULT_FILE)
  const external = await importPlugins(text ?? "", dirname(resolve(file)))
  return { ...loadConfig({ text, file, environment: process.env, sets: given.sets, builtins, external }), file }
}

/** Imports the plugins that the manifest names by path; a relative path starts at the manifest's folder. */
async function importPlugins(text: string, folder: string): Promise<ReadonlyMap<string, PluginFile>> {
  const uses = externalPlugins(text)
  if (uses.length === 0) return new Map()
  const { publishHostModules } = await import("./host-modules.ts")
  publishHostModules()
  const files = await Promise.all(
    uses.map(async (use): Promise<readonly [string, PluginFile]> => {
      const path = resolve(folder, use)
      if (!existsSync(path)) return [use, { fault: `a file that is there; ${path} is not` }]
      return [use, await loadPluginFile(path)]
    })
  )
  return new Map(files)
}

function readText(asked: string | undefined): string | undefined {
  try {
    return readFileSync(asked ?? DEFAULT_FILE, "utf8")
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
    if (code === "ENOENT" && asked === undefined) return undefined
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "no such file",
      EACCES: "not permitted to read it",
      EISDIR: "it is a directory"
    }
    throw new UnreadableFile(`cannot read the configuration ${asked ?? DEFAULT_FILE}: ${reasons[code] ?? code}`)
  }
}
