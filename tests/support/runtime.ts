/** What tests ask of the runtime that they run on, Bun or Deno. */
import { accessSync, constants } from "node:fs"
import { delimiter, join, resolve } from "node:path"

/** The repository's root. */
export const ROOT = resolve(import.meta.dirname, "../..")

export const IS_DENO = "Deno" in globalThis

/** What runs a file of this repository as a program, before its arguments. */
export function programCommand(file: string): ReadonlyArray<string> {
  if (!IS_DENO) return [process.execPath, file]
  const flags = ["--no-check", "--quiet", "--v8-flags=--expose-gc", "--config", join(ROOT, "deno.json")]
  return [process.execPath, "run", "-A", ...flags, file]
}

/** Where a program lies; undefined = it is not installed. */
export function programPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin", "/usr/bin"]
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** Collects garbage where the runtime lets us ask for it. */
export function collectGarbage(): void {
  if (IS_DENO) (globalThis as { gc?: () => void }).gc?.()
  else Bun.gc(true)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
