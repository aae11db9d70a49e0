/** Finds and loads the configuration that the arguments name. */
import { existsSync, readFileSync } from "node:fs"
import { type Config, type Fault, loadConfig } from "../core/config/mod.ts"
import type { Arguments } from "./arguments.ts"
import { builtins } from "./builtins.ts"

/** Read from the working directory when no other file is named. */
export const DEFAULT_FILE = "manifold.toml"

export interface Configuration {
  /** The file that was read; undefined = none, the defaults. */
  readonly file: string | undefined
  readonly config: Config | undefined
  readonly faults: ReadonlyArray<Fault>
}

export function readConfiguration(given: Arguments): Configuration {
  const file = given.config ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined)
  let text: string | undefined
  try {
    text = file === undefined ? undefined : readFileSync(file, "utf8")
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error)
    const fault = { key: "--config", source: file ?? "", found, allowed: "a file that can be read" }
    return { file, config: undefined, faults: [fault] }
  }
  const loaded = loadConfig({
    text,
    file: file ?? "defaults",
    environment: process.env,
    sets: given.sets,
    builtins
  })
  return { file, ...loaded }
}
