/**
 * The command once more, with everything that plugins from disk need. In the executable it is an entry of its own, loaded only where
 * such a plugin is named: all of effect is much more than the broker's part of it.
 */
import { hostModuleLoader } from "../core/platform/module-loader.ts"
import { systemClock } from "../core/platform/system.ts"
import { PluginLoader } from "../core/plugin/load-plugin.ts"
import { run as runCommand } from "./command.ts"
import type { ConfigFile } from "./configuration.ts"
import { hostModules } from "./host-modules.ts"

let loader: PluginLoader | undefined

/** The one loader of this process. */
export function pluginLoader(): PluginLoader {
  loader ??= new PluginLoader({ modules: hostModuleLoader, clock: systemClock, host: hostModules })
  return loader
}

export function run(words: ReadonlyArray<string>, read: ConfigFile): Promise<number> {
  return runCommand(words, pluginLoader, read)
}
