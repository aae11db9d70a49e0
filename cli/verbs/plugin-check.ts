/**
 * `manifold plugin check [NAME | PATH | PACKAGE]`: loads the plugins of the manifest, or the one that is named, and tells their facts
 * or what is wrong; for one from disk that is the digest line for the manifest, too. Exit code 1 where something is wrong.
 *
 * What is named need not be in the manifest. A path as it is typed begins at the working directory; a package lies beside the manifest.
 */
import { resolve } from "node:path"
import { formatFault, nearestOf } from "../../core/config/mod.ts"
import type { PluginFile } from "../../core/plugin/load-plugin.ts"
import { isPath } from "../../core/plugin/locate-plugin.ts"
import { PluginFault } from "../../core/plugin/PluginFault.ts"
import type { Arguments } from "../arguments.ts"
import { builtins, included } from "../builtins.ts"
import {
  type ConfigFile,
  folderOf,
  isInstalled,
  loadConfiguration,
  loadExternal,
  loadPlugin,
  pluginsOnDisk
} from "../configuration.ts"
import { fail, say } from "../output.ts"
import { factLines, outputOf, type PluginFacts, pluginFacts } from "../plugin-facts.ts"

/** A plugin by what a manifest calls it. */
type Named = readonly [use: string, found: PluginFile]

/** Whether the one that is named may lie on disk. */
export function checkLoadsPlugin({ operands: [asked] }: Arguments): boolean {
  return asked !== undefined && !included.has(asked) && !builtins.some(({ name }) => name === asked)
}

export async function pluginCheck(given: Arguments, file: ConfigFile): Promise<number> {
  const output = outputOf(given)
  const [asked] = given.operands
  const found = asked === undefined ? await ofManifest(given, file) : await named(asked, file)
  if (found === undefined) return 1
  const right: Array<PluginFacts> = []
  for (const [use, one] of found) {
    try {
      if ("fault" in one) throw new PluginFault(one.fault)
      right.push(await pluginFacts(one.plugin, use, one.place, file.loader))
    } catch (error) {
      if (!(error instanceof PluginFault)) throw error
      fail(`plugin ${JSON.stringify(use)}: allowed: ${error.message}`)
    }
  }
  const lines = output === "json" ? [JSON.stringify(right, undefined, 2)] : right.flatMap(factLines)
  for (const line of lines) say(line)
  return right.length === found.length ? 0 : 1
}

/** What the manifest starts; undefined where it has faults, which have been told. */
async function ofManifest(given: Arguments, file: ConfigFile): Promise<ReadonlyArray<Named> | undefined> {
  const external = await loadExternal(file)
  const { config, faults } = await loadConfiguration(given, file)
  for (const fault of faults) fail(formatFault(fault))
  return config?.plugins.map(({ plugin }): Named => {
    const disk = [...external].find(([, found]) => "plugin" in found && found.plugin === plugin)
    return disk ?? [plugin.name, { plugin }]
  })
}

/** The one that is asked for, by its name, by what the manifest calls it, or by where it lies; undefined = there is none, as told. */
async function named(asked: string, file: ConfigFile): Promise<ReadonlyArray<Named> | undefined> {
  const ours: ReadonlyArray<Named> = [
    ...builtins.map((plugin): Named => [plugin.name, { plugin }]),
    ...[...included].map(([use, plugin]): Named => [use, { plugin }])
  ]
  const known = ours.find((one) => isAsked(asked, one))
  if (known !== undefined) return [known]
  const folder = folderOf(file)
  const entries = pluginsOnDisk(file)
  const entry = entries.find(({ use }) => use === asked)
  if (file.loader !== undefined && (entry !== undefined || isPath(asked) || isInstalled(asked, folder))) {
    const use = entry === undefined && isPath(asked) ? resolve(asked) : asked
    return [[asked, await loadPlugin(file.loader, use, folder, entry?.digest)]]
  }
  const byName = [...(await loadExternal(file))].find((one) => isAsked(asked, one))
  if (byName !== undefined) return [byName]
  const names = [...ours, ...entries.map(({ use }) => [use])].map(([use = ""]) => use)
  const nearest = nearestOf(asked, names)
  const hint = nearest === undefined ? "" : `; did you mean ${JSON.stringify(nearest)}?`
  const more = `a package in ${folder}/node_modules, or a path that begins with ./ ../ or /`
  fail(`plugin ${JSON.stringify(asked)}: allowed: ${names.join(", ")}, ${more}${hint}`)
  return undefined
}

function isAsked(asked: string, [use, found]: Named): boolean {
  return use === asked || ("plugin" in found && found.plugin.name === asked)
}
