/**
 * Which plugins an executable or a bundle holds: those that the given manifest names, and the built-in ones that need no entry.
 *
 * The manifest is judged here as `manifold check-config` judges it, before anything is built; for that the plugins that it names by
 * path are imported once.
 */
import { join } from "node:path"
import { builtins } from "../../cli/builtins.ts"
import { loadConfiguration, loadExternal, readFile } from "../../cli/configuration.ts"
import { pluginLoader } from "../../cli/with-plugins.ts"
import { formatFault } from "../../core/config/mod.ts"
import { ROOT } from "../bootstrap.mjs"

export interface Contents {
  /** Names of ours, in the order of cli/builtins.ts, and of those left out. */
  readonly builtins: ReadonlyArray<string>
  readonly leftOut: ReadonlyArray<string>
  /** Third parties' plugins: the file of each by what the manifest calls it. */
  readonly included: ReadonlyMap<string, string>
  /** Their modules by path, as they were judged and, where there is a digest, verified: what is built in, whatever lies there by then. */
  readonly sources: ReadonlyMap<string, Uint8Array>
}

/** The manifest has faults, one line each. */
export class ManifestFaults extends Error {
  override readonly name = "ManifestFaults"
  readonly lines: ReadonlyArray<string>

  constructor(lines: ReadonlyArray<string>) {
    super(lines.join("\n"))
    this.lines = lines
  }
}

/** What the manifest in `file` names; undefined = all of ours. Throws {@link ManifestFaults}, or UnreadableFile. */
export async function contentsOf(file: string | undefined): Promise<Contents> {
  if (file === undefined) return contents(() => true, new Map(), new Map())
  const read = { ...readFile(file), loader: pluginLoader() }
  // The environment and --set are those of a start, not of a build.
  const { config, faults } = await loadConfiguration({ sets: [] }, read, {})
  if (config === undefined) throw new ManifestFaults(faults.map(formatFault))
  const external = [...(await loadExternal(read))]
  const files = new Map(
    external.flatMap(([use, found]) => ("place" in found ? [[use, found.place.entry] as const] : []))
  )
  const sources = new Map(external.flatMap(([, found]) => ("place" in found ? [...read.loader.code(found.place)] : [])))
  const chosen = new Set(config.plugins.map(({ plugin }) => plugin.name))
  return contents((name) => chosen.has(name), files, sources)
}

function contents(
  isChosen: (name: string) => boolean,
  included: Contents["included"],
  sources: Contents["sources"]
): Contents {
  const names = builtins.map(({ name }) => name)
  return { builtins: names.filter(isChosen), leftOut: names.filter((name) => !isChosen(name)), included, sources }
}

/** The source of the module that stands in for cli/builtins.ts. */
export function builtinsModule({ builtins, leftOut, included }: Contents): string {
  const ours = builtins.map((name) => join(ROOT, "plugins", name, "mod.ts"))
  const imports = [...ours, ...included.values()].map(
    (path, index) => `import { plugin as plugin${index} } from ${JSON.stringify(path)}`
  )
  const entries = [...included.keys()].map((use, index) => `[${JSON.stringify(use)}, plugin${ours.length + index}]`)
  return [
    ...imports,
    `export const builtins = [${ours.map((_, index) => `plugin${index}`).join(", ")}]`,
    `export const included = new Map([${entries.join(", ")}])`,
    `export const leftOut = ${JSON.stringify(leftOut)}`
  ].join("\n")
}
