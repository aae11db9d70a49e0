/**
 * `manifold config print`: every key of the configuration that is in effect, with its value, and with `--origin` the layer that set
 * it. Of a configuration with faults it prints what was given, tells the faults and ends with exit code 1. Secrets are not shown.
 */
import {
  effectiveConfig,
  effectiveOrigins,
  effectiveToml,
  effectiveValues,
  formatFault
} from "../../core/config/mod.ts"
import { type Arguments, UsageError } from "../arguments.ts"
import { type ConfigFile, configSource } from "../configuration.ts"
import { fail, say } from "../output.ts"

const OUTPUTS: ReadonlyArray<string> = ["toml", "json"]

export async function configPrint(given: Arguments, file: ConfigFile): Promise<number> {
  const output = given.values.get("--output") ?? "toml"
  if (!OUTPUTS.includes(output)) {
    throw new UsageError(`unknown output ${JSON.stringify(output)}; known: ${OUTPUTS.join(", ")}`)
  }
  const withOrigin = given.switches.has("--origin")
  const { tables, faults } = effectiveConfig(await configSource(given, file))
  for (const fault of faults) fail(formatFault(fault))
  if (tables.length > 0) say(output === "json" ? json() : effectiveToml(tables, withOrigin).join("\n"))
  return faults.length === 0 ? 0 : 1

  function json(): string {
    const configuration = effectiveValues(tables)
    const told = withOrigin ? { configuration, origins: effectiveOrigins(tables) } : configuration
    return JSON.stringify(told, undefined, 2)
  }
}
