/** Finds and reads the configuration that the command line asks for. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { type Config, externalPlugins, formatFault, type Loaded, loadConfig } from "../core/config/mod.ts"
import { loadPluginFile, type PluginFile } from "../core/plugin/load-plugin.ts"
import type { Arguments } from "./arguments.ts"
import { builtins, included, leftOut } from "./builtins.ts"
import { fail } from "./output.ts"

/** Read without being asked for, where it lies in the working directory. */
export const DEFAULT_FILE = "manifold.toml"

/** The file that was asked for cannot be read. */
export class UnreadableFile extends Error {
  override readonly name = "UnreadableFile"
}

/** A configuration's text; undefined = there is none, the defaults hold. */
export interface ConfigFile {
  readonly text: string | undefined
  /** Its name, for a person. */
  readonly file: string
}

/** The file that was asked for, or {@link DEFAULT_FILE} where it is there. Throws {@link UnreadableFile}. */
export function readFile(asked: string | undefined): ConfigFile {
  const text = readText(asked)
  return { text, file: text === undefined ? "defaults" : (asked ?? DEFAULT_FILE) }
}

/** Whether the manifest names plugins that lie on disk, which may import the host's modules. */
export function namesPluginFiles({ text }: ConfigFile): boolean {
  return onDisk(text ?? "").length > 0
}

/** What became of the configuration; plugins from disk have been imported. */
export async function loadConfiguration(
  { sets }: Pick<Arguments, "sets">,
  { text, file }: ConfigFile,
  environment: Readonly<Record<string, string | undefined>> = process.env
): Promise<Loaded> {
  const external = await importPlugins(text ?? "", dirname(resolve(file)))
  return loadConfig({ text, file, environment, sets, builtins, leftOut, external })
}

/** The configuration; undefined where it has faults, which have been told. */
export async function loadOrTell(given: Arguments, file: ConfigFile): Promise<Config | undefined> {
  const { config, faults } = await loadConfiguration(given, file)
  for (const fault of faults) fail(formatFault(fault))
  return config
}

/** The plugins that the manifest names by path and that are not compiled in. */
function onDisk(text: string): ReadonlyArray<string> {
  return externalPlugins(text).filter((use) => !included.has(use))
}

/** Those that are compiled in, and imports the others that the manifest names; a relative path starts at the manifest's folder. */
async function importPlugins(text: string, folder: string): Promise<ReadonlyMap<string, PluginFile>> {
  const files = await Promise.all(
    onDisk(text).map(async (use): Promise<readonly [string, PluginFile]> => {
      const path = resolve(folder, use)
      if (!existsSync(path)) return [use, { fault: `a file that is there; ${path} is not` }]
      return [use, await loadPluginFile(path)]
    })
  )
  return new Map([...[...included].map(([use, plugin]) => [use, { plugin }] as const), ...files])
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
