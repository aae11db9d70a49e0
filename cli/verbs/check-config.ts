/** `manifold check-config`: every fault of the configuration, one line each; exit code 1 where there is one. */
import type { Arguments } from "../arguments.ts"
import { type ConfigFile, loadOrTell } from "../configuration.ts"
import { say } from "../output.ts"

export async function checkConfig(given: Arguments, file: ConfigFile): Promise<number> {
  const config = await loadOrTell(given, file)
  if (config === undefined) return 1
  say(`${file.file}: no faults`)
  return 0
}
