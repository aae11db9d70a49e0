/**
 * `manifold storage verify` and `stats`: which directory, read how fast, and what was found, one line a part. What is there is told
 * by core and by the plugins that wrote it; the command knows no file.
 */
import { Effect } from "effect"
import { type DirectoryReport, type InspectedPart, inspectDirectory } from "../core/inspect/inspect-directory.ts"
import { inspectJournal } from "../core/inspect/inspect-journal.ts"
import { StartError } from "../core/node/mod.ts"
import { Files } from "../core/platform/Files.ts"
import { hostPlatform } from "../core/platform/host.ts"
import { makePace } from "../core/platform/pace.ts"
import { systemClock } from "../core/platform/system.ts"
import type { InspectionRequest } from "../core/plugin/Inspection.ts"
import { type Arguments, UsageError } from "./arguments.ts"
import { type ConfigFile, loadOrTell } from "./configuration.ts"
import { fail, logLine, note, oneLine, say } from "./output.ts"
import { columns, outputOf } from "./plugin-facts.ts"
import { partitionsAsJson, partitionTables } from "./storage-partitions.ts"

/** Bytes of what a rate may be given in. */
const UNITS: Readonly<Record<string, number>> = { KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 }

/** Looks through the directory that the configuration names, and tells; returns the exit code. */
export async function tellStorage(
  given: Arguments,
  file: ConfigFile,
  depth: InspectionRequest["depth"]
): Promise<number> {
  const output = outputOf(given)
  const rate = rateOf(given)
  const config = await loadOrTell(given, file)
  if (config === undefined) return 1
  const looking = Effect.gen(function* () {
    const files = yield* Files
    const pace = makePace(rate, systemClock)
    const pause = (milliseconds: number): Promise<void> =>
      new Promise((resolve) => void systemClock.after(milliseconds, resolve))
    return yield* inspectDirectory({
      directory: config.node.data,
      files,
      depth,
      plugins: config.plugins,
      pace,
      inspectJournal: (request) => inspectJournal(request, pause)
    })
  })
  const platform = hostPlatform((error) => logLine(`ERROR ${oneLine(error)}`))
  try {
    const report = await Effect.runPromise(looking.pipe(Effect.provide(platform)))
    if (output === "json") say(JSON.stringify(asJson(report, depth), undefined, 2))
    else for (const line of table(report, depth)) say(line)
    return tellDamage(report) ? 1 : 0
  } catch (error) {
    fail(error instanceof StartError ? error.message : oneLine(error))
    return 1
  }
}

/** Bytes a second at most, from `--rate 50` (MiB) or `--rate 512KiB`; without it as fast as it goes. Throws {@link UsageError}. */
export function rateOf({ values }: Arguments): number {
  const asked = values.get("--rate")
  if (asked === undefined) return Number.POSITIVE_INFINITY
  const [, digits = "0", unit = "MiB"] = /^(\d{1,6}(?:\.\d{1,3})?)(KiB|MiB|GiB)?$/.exec(asked) ?? []
  const rate = Number(digits) * (UNITS[unit] ?? 0)
  if (rate <= 0) throw new UsageError(`--rate is ${JSON.stringify(asked)}; expected MiB a second: --rate 50`)
  return rate
}

function asJson(report: DirectoryReport, depth: InspectionRequest["depth"]): unknown {
  const { directory, id, createdBy, stores, parts } = report
  const isDamaged = parts.some(({ damage }) => damage.length > 0)
  return {
    ...{ directory, id, created_by: createdBy, stores, damaged: isDamaged },
    parts: parts.map(({ partitions: _told, ...part }) => part),
    ...(depth === "stats" && partitionsAsJson(report))
  }
}

function table(report: DirectoryReport, depth: InspectionRequest["depth"]): ReadonlyArray<string> {
  const { directory, id, stores, parts } = report
  const isVerify = depth === "verify"
  const head = ["STORE", "PART", "OWNER", "BYTES", ...(isVerify ? ["STATE"] : []), "COUNTS"]
  const rows = parts.map((part) => [
    String(part.store),
    part.part,
    part.owner,
    String(part.bytes),
    ...(isVerify ? [stateOf(part)] : []),
    Object.entries(part.counts)
      .map(([name, value]) => `${name}=${value}`)
      .join(" ")
  ])
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
  return [
    `${directory}: id ${id}, ${stores} ${stores === 1 ? "store" : "stores"}, ${bytes} bytes`,
    ...columns([head, ...rows]),
    ...(isVerify ? [] : partitionTables(report))
  ]
}

function stateOf({ damage, part }: InspectedPart): string {
  if (damage.length > 0) return "damaged"
  return part === "unknown" ? "not checked" : "whole"
}

/** One line each for what is damaged and what is good to know; whether anything is damaged. */
function tellDamage({ parts }: DirectoryReport): boolean {
  let isDamaged = false
  for (const { store, part, owner, damage, notes } of parts) {
    const where = `store ${store}, ${part} (${owner})`
    for (const text of notes) note(`${where}: ${text}`)
    for (const { pathname, position, message, remedy } of damage) {
      isDamaged = true
      fail(`${where}: ${pathname}:${position === undefined ? "" : ` byte ${position}:`} ${message}: ${remedy}`)
    }
  }
  return isDamaged
}
