/**
 * `manifold start`: from a configuration to a broker, and back.
 *
 * Invariants
 *  - The `ready` line is the first of stdout, and is written when every listener accepts; the log is on stderr.
 *  - The first SIGTERM or SIGINT closes the scope, which is the graceful stop, and ends with 0; a second one ends with 1 at once.
 *  - Whatever goes wrong is one line on stderr and exit code 1, never a silent hang.
 */
import { Effect } from "effect"
import { type NodeOptions, StartError, startNode } from "../../core/node/mod.ts"
import { hostPlatform } from "../../core/platform/host.ts"
import type { Arguments } from "../arguments.ts"
import { type ConfigFile, loadOrTell } from "../configuration.ts"
import { fail, logLine, oneLine, say, writeLog } from "../output.ts"
import { readyLine, tryLines } from "../ready.ts"
import { VERSION } from "../version.ts"

/** Signals this close together are one. */
const SAME_SIGNAL_MS = 500
/** A graceful stop that takes longer has failed. */
const STOP_TIMEOUT_MS = 15_000

/** Runs until a signal; returns the exit code. */
export async function start(given: Arguments, file: ConfigFile): Promise<number> {
  const config = await loadOrTell(given, file)
  if (config === undefined) return 1
  const insecure = given.switches.has("--insecure")
  const stopped = onFirstSignal()
  const options: NodeOptions = {
    id: config.node.id,
    version: VERSION,
    dataDirectory: config.node.data,
    shards: config.node.shards,
    defaults: config.defaults,
    retained: config.retained,
    budget: config.budget,
    defaultTopic: config.topics,
    declared: config.declared,
    plugins: config.plugins,
    insecure,
    log: writeLog
  }
  if (insecure) logLine("WARN --insecure: whoever reaches these listeners may read and write everything")
  const serving = Effect.gen(function* () {
    const { listeners } = yield* startNode(options)
    // performance.now() counts from the start of the process: what an operator waits for.
    const { engine, mode } = options.defaultTopic
    say(readyLine({ id: options.id, shards: options.shards, engine, mode, listeners, startMs: performance.now() }))
    for (const line of tryLines(listeners)) say(line)
    return yield* Effect.never
  })
  const platform = hostPlatform((error) => logLine(`ERROR a connection was closed: ${oneLine(error)}`))
  const program = Effect.scoped(
    Effect.raceFirst(
      serving,
      Effect.promise(() => stopped)
    )
  )
  try {
    await Effect.runPromise(program.pipe(Effect.provide(platform)))
    return 0
  } catch (error) {
    fail(error instanceof StartError ? error.message : oneLine(error))
    return 1
  }
}

function onFirstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let firstMs: number | undefined
    const signalled = (name: NodeJS.Signals): void => {
      if (firstMs !== undefined) {
        // A terminal, and whoever started us in it, may each pass the same signal on.
        if (performance.now() - firstMs < SAME_SIGNAL_MS) return
        fail(`${name} again: ended at once`)
        process.exit(1)
      }
      firstMs = performance.now()
      logLine(`${name}: stopping`)
      setTimeout(() => {
        fail(`the graceful stop took longer than ${STOP_TIMEOUT_MS / 1000} s: ended`)
        process.exit(1)
      }, STOP_TIMEOUT_MS).unref()
      resolve()
    }
    process.on("SIGTERM", signalled)
    process.on("SIGINT", signalled)
  })
}
