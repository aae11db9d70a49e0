/**
 * `manifold config schema`: the JSON Schema of the whole configuration, with the plugins of this build and those that the manifest
 * names. `manifold.schema.json` in the repository is what it prints; docs/configuration.md says how editors use it.
 */
import { manifestSchema } from "../../core/config/json-schema.ts"
import type { Arguments } from "../arguments.ts"
import { builtins, leftOut } from "../builtins.ts"
import { type ConfigFile, loadExternal } from "../configuration.ts"
import { jsonText } from "../json-text.ts"
import { fail, say } from "../output.ts"

/** Exit code 1 where a plugin does not load: its part is missing. */
export async function configSchema(_: Arguments, file: ConfigFile): Promise<number> {
  const external = await loadExternal(file)
  const faults = [...external].flatMap(([use, found]) => ("fault" in found ? [{ use, fault: found.fault }] : []))
  for (const { use, fault } of faults) fail(`plugin ${JSON.stringify(use)}: allowed: ${fault}`)
  say(jsonText(await manifestSchema({ builtins, leftOut, external })))
  return faults.length === 0 ? 0 : 1
}
