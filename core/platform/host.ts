/** The platform of the runtime that this process runs on. A build for Bun replaces it by Bun's own. */
import type { Layer } from "effect"
import { bunPlatform } from "./bun/mod.ts"
import type { Clock } from "./Clock.ts"
import { denoPlatform } from "./deno/mod.ts"
import type { Files } from "./Files.ts"
import type { OnFault } from "./listening.ts"
import type { Net } from "./Net.ts"
import type { Random } from "./Random.ts"

export const IS_DENO = "Deno" in globalThis

export function hostPlatform(onFault: OnFault): Layer.Layer<Net | Clock | Random | Files> {
  return IS_DENO ? denoPlatform(onFault) : bunPlatform(onFault)
}
