/** Finds and reads the configuration that the command line asks for. */
import { readFileSync } from "node:fs"
import { type Loaded, loadConfig } from "../core/config/mod.ts"
import type { Arguments } from "./arguments.ts"
import { builtins } from "./builtins.ts"

/** Read without being asked for, where it lies in the working directory. */
export const DEFAULT_FILE = "manifold.toml"

/** The file that was asked for cannot be read. */
export class UnreadableFile extends Error {
  override readonly name = "UnreadableFile"
}

/** What became of the configuration, and the file's name, `defaults` where there is none. Throws {@link UnreadableFile}. */
export function readConfiguration(given: Arguments): Loaded & { readonly file: string } {
  const text = readText(given.config)
  const file = text === undefined ? "defaults" : (given.config ?? DEFAULT_FILE)
  return { ...loadConfig({ text, file, environment: process.env, sets: given.sets, builtins }), file }
}

function readText(asked: string | undefined): string | undefined {
  try {
    return readFileSync(asked ?? DEFAULT_FILE, "utf8")
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
    if (code === "ENOENT" && asked === undefined) return undefined
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "no such file",
      EACCES: "not permitted to read it",
      EISDIR: "it is a directory"
    }
    throw new UnreadableFile(`cannot read the configuration ${asked ?? DEFAULT_FILE}: ${reasons[code] ?? code}`)
  }
}
