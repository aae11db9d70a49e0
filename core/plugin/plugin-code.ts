/**
 * What a plugin's modules may import, and all that its entry leads to.
 *
 * Invariants
 *  - A module's file lies in the plugin's folder, symbolic links followed, and in no node_modules of it.
 *  - What is not a file of the folder is the host's, by its exact name, or the runtime's; everything else is refused with the importing
 *    file and the specifier.
 */
import { dirname, extname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { type ModuleImport, ModuleSyntaxError, type Modules } from "../platform/Modules.ts"
import { isInside, isPath, MODULE_EXTENSIONS, type PluginPlace, pathIn } from "./locate-plugin.ts"
import { PluginFault, thrownMessage } from "./PluginFault.ts"

const MODULE_BYTES_MAX = 16 * 1024 * 1024
const MODULES_MAX = 10_000

/** What judges a plugin's code. */
export interface CodeRules {
  readonly modules: Modules
  /** The names that the host publishes. */
  readonly host: ReadonlySet<string>
}

/** The bytes of a module of the plugin, after all that it imports has been judged. Throws {@link PluginFault}. */
export function readModule(path: string, place: PluginPlace, rules: CodeRules): Uint8Array {
  return examine(path, place, rules).bytes
}

/**
 * Every module that the entry leads to, as far as it is written out: by real path, with the bytes that were judged. What is imported
 * by a computed name is not among them. Throws {@link PluginFault}.
 */
export function walkPlugin(place: PluginPlace, rules: CodeRules): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>()
  const waiting = [place.entry]
  const seen = new Set(waiting)
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (found.size >= MODULES_MAX) throw new PluginFault(`a plugin of ${MODULES_MAX} modules or fewer: bundle it`)
    const { bytes, leadsTo } = examine(path, place, rules)
    found.set(path, bytes)
    for (const next of leadsTo) {
      if (!seen.has(next)) waiting.push(next)
      seen.add(next)
    }
  }
  return found
}

/**
 * The file that `specifier` leads to from the module at `importer`; undefined = none of the plugin's: the host's or the runtime's, or
 * what has to be judged when it is reached. Throws {@link PluginFault}.
 */
export function judgeImport(
  { specifier, kind }: ModuleImport,
  importer: string,
  place: PluginPlace,
  { modules, host }: CodeRules
): string | undefined {
  if (host.has(specifier) || modules.isBuiltin(specifier)) return undefined
  const refuse = (allowed: string, why: string): never => {
    throw new PluginFault(`${allowed}; ${pathIn(place.folder, importer)} imports ${JSON.stringify(specifier)}, ${why}`)
  }
  const owner = /^(?:manifold|effect|valibot)(?=\/)/.exec(specifier)?.[0]
  if (owner !== undefined) return refuse(`the modules that the host gives: ${hostNames(host)}`, "which is none of them")
  if (/^(?!file:|[A-Za-z]:[/\\])[A-Za-z][A-Za-z0-9+.-]*:/.test(specifier)) {
    return refuse("code that lies in the plugin's folder", "which does not: copy it there, or bundle it")
  }
  if (!isPath(specifier) && !specifier.startsWith("file:")) {
    // Also where a call asks for it and goes on without it: a package that happens to lie near would run, and be built in.
    return refuse("a plugin that holds the packages it uses", "a package that the host does not give: bundle it")
  }
  const target = targetOf(specifier, importer)
  const stays = `code that stays in its folder ${place.folder}`
  if (!isInside(place.folder, target)) return refuse(stays, "which lies outside: copy it there, or bundle it")
  const real = modules.files.kind(target) === "file" ? modules.files.realPath(target) : undefined
  if (real === undefined) {
    if (kind !== "import") return undefined
    const longer = MODULE_EXTENSIONS.find((extension) => modules.files.kind(`${target}${extension}`) === "file")
    const hint = longer === undefined ? "" : `: write ${JSON.stringify(`${specifier}${longer}`)}`
    return refuse("imports of files that are there", `which is not${hint}`)
  }
  if (!isInside(place.folder, real)) {
    return refuse(stays, `a symbolic link to ${real}: copy the file there, or bundle it`)
  }
  if (!MODULE_EXTENSIONS.includes(extname(real))) {
    return refuse(
      `modules that end in ${MODULE_EXTENSIONS.join(" ")}`,
      "which does not: bundle it, or read it as a file"
    )
  }
  return real
}

interface Examined {
  readonly bytes: Uint8Array
  readonly leadsTo: ReadonlyArray<string>
}

function examine(path: string, place: PluginPlace, rules: CodeRules): Examined {
  const { modules } = rules
  const name = pathIn(place.folder, path)
  if (name.split("/").includes("node_modules")) {
    throw new PluginFault(`a plugin that holds the packages it uses; ${name} is a package's: bundle it`)
  }
  let bytes: Uint8Array
  try {
    bytes = modules.files.read(path)
  } catch (error) {
    throw new PluginFault(`code that can be read; ${name} cannot: ${thrownMessage(error)}`)
  }
  if (bytes.length > MODULE_BYTES_MAX)
    throw new PluginFault(`modules of ${MODULE_BYTES_MAX} bytes or less; ${name} is larger`)
  const text = textOf(bytes, name)
  if (extname(path) === ".json") {
    try {
      JSON.parse(text)
    } catch (error) {
      throw new PluginFault(`JSON; ${name} is none: ${thrownMessage(error)}`)
    }
    return { bytes, leadsTo: [] }
  }
  const found = scan(path, text, name, modules)
  const leadsTo = found.flatMap((each) => judgeImport(each, path, place, rules) ?? [])
  return { bytes, leadsTo }
}

function scan(path: string, text: string, name: string, modules: Modules): ReadonlyArray<ModuleImport> {
  try {
    return modules.scan(path, text)
  } catch (error) {
    if (!(error instanceof ModuleSyntaxError)) throw error
    const at = error.line === 0 ? name : `${name}:${error.line}:${error.column}`
    throw new PluginFault(`code without syntax errors; ${at}: ${error.message}`)
  }
}

function textOf(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw new PluginFault(`text in UTF-8; ${name} is none`)
  }
}

/** An absolute path; where it ends in what is no file, nothing will be found there. */
function targetOf(specifier: string, importer: string): string {
  if (!specifier.startsWith("file:")) return resolve(dirname(importer), specifier)
  try {
    return fileURLToPath(specifier)
  } catch {
    return resolve(dirname(importer), specifier)
  }
}

/** For a person; the many parts of a package by one example. */
function hostNames(host: ReadonlySet<string>): string {
  const names = [...host].filter((name) => !name.includes("/"))
  const part = [...host].find((name) => name.includes("/"))
  return part === undefined ? names.join(", ") : `${names.join(", ")}, and the parts of effect's own entry, as ${part}`
}
