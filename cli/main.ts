/** The `manifold` command. Exit codes: 0 done, 1 failed, 2 not understood. */
import { formatFault } from "../core/config/mod.ts"
import { HELP, parseArguments } from "./arguments.ts"
import { readConfiguration } from "./configuration.ts"
import { oneLine, say, start } from "./start.ts"
import { VERSION } from "./version.ts"

const NOT_UNDERSTOOD = 2

/** A broken invariant or a forgotten rejection ends the process: what is wrong inside must not go on serving. */
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    say(`stopped by a fault of its own: ${error instanceof Error ? (error.stack ?? error.message) : oneLine(error)}`)
    process.exit(1)
  })
}

process.exit(await run(process.argv.slice(2)))

async function run(given: ReadonlyArray<string>): Promise<number> {
  const parsed = parseArguments(given)
  if ("usage" in parsed) {
    say(`${parsed.usage}\n${HELP}`)
    return NOT_UNDERSTOOD
  }
  switch (parsed.verb) {
    case "start":
      return start(parsed)
    case "check-config": {
      const { file, config, faults } = readConfiguration(parsed)
      for (const fault of faults) say(formatFault(fault))
      if (config !== undefined) process.stdout.write(`${file ?? "the defaults"}: no fault\n`)
      return config === undefined ? 1 : 0
    }
    case "version":
      process.stdout.write(`manifold ${VERSION}\n`)
      return 0
    case "help":
      process.stdout.write(HELP)
      return 0
  }
}
