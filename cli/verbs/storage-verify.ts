/**
 * `manifold storage verify`: reads everything that the data directory holds, of a node that runs or of one that does not, and checks
 * every checksum. Nothing is changed. Exit code 1 where something is damaged, which is told with its place and what to do.
 */
import type { Arguments } from "../arguments.ts"
import type { ConfigFile } from "../configuration.ts"
import { tellStorage } from "../storage-report.ts"

export function storageVerify(given: Arguments, file: ConfigFile): Promise<number> {
  return tellStorage(given, file, "verify")
}
