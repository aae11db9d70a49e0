/**
 * Loading code from disk on Bun, from source and in an executable: its runtime plugins (`Bun.plugin`) are asked for every module.
 *
 * What was tried on Bun 1.4.5: `onResolve` is asked for specifiers with an extension or a colon only, and not for `data:`; `onLoad` is
 * asked for every file, cannot decline, and what it throws is what the import throws; the modules inside an executable need to be kept
 * from it by the filter. A CommonJS module that `onLoad` gives has no exports for whoever imports it.
 */
import { readFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { extname, join, sep } from "node:path"
import { pathToFileURL } from "node:url"
import type { OnLoadResult } from "bun"
import { type ModuleGuard, type ModuleImport, ModuleSyntaxError, type Modules } from "../Modules.ts"
import { moduleFiles } from "../module-files.ts"

/** This file, below the root of the source; in an executable or a bundle it is another. */
const OWN_PLACE = ["", "core", "platform", "bun", "modules.ts"].join(sep)
/** Every path but those inside an executable. */
const ON_DISK = /^(?!\/\$bunfs\/|[A-Za-z]:[\\/]~BUN[\\/])/

const KINDS: Readonly<Record<string, ModuleImport["kind"]>> = {
  "import-statement": "import",
  "dynamic-import": "dynamic-import",
  "require-call": "require"
}

export const bunModules: Modules = {
  files: moduleFiles,
  scan: (path, text) => {
    const transpiler = new Bun.Transpiler({ loader: loaderOf(path) })
    try {
      // The first line of a script is for the shell; the scanner does not know it.
      const found = transpiler.scanImports(text.replace(/^#!/, "//"))
      return found.flatMap(({ path: specifier, kind }) => {
        const known = KINDS[kind]
        return known === undefined ? [] : [{ specifier, kind: known }]
      })
    } catch (error) {
      throw syntaxError(error)
    }
  },
  isBuiltin,
  publish: (modules) => {
    Bun.plugin({
      name: "manifold host modules",
      setup(build) {
        for (const [name, exports] of modules) build.module(name, () => ({ exports, loader: "object" }))
      }
    })
  },
  guard: (guard) => {
    Bun.plugin({
      name: "manifold guard",
      setup(build) {
        build.onResolve({ filter: /.*/ }, ({ path, importer }) => {
          guard.resolve(path, importer)
          return undefined
        })
        build.onLoad({ filter: ON_DISK }, ({ path }) => load(path, guard))
      }
    })
  },
  import: (path) => import(pathToFileURL(path).href)
}

function load(path: string, guard: ModuleGuard): OnLoadResult {
  const bytes = guard.load(path)
  if (bytes !== undefined) return resultOf(path, bytes)
  if (hostFolders().some((folder) => path.startsWith(folder))) return resultOf(path, readFileSync(path))
  throw new Error(`allowed: code from plugins' own folders; one asks for ${path}, which lies outside: bundle it`)
}

function resultOf(path: string, bytes: Uint8Array): OnLoadResult {
  const extension = extname(path)
  if (/^\.[cm]?[jt]sx?$/.test(extension)) return { contents: bytes, loader: loaderOf(path) }
  const text = new TextDecoder().decode(bytes)
  return { exports: { default: extension === ".json" ? JSON.parse(text) : text }, loader: "object" }
}

function loaderOf(path: string): "ts" | "tsx" | "js" | "jsx" {
  const extension = extname(path)
  if (extension === ".tsx" || extension === ".jsx") return extension === ".tsx" ? "tsx" : "jsx"
  return extension.endsWith("ts") ? "ts" : "js"
}

/** What the transpiler throws: a message with its position, or several. */
function syntaxError(thrown: unknown): ModuleSyntaxError {
  const first = thrown instanceof AggregateError ? (thrown.errors as ReadonlyArray<unknown>)[0] : thrown
  const { message, position } = (first ?? {}) as {
    readonly message?: string
    readonly position?: { readonly line: number; readonly column: number } | null
  }
  return new ModuleSyntaxError(message ?? String(first), position?.line ?? 0, position?.column ?? 0)
}

let folders: ReadonlyArray<string> | undefined

/** Where the host's own files lie, its packages where they are linked to. */
function hostFolders(): ReadonlyArray<string> {
  if (folders !== undefined) return folders
  const host = hostFolder(import.meta.filename)
  const packages = host === undefined ? undefined : moduleFiles.realPath(join(host, "node_modules"))
  folders = [...(host === undefined ? [] : [host]), ...(packages === undefined ? [] : [`${packages}${sep}`])]
  return folders
}

/**
 * Where the host's own files lie while it runs from source: its root, or the node_modules that it and its packages are installed in;
 * undefined = it is one file, all of it loaded.
 */
function hostFolder(path: string): string | undefined {
  if (!path.endsWith(OWN_PLACE)) return undefined
  const root = path.slice(0, 1 - OWN_PLACE.length)
  const packages = `${sep}node_modules${sep}`
  const end = root.lastIndexOf(packages)
  return end < 0 ? root : root.slice(0, end + packages.length)
}
