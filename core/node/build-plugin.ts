/**
 * Builds one plugin's layer in a scope. Whatever goes wrong, an expected failure, a throw or a promise that never settles, becomes
 * one line with the plugin's name.
 */
import { Cause, type Context, Effect, Layer, type Scope } from "effect"
import { type Plugin, PluginError } from "../plugin/Plugin.ts"
import { StartError } from "./StartError.ts"

/** A plugin that has not started after this long never will. */
const START_TIMEOUT_MS = 30_000

export function buildPlugin<Services>(
  plugin: Plugin,
  layer: () => Layer.Layer<never, PluginError, Services>,
  services: Context.Context<Services>,
  scope: Scope.Scope
): Effect.Effect<void, StartError> {
  const built = Effect.suspend(() =>
    Layer.buildWithScope(Layer.provide(layer(), Layer.succeedContext(services)), scope)
  )
  return built.pipe(
    Effect.timeoutOrElse({
      duration: START_TIMEOUT_MS,
      orElse: () =>
        Effect.fail(
          new PluginError({ plugin: plugin.name, message: `has not started after ${START_TIMEOUT_MS / 1000} s` })
        )
    }),
    Effect.asVoid,
    Effect.catchCause((cause) => Effect.fail(new StartError({ message: lineOf(plugin, Cause.squash(cause)) })))
  )
}

function lineOf(plugin: Plugin, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return `plugin ${plugin.name}: ${message.split("\n")[0] ?? ""}`
}
