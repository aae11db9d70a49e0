/**
 * `manifold storage dump FILE`: what one file of a data directory holds, as lines for a person. The plugin that writes such files says it;
 * the command knows none. Exit code 1 where something is wrong with the file, which is told last.
 */
import { resolve } from "node:path"
import { Effect } from "effect"
import { Files } from "../../core/platform/Files.ts"
import { hostPlatform } from "../../core/platform/host.ts"
import type { PluginError } from "../../core/plugin/Plugin.ts"
import { type Arguments, UsageError } from "../arguments.ts"
import { type ConfigFile, loadOrTell } from "../configuration.ts"
import { fail, logLine, oneLine, say } from "../output.ts"

export async function storageDump(given: Arguments, file: ConfigFile): Promise<number> {
  const [operand] = given.operands
  if (operand === undefined)
    throw new UsageError("storage dump needs a file: storage dump data/store-0/segments/manifest")
  const config = await loadOrTell(given, file)
  if (config === undefined) return 1
  const withRecords = given.switches.has("--records")
  const dumping = Effect.gen(function* () {
    const files = yield* Files
    for (const { plugin } of config.plugins) {
      if (plugin.kind !== "storage" || plugin.dump === undefined) continue
      const found = yield* plugin.dump({ pathname: resolve(operand), files, withRecords, say })
      if (found !== undefined) return found
    }
    return undefined
  }).pipe(Effect.catch(({ message }: PluginError) => Effect.succeed(message)))
  const platform = hostPlatform((error) => logLine(`ERROR ${oneLine(error)}`))
  const found = await Effect.runPromise(dumping.pipe(Effect.provide(platform)))
  if (found === "") return 0
  fail(
    found === undefined ? `${operand}: no plugin of this configuration can say what it holds` : `${operand}: ${found}`
  )
  return 1
}
