/**
 * Whether the broker keeps anything on disk: without storage-sqlite among its plugins there is nothing to prove. MANIFOLD_CRASH_DURABLE=1
 * says so of a broker that MANIFOLD_TEST_COMMAND starts.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ROOT } from "../support/runtime.ts"

export const HAS_DURABLE_STORAGE =
  process.env.MANIFOLD_CRASH_DURABLE === "1" ||
  readFileSync(join(ROOT, "cli/builtins.ts"), "utf8").includes("plugins/storage-sqlite/mod.ts")
