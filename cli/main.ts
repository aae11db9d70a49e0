#!/usr/bin/env bun
/** The `manifold` command: its process. What it does is in command.ts. */
import { run } from "./command.ts"
import { fail, oneLine } from "./output.ts"

const FAILED = 1

/** The broker's own state is wrong, or a defect: the process ends, so that whoever watches it can start it again. */
function defect(error: unknown): never {
  fail(oneLine(error))
  process.exit(FAILED)
}

process.on("uncaughtException", defect)
process.on("unhandledRejection", defect)
run(process.argv.slice(2)).then((code) => process.exit(code), defect)
