/**
 * The verbs of the `manifold` command. Exit codes: 0 it went well, 1 it failed, 2 what was typed makes no sense; each failure is told
 * on stderr, one line a fault.
 */
import { join } from "node:path"
import { formatFault } from "../core/config/mod.ts"
import { type Arguments, readArguments, UsageError } from "./arguments.ts"
import { loadConfiguration, namesPluginFiles, readFile, UnreadableFile } from "./configuration.ts"
import { fail, say } from "./output.ts"
import { start } from "./start.ts"
import { VERSION } from "./version.ts"

const FAILED = 1
const USAGE = 2

const HELP = `manifold ${VERSION}: one messaging runtime, one stored log. MQTT in, Kafka out.

  manifold start         [--config FILE] [--data DIR] [--set key=value]... [--insecure]
  manifold check-config  [--config FILE] [--data DIR] [--set key=value]...
  manifold version
  manifold help

  --config FILE     the configuration; without it ./manifold.toml if it is there, else the defaults
  --data DIR        the data directory (node.data)
  --set key=value   one setting, for instance protocol-mqtt.tcp=127.0.0.1:1883; lists by comma.
                    Order: file, then environment (MANIFOLD_PROTOCOL_MQTT__TCP), then --set; the later wins
  --insecure        allow addresses that other machines reach, though nobody has to log in`

/**
 * Runs what was typed and returns the exit code. `publish` makes the host's modules known to plugins from disk; without it a
 * manifest that names one is handed to with-plugins.ts.
 */
export async function run(words: ReadonlyArray<string>, publish?: () => void): Promise<number> {
  let given: Arguments
  try {
    given = readArguments(words)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    fail(`${error.message} (manifold help tells more)`)
    return USAGE
  }
  if (given.verb === "version") say(VERSION)
  else if (given.verb === "help") say(HELP)
  else return await withConfiguration(given, words, publish)
  return 0
}

async function withConfiguration(
  given: Arguments,
  words: ReadonlyArray<string>,
  publish: (() => void) | undefined
): Promise<number> {
  try {
    const read = readFile(given.config)
    if (namesPluginFiles(read)) {
      if (publish === undefined) return await (await importWithPlugins()).run(words)
      publish()
    }
    const { config, faults } = await loadConfiguration(given, read)
    if (config === undefined) {
      for (const fault of faults) fail(formatFault(fault))
      return FAILED
    }
    if (given.verb === "start") return await start(config, VERSION, given.insecure)
    say(`${read.file}: no faults`)
    return 0
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error
    fail(error.message)
    return FAILED
  }
}

/**
 * By a computed name, so that the executable keeps it apart (scripts/compile.ts): it costs 10 MiB of memory, and few manifests need
 * it.
 */
async function importWithPlugins(): Promise<typeof import("./with-plugins.ts")> {
  const isSource = import.meta.path.endsWith(".ts")
  return await import(join(import.meta.dir, isSource ? "with-plugins.ts" : "dist/with-plugins.js"))
}
