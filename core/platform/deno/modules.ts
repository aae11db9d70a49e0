/**
 * Loading code from disk on Deno: the hooks of node:module are asked for every module. The host's own modules reach plugins by the
 * import map of deno.json, which holds for code anywhere on disk.
 *
 * Tried on Deno 2.9: what a hook throws is what the import throws, also of a dynamic import; a TypeScript module that a hook gives has
 * to have its types taken off, and one below a node_modules folder is refused unless its URL is none of a file.
 */
import * as nodeModule from "node:module"
import { extname, join, sep } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parse } from "es-module-lexer/js"
import { type ModuleGuard, type ModuleImport, ModuleSyntaxError, type Modules } from "../Modules.ts"
import { moduleFiles } from "../module-files.ts"

/** Where the host's own files lie: this one is core/platform/deno/modules.ts; its packages may be linked from elsewhere. */
const HOST_FOLDER = import.meta.filename.slice(0, -["core", "platform", "deno", "modules.ts"].join(sep).length)
const HOST_FOLDERS = [HOST_FOLDER, `${moduleFiles.realPath(join(HOST_FOLDER, "node_modules")) ?? HOST_FOLDER}${sep}`]

interface HookContext {
  readonly parentURL?: string
  readonly importAttributes?: { readonly type?: string }
}
interface Hooks {
  readonly resolve: <Next>(
    specifier: string,
    context: HookContext,
    next: (specifier: string, context: HookContext) => Next
  ) => Next | { readonly url: string; readonly shortCircuit: true }
  readonly load: <Next>(
    url: string,
    context: HookContext,
    next: (url: string, context: HookContext) => Next
  ) => Next | { readonly format: string; readonly source: string; readonly shortCircuit: true }
}

/** What Deno has of node:module and the types of Bun do not know. */
const runtime = nodeModule as unknown as {
  registerHooks(hooks: Hooks): void
  stripTypeScriptTypes(text: string, options: { readonly mode: "strip" | "transform" }): string
}

const decoder = new TextDecoder()

export const denoModules: Modules = {
  files: moduleFiles,
  scan: (path, text) => {
    const source = javaScript(path, text)
    try {
      return parse(source, path)[0].flatMap((found): ReadonlyArray<ModuleImport> => {
        if (found.type === "import-meta" || found.specifier === undefined) return []
        if (found.type !== "dynamic") return [{ specifier: found.specifier, kind: "import" }]
        return found.glob ? [] : [{ specifier: found.specifier, kind: "dynamic-import" }]
      })
    } catch (error) {
      throw syntaxError(error, source)
    }
  },
  isBuiltin: (specifier) => nodeModule.isBuiltin(specifier),
  // The import map publishes them: it is there before any of our code runs.
  publish: () => {},
  guard: (guard) => {
    runtime.registerHooks({
      resolve: (specifier, context, next) => {
        const importer = pathOf(context.parentURL)
        if (importer === undefined) return next(specifier, context)
        guard.resolve(specifier, importer)
        const path = /^(?:\.{0,2}\/|file:)/.test(specifier)
          ? fileURLToPath(new URL(specifier, pathToFileURL(importer)))
          : ""
        if (needsScheme(path)) return { url: urlOf(path), shortCircuit: true }
        if (context.parentURL?.startsWith(SCHEME) !== true) return next(specifier, context)
        // What our own scheme does not carry on is resolved as if one of our files had asked.
        return next(path === "" ? specifier : urlOf(path), { ...context, parentURL: import.meta.url })
      },
      load: (url, context, next) => {
        const path = pathOf(url)
        const bytes = path === undefined ? undefined : load(path, guard)
        if (path === undefined || bytes === undefined) return next(url, context)
        const text = decoder.decode(bytes)
        if (extname(path) === ".json") return { ...jsonModule(text, context), shortCircuit: true }
        return { format: "module", source: javaScript(path, text), shortCircuit: true }
      }
    })
  },
  import: (path) => import(urlOf(path))
}

/** Deno takes no types off a file below a node_modules folder, whoever reads it: such a module gets a name of another kind. */
const SCHEME = "manifold-plugin:"

function needsScheme(path: string): boolean {
  return path.includes(`${sep}node_modules${sep}`) && isTypeScript(path)
}

function urlOf(path: string): string {
  const { href } = pathToFileURL(path)
  return needsScheme(path) ? href.replace("file:", SCHEME) : href
}

/** A plugin's bytes; undefined where the module is the host's own. */
function load(path: string, guard: ModuleGuard): Uint8Array | undefined {
  const bytes = guard.load(path)
  if (bytes !== undefined || HOST_FOLDERS.some((folder) => path.startsWith(folder))) return bytes
  throw new Error(`allowed: code from plugins' own folders; one asks for ${path}, which lies outside: bundle it`)
}

/** Without `with { type: "json" }` Deno takes a module that is called JSON for none: Bun asks for no such words. */
function jsonModule(
  text: string,
  { importAttributes }: HookContext
): { readonly format: string; readonly source: string } {
  if (importAttributes?.type === "json") return { format: "json", source: text }
  return { format: "module", source: `export default JSON.parse(${JSON.stringify(text)})` }
}

function javaScript(path: string, text: string): string {
  if (!isTypeScript(path)) return text
  try {
    return runtime.stripTypeScriptTypes(text, { mode: "transform" })
  } catch (error) {
    throw syntaxError(error, text)
  }
}

/** `file:///a/b.ts:3:5: expected ...` and the like: the position is taken out of the message. */
function syntaxError(thrown: unknown, source: string): ModuleSyntaxError {
  const { message, idx } = thrown as { readonly message?: string; readonly idx?: number }
  if (idx !== undefined) {
    const before = source.slice(0, idx).split("\n")
    return new ModuleSyntaxError("it does not parse", before.length, (before.at(-1)?.length ?? 0) + 1)
  }
  const [first = "it does not parse"] = (message ?? String(thrown)).split("\n")
  const position = /:(\d+):(\d+)/.exec(message ?? "")
  return new ModuleSyntaxError(first, Number(position?.[1] ?? 0), Number(position?.[2] ?? 0))
}

function isTypeScript(path: string): boolean {
  return /^\.[cm]?ts$/.test(extname(path))
}

function pathOf(url: string | undefined): string | undefined {
  const file = url?.replace(SCHEME, "file:")
  return file?.startsWith("file:") === true ? fileURLToPath(file) : undefined
}
