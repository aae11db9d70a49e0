/**
 * Stands between a runtime and every module that plugins from disk import, for the life of the process.
 *
 * Invariants
 *  - A module that belongs to a plugin is given as it was judged; with a digest, as it was hashed, and no other file of that folder.
 *  - A path belongs to the plugin with the innermost folder around it. A plugin with a digest has its folder to itself, so that no other
 *    plugin's rules can stand in for its own.
 */
import type { ModuleGuard } from "../platform/Modules.ts"
import { isInside, type PluginPlace, pathIn } from "./locate-plugin.ts"
import { PluginFault } from "./PluginFault.ts"
import { type CodeRules, judgeImport, readModule } from "./plugin-code.ts"

interface Guarded {
  readonly place: PluginPlace
  /** The modules that a digest was verified over; undefined = it has none. */
  readonly verified: ReadonlyMap<string, Uint8Array> | undefined
}

export class PluginGuard implements ModuleGuard {
  readonly #rules: CodeRules
  readonly #plugins: Array<Guarded> = []

  constructor(rules: CodeRules) {
    this.#rules = rules
  }

  /** From now on the plugin's modules can be loaded. Throws {@link PluginFault}. */
  add(place: PluginPlace, verified: ReadonlyMap<string, Uint8Array> | undefined): void {
    const added = { place, verified }
    for (const other of this.#plugins) {
      for (const [outer, inner] of [[added, other] as const, [other, added] as const]) {
        if (outer.verified === undefined || !isInside(outer.place.folder, inner.place.folder)) continue
        const both = `${JSON.stringify(outer.place.use)} and ${JSON.stringify(inner.place.use)} share ${outer.place.folder}`
        throw new PluginFault(`a folder of its own for a plugin with a digest; ${both}`)
      }
    }
    this.#plugins.push(added)
  }

  readonly resolve = (specifier: string, importer: string): void => {
    const plugin = this.#ownerOf(importer)
    if (plugin !== undefined) judgeImport({ specifier, kind: "dynamic-import" }, importer, plugin.place, this.#rules)
  }

  readonly load = (path: string): Uint8Array | undefined => {
    const real = this.#rules.modules.files.realPath(path) ?? path
    const plugin = this.#ownerOf(real)
    if (plugin === undefined) {
      const { place } = this.#ownerOf(path) ?? {}
      if (place === undefined) return undefined
      throw new PluginFault(
        `code that stays in its folder ${place.folder}; ${pathIn(place.folder, path)} leads to ${real}`
      )
    }
    const { place, verified } = plugin
    if (verified === undefined) return readModule(real, place, this.#rules)
    const bytes = verified.get(real)
    if (bytes !== undefined) return bytes
    const name = JSON.stringify(pathIn(place.folder, real))
    throw new PluginFault(
      `code that its digest covers; ${name} is imported by a computed name, which it cannot: write it out`
    )
  }

  #ownerOf(path: string): Guarded | undefined {
    let owner: Guarded | undefined
    for (const plugin of this.#plugins) {
      const { folder } = plugin.place
      if (isInside(folder, path) && folder.length > (owner?.place.folder.length ?? -1)) owner = plugin
    }
    return owner
  }
}
