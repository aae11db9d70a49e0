/** What `compile` can build for: the runtimes that the npm registry has in the pinned version of Bun. */
import { nearestOf } from "../../core/config/mod.ts"
import { formatOfFile, targetOf } from "./executable-format.ts"

/** The last four are not in Bun's documented list; its registry packages are there and it builds for them. */
export const TARGETS = [
  "linux-x64",
  "linux-x64-musl",
  "linux-arm64",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
  "windows-arm64",
  "freebsd-x64",
  "freebsd-arm64",
  "linux-x64-android",
  "linux-arm64-android"
] as const

export type Target = (typeof TARGETS)[number]

/** What was typed makes no sense; the message says what would. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** The targets that were typed, each once; none = this machine's. Throws {@link UsageError}. */
export function chooseTargets(words: ReadonlyArray<string>): ReadonlyArray<Target> {
  if (words.length === 0) return [hostTarget()]
  return [...new Set(words.flatMap((word) => (word === "all" ? TARGETS : [readTarget(word)])))]
}

/** The target whose executables are like the one that runs this. */
export function hostTarget(): Target {
  return readTarget(targetOf(formatOfFile(process.execPath)))
}

/** `manifold-linux-x64`, `manifold-windows-x64.exe`. */
export function fileName(target: Target): string {
  return `manifold-${target}${target.startsWith("windows") ? ".exe" : ""}`
}

function readTarget(word: string): Target {
  const name = word.replace(/^bun-/, "")
  const target = TARGETS.find((known) => known === name)
  if (target !== undefined) return target
  const nearest = nearestOf(name, TARGETS)
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`
  throw new UsageError(`unknown target "${name}"; known: ${TARGETS.join(", ")}, all${hint}`)
}
