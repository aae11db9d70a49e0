#!/usr/bin/env bun
/**
 * The `manifold` command. Exit codes: 0 it went well, 1 it failed, 2 what was typed makes no sense; each failure is told on stderr,
 * one line a fault.
 */
import { formatFault } from "../core/config/mod.ts"
import { type Arguments, readArguments, UsageError } from "./arguments.ts"
import { readConfiguration, UnreadableFile } from "./configuration.ts"
import { fail, oneLine, say } from "./output.ts"
import { start } from "./start.ts"
import { VERSION } from "./version.ts"

const FAILED = 1
const USAGE = 2

const HELP = `manifold ${VERSION}: one messaging runtime, one stored log. MQTT in, Kafka out.

  manifold start         [--config FILE] [--data DIR] [--set key=value]... [--insecure]
  manifold check-config  [--config FILE] [--data DIR] [--set key=value]...
  manifold version
  manifold help

  --config FILE     the configuration; without it ./manifold.toml if it is there, else the defaults
  --data DIR        the data directory (node.data)
  --set key=value   one setting, for instance protocol-mqtt.tcp=127.0.0.1:1883; lists by comma.
                    Order: file, then environment (MANIFOLD_PROTOCOL_MQTT__TCP), then --set; the later wins
  --insecure        allow addresses that other machines reach, though nobody has to log in`

async function main(words: ReadonlyArray<string>): Promise<number> {
  let given: Arguments
  try {
    given = readArguments(words)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    fail(`${error.message} (manifold help tells more)`)
    return USAGE
  }
  if (given.verb === "version") say(VERSION)
  else if (given.verb === "help") say(HELP)
  else return await withConfiguration(given)
  return 0
}

async function withConfiguration(given: Arguments): Promise<number> {
  try {
    const { config, faults, file } = await readConfiguration(given)
    if (config === undefined) {
      for (const fault of faults) fail(formatFault(fault))
      return FAILED
    }
    if (given.verb === "start") return await start(config, VERSION, given.insecure)
    say(`${file}: no faults`)
    return 0
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error
    fail(error.message)
    return FAILED
  }
}

/** The broker's own state is wrong, or a defect: the process ends, so that whoever watches it can start it again. */
function defect(error: unknown): never {
  fail(oneLine(error))
  process.exit(FAILED)
}

process.on("uncaughtException", defect)
process.on("unhandledRejection", defect)
main(process.argv.slice(2)).then((code) => process.exit(code), defect)
