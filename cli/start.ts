/** `manifold start`: a node from the configuration until a signal ends it. */
import { Cause, Effect, Exit } from "effect"
import { type Config, formatFault } from "../core/config/mod.ts"
import { startNode } from "../core/node/mod.ts"
import { bunPlatform } from "../core/platform/bun/mod.ts"
import type { Arguments } from "./arguments.ts"
import { readConfiguration } from "./configuration.ts"
import { fail, logLine, oneLine, say } from "./output.ts"
import { readyLine, tryLines } from "./ready.ts"
import { VERSION } from "./version.ts"

const FAILURE = 1

/** Runs until SIGINT or SIGTERM; returns the exit code. A second signal ends the process at once. */
export async function start(given: Arguments): Promise<number> {
  const { config, faults } = readConfiguration(given)
  if (config === undefined) {
    for (const fault of faults) fail(formatFault(fault))
    return FAILURE
  }
  if (given.insecure) logLine("warning: --insecure: whoever reaches a listener may do everything, without logging in")
  const stopped = Effect.callback<void>((resume) => {
    let signals = 0
    const onSignal = (): void => {
      signals += 1
      if (signals > 1) process.exit(FAILURE)
      resume(Effect.void)
    }
    process.on("SIGINT", onSignal)
    process.on("SIGTERM", onSignal)
  })
  const program = Effect.gen(function* () {
    const info = yield* startNode(nodeOptions(config, given))
    // performance.now counts from the start of the process: what an operator waits for.
    const startMs = performance.now()
    const { engine, mode } = config.topics
    const { listeners } = info
    say(readyLine({ id: config.node.id, shards: config.node.shards, engine, mode, listeners, startMs }))
    for (const line of tryLines(listeners)) say(`  ${line}`)
    yield* stopped
  })
  const platform = bunPlatform((error) => logLine(`a connection failed: ${oneLine(error)}`))
  const exit = await Effect.runPromiseExit(Effect.scoped(program).pipe(Effect.provide(platform)))
  if (Exit.isSuccess(exit)) return 0
  fail(oneLine(Cause.squash(exit.cause)))
  return FAILURE
}

function nodeOptions(config: Config, given: Arguments): Parameters<typeof startNode>[0] {
  const { engine, mode, partitions } = config.topics
  return {
    id: config.node.id,
    version: VERSION,
    dataDirectory: given.data ?? config.node.data,
    shards: config.node.shards,
    defaults: config.defaults,
    defaultTopic: { engine, mode, partitions },
    declared: config.declared,
    plugins: config.plugins,
    insecure: given.insecure,
    log: logLine
  }
}
