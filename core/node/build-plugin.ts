/**
 * Builds one plugin's layer in a scope of its own within the node's. Whatever goes wrong, an expected failure, a throw or a promise
 * that never settles, becomes one line with the plugin's name; a plugin that does not close is left behind.
 */
import { Cause, type Context, Effect, Layer, Scope } from "effect"
import { atMost } from "../platform/at-most.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { Plugin, PluginError } from "../plugin/Plugin.ts"
import type { LogShape } from "../telemetry/Log.ts"
import { StartError } from "./StartError.ts"

/** A plugin that has not started after this long never will. */
export const START_TIMEOUT_MS = 30_000
/** One that has not closed after this long is left to itself: the others must be closed too. */
export const STOP_TIMEOUT_MS = 5_000

export interface PluginBuilder {
  readonly scope: Scope.Scope
  readonly clock: ClockShape
  readonly log: LogShape
}

export function buildPlugin<Services>(
  plugin: Plugin,
  layer: () => Layer.Layer<never, PluginError, Services>,
  services: Context.Context<Services>,
  { scope, clock, log }: PluginBuilder
): Effect.Effect<void, StartError> {
  return Effect.gen(function* () {
    const own = Scope.makeUnsafe()
    yield* Scope.addFinalizerExit(scope, (exit) =>
      atMost(Scope.close(own, exit), STOP_TIMEOUT_MS, clock, {
        failed: (cause) => log.error("plugins", `${lineOf(plugin, Cause.squash(cause))} (while it closed)`),
        late: () => log.error("plugins", `plugin ${plugin.name}: has not closed after ${STOP_TIMEOUT_MS / 1000} s`)
      })
    )
    let failure: StartError | undefined
    const built = Effect.suspend(() =>
      Layer.buildWithScope(Layer.provide(layer(), Layer.succeedContext(services)), own)
    )
    yield* atMost(built, START_TIMEOUT_MS, clock, {
      failed: (cause) => {
        failure ??= new StartError({ message: lineOf(plugin, Cause.squash(cause)) })
      },
      late: () => {
        const message = `plugin ${plugin.name}: has not started after ${START_TIMEOUT_MS / 1000} s`
        failure = new StartError({ message })
      }
    })
    if (failure !== undefined) return yield* failure
  })
}

function lineOf(plugin: Plugin, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return `plugin ${plugin.name}: ${message.split("\n")[0] ?? ""}`
}
