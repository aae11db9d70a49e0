/** `manifold storage stats`: what lies in the data directory, by store and part; reads no more than that takes. */
import type { Arguments } from "../arguments.ts"
import type { ConfigFile } from "../configuration.ts"
import { tellStorage } from "../storage-report.ts"

export function storageStats(given: Arguments, file: ConfigFile): Promise<number> {
  return tellStorage(given, file, "stats")
}
