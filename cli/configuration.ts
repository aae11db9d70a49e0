/** Finds and reads the configuration that the command line asks for. */
import { existsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { InvariantViolation } from "../core/assert.ts"
import {
  type Config,
  type ConfigSource,
  type ExternalPlugin,
  externalPlugins,
  formatFault,
  type Loaded,
  loadConfigPrepared
} from "../core/config/mod.ts"

import type { PluginFile, PluginLoader } from "../core/plugin/load-plugin.ts"
import { isPackageName, isPath, packagePath } from "../core/plugin/locate-plugin.ts"
import type { Arguments } from "./arguments.ts"
import { builtins, included, leftOut } from "./builtins.ts"
import { fail } from "./output.ts"
import { NoText, readText } from "./read-text.ts"

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
  /** Loads plugins from disk; it is there wherever {@link namesPluginFiles}. */
  readonly loader?: PluginLoader
}

/** The file that was asked for, or {@link DEFAULT_FILE} where it is there. Throws {@link UnreadableFile}. */
export function readFile(asked: string | undefined): ConfigFile {
  const text = readFileText(asked)
  return { text, file: text === undefined ? "defaults" : (asked ?? DEFAULT_FILE) }
}

/** Whether the manifest names plugins that lie on disk. */
export function namesPluginFiles(file: ConfigFile): boolean {
  return pluginsOnDisk(file).length > 0
}

/** The folder that the manifest lies in: relative paths of plugins, and the node_modules of packages, begin there. */
export function folderOf({ file }: ConfigFile): string {
  return dirname(resolve(file))
}

/** What became of the configuration; plugins from disk have been loaded. */
export async function loadConfiguration(
  given: Pick<Arguments, "sets">,
  source: ConfigFile,
  environment?: ConfigSource["environment"]
): Promise<Loaded> {
  return loadConfigPrepared(await configSource(given, source, environment))
}

/** All layers of the configuration; plugins from disk have been loaded. */
export async function configSource(
  { sets }: Pick<Arguments, "sets">,
  source: ConfigFile,
  environment: ConfigSource["environment"] = process.env
): Promise<ConfigSource> {
  const { text, file } = source
  const external = await loadExternal(source)
  return { text, file, environment, sets, builtins, leftOut, external }
}

/** The configuration; undefined where it has faults, which have been told. */
export async function loadOrTell(given: Arguments, file: ConfigFile): Promise<Config | undefined> {
  const { config, faults } = await loadConfiguration(given, file)
  for (const fault of faults) fail(formatFault(fault))
  return config
}

/** The plugins that are compiled in, and those that the manifest names, loaded one after the other; by `use`. */
export async function loadExternal(file: ConfigFile): Promise<ReadonlyMap<string, PluginFile>> {
  const found = new Map<string, PluginFile>([...included].map(([use, plugin]) => [use, { plugin }]))
  for (const { use, digest } of pluginsOnDisk(file)) {
    if (file.loader === undefined) throw new InvariantViolation("plugins from disk have a loader")
    found.set(use, await loadPlugin(file.loader, use, folderOf(file), digest))
  }
  return found
}

/** Loads one plugin; where that ends the process, it is told whose code was at it, and the exit code is not 0. */
export async function loadPlugin(
  loader: PluginLoader,
  use: string,
  folder: string,
  digest?: string
): Promise<PluginFile> {
  const ended = (): void => {
    fail(`plugin ${JSON.stringify(use)}: the process ended while it was loaded; allowed: a module that loads`)
    process.exitCode = 1
  }
  process.on("exit", ended)
  try {
    return await loader.load(use, folder, digest)
  } finally {
    process.off("exit", ended)
  }
}

/** The plugins that the manifest names by path, or that are packages beside it, and that are no part of this build. */
export function pluginsOnDisk(file: ConfigFile): ReadonlyArray<ExternalPlugin> {
  const ours = new Set([...included.keys(), ...builtins.map(({ name }) => name), ...leftOut])
  return externalPlugins(file.text ?? "").filter(
    ({ use }) => !ours.has(use) && (isPath(use) || isInstalled(use, folderOf(file)))
  )
}

/** Whether there is a package `use` beside a manifest in the folder. */
export function isInstalled(use: string, folder: string): boolean {
  return isPackageName(use) && existsSync(packagePath(use, folder))
}

function readFileText(asked: string | undefined): string | undefined {
  const file = asked ?? DEFAULT_FILE
  try {
    return readText(file)
  } catch (error) {
    if (error instanceof NoText) throw new UnreadableFile(`cannot read the configuration ${file}: ${error.message}`)
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
    if (code === "ENOENT" && asked === undefined) return undefined
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "no such file",
      EACCES: "not permitted to read it",
      EISDIR: "it is a directory"
    }
    throw new UnreadableFile(`cannot read the configuration ${file}: ${reasons[code] ?? code}`)
  }
}
