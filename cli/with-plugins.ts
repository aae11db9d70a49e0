/**
 * The command once more, with everything that a plugin from disk may import by name. In the executable it is an entry of its own,
 * loaded only where a manifest names such a plugin: all of effect is much more than the broker's part of it.
 */
import { run as runCommand } from "./command.ts"
import { publishHostModules } from "./host-modules.ts"

export function run(words: ReadonlyArray<string>): Promise<number> {
  return runCommand(words, publishHostModules)
}
