/** The engines that plugins bring together. */
import type { EngineFact, Plugin } from "../plugin/Plugin.ts"

/** Those that are fed from the journal are there where it lies on disk: with a durable key-value store. */
export function enginesOf(plugins: ReadonlyArray<Plugin>): ReadonlyArray<EngineFact> {
  const storage = plugins.filter((plugin) => plugin.kind === "storage")
  const isDurable = storage.some(({ keyValueStore }) => keyValueStore === "durable")
  return storage.flatMap(({ engines, needsJournal }) => (needsJournal === true && !isDurable ? [] : engines))
}
