/**
 * Runs the verb that was typed: one of the command's table, else one that a running broker tells of. Exit codes: 0 it went well, 1 it failed, 2 what was typed makes no sense; each failure is told on
 * stderr, one line a fault.
 */
import type { PluginLoader } from "../core/plugin/load-plugin.ts"
import { type Arguments, readArguments, startsWithVerb, UsageError } from "./arguments.ts"
import { type ConfigFile, namesPluginFiles, readFile, UnreadableFile } from "./configuration.ts"
import { importWithPlugins } from "./import-with-plugins.ts"
import { fail } from "./output.ts"
import { CallFailed } from "./resource/client.ts"
import { runResource } from "./verbs/resource.ts"
import { type Verb, verbs } from "./verbs.ts"

const FAILED = 1
const USAGE = 2

/**
 * Runs what was typed and returns the exit code. `loader` gives what loads plugins from disk; without it, what names one is handed to
 * with-plugins.ts, with the file that was read: a pipe can be read only once.
 */
export async function run(
  words: ReadonlyArray<string>,
  loader?: () => PluginLoader,
  read?: ConfigFile
): Promise<number> {
  try {
    if (!startsWithVerb(words, verbs)) return await runResource(words, verbs)
    const given = readArguments(words, verbs)
    const verb = verbs.find(({ name }) => name === given.verb) as Verb
    return verb.reads === "nothing" ? await verb.run(given) : await configured(verb, given, words, loader, read)
  } catch (error) {
    if (error instanceof UsageError) {
      fail(`${error.message} (manifold help tells more)`)
      return USAGE
    }
    if (!(error instanceof UnreadableFile || error instanceof CallFailed)) throw error
    fail(error.message)
    return FAILED
  }
}

async function configured(
  verb: Extract<Verb, { reads: "configuration" }>,
  given: Arguments,
  words: ReadonlyArray<string>,
  loader: (() => PluginLoader) | undefined,
  read: ConfigFile | undefined
): Promise<number> {
  const file = read ?? readFile(given.config)
  if (!namesPluginFiles(file) && verb.loadsPlugins?.(given) !== true) return await verb.run(given, file)
  if (loader === undefined) return await (await importWithPlugins()).run(words, file)
  return await verb.run(given, { ...file, loader: loader() })
}
