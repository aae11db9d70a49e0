/** Whether the broker keeps anything on disk: without storage-sqlite among its plugins there is nothing to prove. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ROOT } from "../support/runtime.ts"

export const HAS_DURABLE_STORAGE = readFileSync(join(ROOT, "cli/builtins.ts"), "utf8").includes(
  "plugins/storage-sqlite/mod.ts"
)
