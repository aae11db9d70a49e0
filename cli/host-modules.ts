/**
 * What a plugin from disk may import by name: the host's own `manifold`, `effect` and `valibot`, so that its services and schemas
 * are the host's. Imported only where a manifest names such a plugin.
 */
import * as effect from "effect"
import * as valibot from "valibot"
import * as manifold from "../core/mod.ts"

let published = false

/** Makes the host's modules known to the loader, once. */
export function publishHostModules(): void {
  if (published) return
  published = true
  Bun.plugin({
    name: "manifold host modules",
    setup(build) {
      build.module("manifold", () => ({ exports: manifold, loader: "object" }))
      build.module("effect", () => ({ exports: effect, loader: "object" }))
      build.module("valibot", () => ({ exports: valibot, loader: "object" }))
    }
  })
}
