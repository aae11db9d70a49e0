/**
 * `manifold plugin list`: the plugins that the manifest starts, and the built-in ones that it does not; exit code 1 where the manifest
 * has faults, which are told.
 */
import { formatFault } from "../../core/config/mod.ts"
import type { Plugin } from "../../core/mod.ts"
import { PluginFault } from "../../core/plugin/PluginFault.ts"
import type { Arguments } from "../arguments.ts"
import { builtins } from "../builtins.ts"
import { type ConfigFile, loadConfiguration, loadExternal } from "../configuration.ts"
import { fail, say } from "../output.ts"
import { columns, outputOf, type PluginFacts, pluginFacts } from "../plugin-facts.ts"

/** What becomes of a plugin at `start`. */
type Listed = PluginFacts & { readonly state: "starts" | "does not start" | "starts when the manifest is right" }

export async function pluginList(given: Arguments, file: ConfigFile): Promise<number> {
  const output = outputOf(given)
  const external = await loadExternal(file)
  const { config, faults } = await loadConfiguration(given, file)
  for (const fault of faults) fail(formatFault(fault))
  const started = config?.plugins.map(({ plugin }) => plugin)
  const stateOf = (plugin: Plugin, isNamed: boolean): Listed["state"] => {
    if (started !== undefined) return started.includes(plugin) ? "starts" : "does not start"
    return isNamed ? "starts when the manifest is right" : "does not start"
  }
  const listed: Array<Listed> = []
  for (const plugin of builtins) {
    listed.push({ ...(await pluginFacts(plugin, plugin.name)), state: stateOf(plugin, false) })
  }
  let isRight = config !== undefined
  for (const [use, found] of external) {
    if ("fault" in found) continue
    try {
      const facts = await pluginFacts(found.plugin, use, found.place, file.loader)
      listed.push({ ...facts, state: stateOf(found.plugin, true) })
    } catch (error) {
      if (!(error instanceof PluginFault)) throw error
      fail(`plugin ${JSON.stringify(use)}: allowed: ${error.message}`)
      isRight = false
    }
  }
  for (const line of output === "json" ? [JSON.stringify(listed, undefined, 2)] : table(listed)) say(line)
  return isRight ? 0 : 1
}

function table(listed: ReadonlyArray<Listed>): ReadonlyArray<string> {
  const head = ["NAME", "KIND", "VERSION", "CONTRACT", "RUNS", "ORIGIN", "STATE", "DIGEST"]
  const rows = listed.map(({ name, kind, version, contractVersion, runs, origin, use, state, digest }) => [
    name,
    kind,
    version,
    String(contractVersion),
    runs,
    origin === "path" ? `path ${use}` : origin,
    state,
    digest ?? ""
  ])
  return columns([head, ...rows])
}
