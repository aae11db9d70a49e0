/**
 * What a plugin from disk may import by name: the host's own `manifold`, `effect` and `valibot`, so that its services and schemas
 * are the host's. Imported only where such a plugin is loaded: all of effect is much more than the broker's part of it.
 *
 * `effect/Schema` and the like are the parts of effect's own entry, and cost nothing beside it. Its other sub-paths (`effect/http`,
 * `effect/sql`, ...) are unstable and large, and `manifold/contracts` is for a plugin's own tests: none of them is given.
 */
import * as effect from "effect"
import * as valibot from "valibot"
import * as manifold from "../core/mod.ts"

/** By the name that a plugin writes. */
export const hostModules: ReadonlyMap<string, Readonly<Record<string, unknown>>> = new Map([
  ["manifold", manifold],
  ["effect", effect],
  ["valibot", valibot],
  ...partsOf(effect)
])

/** The modules that effect's entry exports as a whole: `Effect`, `Schema`. */
function partsOf(entry: object): ReadonlyArray<readonly [string, Readonly<Record<string, unknown>>]> {
  return Object.entries(entry).flatMap(([name, part]) =>
    /^[A-Z]/.test(name) && typeof part === "object" && part !== null ? [[`effect/${name}`, part] as const] : []
  )
}
