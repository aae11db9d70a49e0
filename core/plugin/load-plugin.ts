/**
 * Plugins that lie on disk: located, verified, imported, judged. Whatever is wrong with one becomes one line.
 *
 * Invariants
 *  - Nothing of a plugin runs before its place, and its digest where it has one, have been found right.
 *  - Loading never rejects and always ends: an import that does not settle is given up (a loop that never ends is not).
 *  - One process has one loader: what is published to plugins and the guard over their code are for its whole life.
 */
import type { ClockShape } from "../platform/Clock.ts"
import type { Modules } from "../platform/Modules.ts"
import { checkPlugin } from "./check-plugin.ts"
import { locatePlugin, type PluginPlace } from "./locate-plugin.ts"
import type { Plugin } from "./Plugin.ts"
import { PluginFault, thrownMessage, thrownPlace } from "./PluginFault.ts"
import { PluginGuard } from "./PluginGuard.ts"
import { type CodeRules, walkPlugin } from "./plugin-code.ts"
import { digestOf } from "./plugin-digest.ts"

/** A module that has not been evaluated after this long never will be. */
export const IMPORT_TIMEOUT_MS = 10_000

/** A plugin, or why there is none: what would be right, and what is there instead. */
export type PluginFile =
  | {
      readonly plugin: Plugin
      /** Where it lies; absent = it is part of the executable. */
      readonly place?: PluginPlace
    }
  | {
      readonly fault: string
      /** What of the manifest's entry is wrong; absent = `use`. */
      readonly key?: "digest"
    }

export interface LoaderParts {
  readonly modules: Modules
  readonly clock: ClockShape
  /** What plugins may import from the host: the exports by the name of the module. */
  readonly host: ReadonlyMap<string, Readonly<Record<string, unknown>>>
}

export class PluginLoader {
  readonly #rules: CodeRules
  readonly #clock: ClockShape
  readonly #guard: PluginGuard
  /** A module is evaluated once in a process: asked again, the answer is the same. */
  readonly #loaded = new Map<string, Promise<PluginFile>>()
  /** The code that a digest was verified over, by entry. */
  readonly #verified = new Map<string, ReadonlyMap<string, Uint8Array>>()

  constructor({ modules, clock, host }: LoaderParts) {
    this.#rules = { modules, host: new Set(host.keys()) }
    this.#clock = clock
    this.#guard = new PluginGuard(this.#rules)
    modules.publish(host)
    modules.guard(this.#guard)
  }

  /** Loads the plugin that a manifest in the folder `base` names; `digest` is what the manifest says, in its form. */
  load(use: string, base: string, digest?: string): Promise<PluginFile> {
    const key = JSON.stringify([base, use, digest])
    const loaded = this.#loaded.get(key) ?? this.#load(use, base, digest)
    this.#loaded.set(key, loaded)
    return loaded
  }

  async #load(use: string, base: string, digest: string | undefined): Promise<PluginFile> {
    try {
      const place = locatePlugin(use, base, this.#rules.modules.files)
      const code = digest === undefined ? undefined : walkPlugin(place, this.#rules)
      const real = code === undefined ? undefined : digestOf(place, code)
      if (real !== digest) {
        const fault = `${real}, the digest of ${JSON.stringify(use)} as it lies in ${place.folder}: look at what changed there, then write this one`
        return { fault, key: "digest" }
      }
      this.#guard.add(place, code)
      if (code !== undefined) this.#verified.set(place.entry, code)
      return { plugin: checkPlugin(await this.#import(place)), place }
    } catch (error) {
      if (error instanceof PluginFault) return { fault: error.message }
      throw error
    }
  }

  /** The digest of the code that was verified; of a plugin without a digest, of what lies there now. Throws {@link PluginFault}. */
  digest(place: PluginPlace): string {
    return digestOf(place, this.code(place))
  }

  /** The modules that a digest is over, by real path: those that were verified, else those that lie there. Throws {@link PluginFault}. */
  code(place: PluginPlace): ReadonlyMap<string, Uint8Array> {
    return this.#verified.get(place.entry) ?? walkPlugin(place, this.#rules)
  }

  async #import(place: PluginPlace): Promise<unknown> {
    let giveUp = (): void => undefined
    const late = new Promise<never>((_, fail) => {
      giveUp = () => fail(new PluginFault(`a module that loads; this one has not after ${IMPORT_TIMEOUT_MS / 1000} s`))
    })
    const timer = this.#clock.after(IMPORT_TIMEOUT_MS, () => giveUp())
    try {
      return await Promise.race([this.#rules.modules.import(place.entry), late])
    } catch (error) {
      if (error instanceof PluginFault) throw error
      const says = `${thrownMessage(error)}${thrownPlace(error, place.folder)}`
      throw new PluginFault(`a module that loads; this one says: ${says}`)
    } finally {
      timer.cancel()
    }
  }
}
