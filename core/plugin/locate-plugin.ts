/**
 * Where a plugin lies that a manifest names: `use` is a path, or the name of a package in the node_modules folder beside the manifest.
 *
 * Invariants
 *  - The folder and the entry are real paths, and the entry lies inside the folder: that folder is all that the plugin's code may be.
 *  - A relative path stays inside the manifest's folder, symbolic links followed. An absolute path may name any place, and may be a
 *    link itself: whoever operates the broker wrote it.
 *  - A package lies in that node_modules folder, or in a store inside of it to which the package is linked.
 */
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path"
import type { ModuleFiles } from "../platform/Modules.ts"
import { PluginFault } from "./PluginFault.ts"

/** The endings of what can be loaded: ES modules, and JSON. */
export const MODULE_EXTENSIONS: ReadonlyArray<string> = [".ts", ".mts", ".js", ".mjs", ".json"]

/** The entry of a folder that has no package.json. */
const FOLDER_ENTRY = "mod.ts"

/** Of a package.json's "exports", those that a host of ES modules asks for. */
const CONDITIONS: ReadonlyArray<string> = ["import", "module", "default"]

export interface PluginPlace {
  readonly use: string
  readonly origin: "path" | "package"
  /** What its code may not leave. */
  readonly folder: string
  /** The module that exports the plugin. */
  readonly entry: string
}

/** Whether `use` is a path; otherwise it is a name. */
export function isPath(use: string): boolean {
  return /^(?:\.{1,2}(?:[/\\]|$)|\/|[A-Za-z]:[/\\])/.test(use)
}

/** Whether `use` has the form of a package's name: `name`, `@scope/name`. */
export function isPackageName(use: string): boolean {
  return /^(?:@[a-z0-9][a-z0-9._~-]*\/)?[a-z0-9][a-z0-9._~-]*$/.test(use) && use !== "node_modules"
}

/** Where the package `use` would lie, for a manifest in the folder `base`. */
export function packagePath(use: string, base: string): string {
  return join(base, "node_modules", ...use.split("/"))
}

/** Where the plugin lies that a manifest in the folder `base` names. Throws {@link PluginFault}. */
export function locatePlugin(use: string, base: string, files: ModuleFiles): PluginPlace {
  const home = files.realPath(base) ?? base
  return isPath(use) ? locatePath(use, home, files) : locatePackage(use, home, files)
}

/** Whether `path` is `folder` or lies below it; both without `..`. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

/** The path from a plugin's folder, with `/` on every system. */
export function pathIn(folder: string, path: string): string {
  return relative(folder, path).split(sep).join("/")
}

function locatePath(use: string, home: string, files: ModuleFiles): PluginPlace {
  const path = resolve(home, use)
  const isFree = isAbsolute(use)
  const inside = `a path inside the manifest's folder ${home}, or an absolute path`
  if (!isFree && !isInside(home, path)) throw new PluginFault(`${inside}; this one leads to ${path}`)
  const kind = files.kind(path)
  const real = files.realPath(path)
  if (kind === undefined || real === undefined) {
    throw new PluginFault(`a file or folder that is there; ${path} is not`)
  }
  const folder = kind === "folder" ? real : (files.realPath(dirname(path)) ?? dirname(path))
  if (!isFree && !isInside(home, folder)) {
    throw new PluginFault(`${inside}; this one leads through a symbolic link to ${folder}`)
  }
  return {
    use,
    origin: "path",
    folder,
    entry: kind === "folder" ? entryOf(folder, files) : realEntry(folder, path, files)
  }
}

function locatePackage(use: string, home: string, files: ModuleFiles): PluginPlace {
  const store = join(home, "node_modules")
  const path = packagePath(use, home)
  const folder = files.realPath(path)
  if (folder === undefined || files.kind(path) !== "folder") {
    throw new PluginFault(`a package that is installed beside the manifest; there is no folder ${path}`)
  }
  if (!isInside(store, folder)) {
    const instead = `install it there, or name it by its path: use = ${JSON.stringify(folder)}`
    throw new PluginFault(`a package inside ${store}; this one is a symbolic link to ${folder}: ${instead}`)
  }
  return { use, origin: "package", folder, entry: entryOf(folder, files) }
}

/** The entry of a folder, as its package.json says it; without one it is mod.ts. */
function entryOf(folder: string, files: ModuleFiles): string {
  const manifest = join(folder, "package.json")
  if (files.kind(manifest) === "file") {
    const named = namedEntry(manifest, files)
    if (named !== undefined) return realEntry(folder, resolve(folder, named), files)
  }
  if (files.kind(join(folder, FOLDER_ENTRY)) === "file") return realEntry(folder, join(folder, FOLDER_ENTRY), files)
  const wanted = `a package.json that names its module ("exports", "module" or "main"), or with ${FOLDER_ENTRY}`
  throw new PluginFault(`a folder with ${wanted}; ${folder} has neither`)
}

function namedEntry(manifest: string, files: ModuleFiles): string | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder().decode(files.read(manifest)))
  } catch {
    throw new PluginFault(`a folder whose package.json can be read as JSON; ${manifest} cannot`)
  }
  if (typeof parsed !== "object" || parsed === null) return undefined
  const { exports, module, main } = parsed as Readonly<Record<string, unknown>>
  const named = exportedEntry(exports) ?? module ?? main
  return typeof named === "string" ? named : undefined
}

/** `"exports"`: a path, the path of ".", or paths by condition, as Node reads them; the order is the file's. */
function exportedEntry(exports: unknown): string | undefined {
  if (typeof exports === "string") return exports
  if (typeof exports !== "object" || exports === null) return undefined
  if (Object.hasOwn(exports, ".")) return exportedEntry((exports as Readonly<Record<string, unknown>>)["."])
  for (const [condition, target] of Object.entries(exports)) {
    const found = CONDITIONS.includes(condition) ? exportedEntry(target) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/** The entry without symbolic links; it has to be there, in the folder, and something that can be loaded. */
function realEntry(folder: string, path: string, files: ModuleFiles): string {
  const real = files.kind(path) === "file" ? files.realPath(path) : undefined
  if (real === undefined) throw new PluginFault(`a plugin whose module is there; ${path} is not`)
  if (!isInside(folder, real)) {
    const how = isInside(folder, path) ? `${basename(path)} is a symbolic link to ${real}` : `its module is ${real}`
    throw new PluginFault(`a plugin whose code lies in its folder ${folder}; ${how}: copy it into the folder`)
  }
  const isCode = MODULE_EXTENSIONS.some((extension) => extension !== ".json" && real.endsWith(extension))
  // In the name of a module it begins a query.
  if (real.includes("?")) throw new PluginFault(`a path without "?"; this one is ${real}`)
  if (!isCode) throw new PluginFault(`a module that ends in .ts .mts .js or .mjs; ${basename(real)} does not`)
  return real
}
