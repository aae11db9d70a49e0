/** The `manifold` command. Exit codes: 0 done, 1 failed, 2 not understood. */
import { formatFault } from "../core/config/mod.ts"
import { HELP, parseArguments } from "./arguments.ts"
import { readConfiguration } from "./configuration.ts"
import { fail, oneLine, say } from "./output.ts"
import { start } from "./start.ts"
import { VERSION } from "./version.ts"

const NOT_UNDERSTOOD = 2

/** A broken invariant or a forgotten rejection ends the process: what is wrong inside must not go on serving. */
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    fail(`stopped by a fault of its own: ${error instanceof Error ? (error.stack ?? error.message) : oneLine(error)}`)
    process.exit(1)
  })
}

process.exit(await run(process.argv.slice(2)))

async function run(given: ReadonlyArray<string>): Promise<number> {
  const parsed = parseArguments(given)
  if ("usage" in parsed) {
    fail(`${parsed.usage}\n${HELP}`)
    return NOT_UNDERSTOOD
  }
  switch (parsed.verb) {
    case "start":
      return start(parsed)
    case "check-config": {
      const { file, config, faults } = readConfiguration(parsed)
      for (const fault of faults) fail(formatFault(fault))
      if (config !== undefined) say(`${file ?? "the defaults"}: no fault`)
      return config === undefined ? 1 : 0
    }
    case "version":
      say(`manifold ${VERSION}`)
      return 0
    case "help":
      say(HELP.trimEnd())
      return 0
  }
}
