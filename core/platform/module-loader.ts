/** The loader of code from disk of the runtime that this process runs on. A build for Bun replaces it by Bun's own. */
import { bunModules } from "./bun/modules.ts"
import { denoModules } from "./deno/modules.ts"
import { IS_DENO } from "./host.ts"
import type { Modules } from "./Modules.ts"

export const hostModuleLoader: Modules = IS_DENO ? denoModules : bunModules
