/**
 * Where what the bench installs lies, and how one thing is installed: by a registry's own client, into the cache folder, once.
 *
 * Invariants
 *  - Nothing is written outside the cache folder, and nothing of what is installed lies in the repository.
 *  - A thing is there when its `path` is: an install that failed half way is done again.
 */
import { spawnSync } from "node:child_process"
import { homedir } from "node:os"
import { join } from "node:path"

/** A program that can be started. */
export interface Installed {
  readonly path: string
  /** What it needs beside this process's variables (a library path, say). */
  readonly environment: Readonly<Record<string, string>>
}

/** `--cache DIR`, else the user's cache folder. */
let cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "manifold-bench")

export function cacheFolder(): string {
  return cache
}

export function useCacheFolder(folder: string): void {
  cache = folder
}

/** An install takes at most this long: rumqttd is compiled with all that it needs. */
const INSTALL_MS_MAX = 30 * 60_000
/** The last lines of what a failed command said. */
const REASON_LINES = 3

export interface Step {
  readonly command: readonly string[]
  readonly folder: string
  readonly environment?: Readonly<Record<string, string>>
}

/** Runs `steps` one after the other; returns why the first that failed did, or undefined. */
export function runSteps(steps: readonly Step[]): string | undefined {
  for (const { command, folder, environment } of steps) {
    const [program = "", ...rest] = command
    const run = spawnSync(program, rest, {
      cwd: folder,
      encoding: "utf8",
      timeout: INSTALL_MS_MAX,
      env: { ...process.env, ...environment }
    })
    if (run.error !== undefined) return `${program}: ${run.error.message}`
    if (run.status !== 0) return `${command.join(" ")}: ${reasonOf(run.stderr || run.stdout)}`
  }
  return undefined
}

/** The end of what a command said, on one line. */
export function reasonOf(output: string): string {
  const lines = output.split("\n").map((line) => line.trim())
  const said = lines.filter((line) => line !== "").slice(-REASON_LINES)
  return said.length === 0 ? "it failed without a word" : said.join(" | ")
}
