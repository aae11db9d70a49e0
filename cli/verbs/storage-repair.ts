/**
 * `manifold storage repair`: says what could be made right in the data directory of a node that is stopped, and with `--apply` does it.
 * Exit code 0 where nothing is left to be done, 1 where something is, in a dry run too.
 */
import { Effect } from "effect"
import { FAILED, type RepairedStep, type RepairReport, repairDirectory } from "../../core/inspect/repair-directory.ts"
import { StartError } from "../../core/node/mod.ts"
import { Files } from "../../core/platform/Files.ts"
import { hostPlatform } from "../../core/platform/host.ts"
import { makePace } from "../../core/platform/pace.ts"
import { systemClock } from "../../core/platform/system.ts"
import { type Arguments, UsageError } from "../arguments.ts"
import { type ConfigFile, loadOrTell } from "../configuration.ts"
import { fail, logLine, note, oneLine, say } from "../output.ts"
import { outputOf } from "../plugin-facts.ts"
import { rateOf } from "../storage-report.ts"

export async function storageRepair(given: Arguments, file: ConfigFile): Promise<number> {
  const output = outputOf(given)
  const rate = rateOf(given)
  const { switches } = given
  if (switches.has("--truncate") && switches.has("--quarantine")) {
    throw new UsageError(
      "--truncate and --quarantine exclude each other: a log is cut, or what is broken is taken out of it"
    )
  }
  const config = await loadOrTell(given, file)
  if (config === undefined) return 1
  const broken = switches.has("--truncate") ? "truncate" : switches.has("--quarantine") ? "quarantine" : "leave"
  const repairing = Effect.gen(function* () {
    const files = yield* Files
    return yield* repairDirectory({
      directory: config.node.data,
      files,
      plugins: config.plugins,
      pace: makePace(rate, systemClock),
      nowMs: systemClock.nowMs(),
      isApplied: switches.has("--apply"),
      broken,
      rebuildsManifest: switches.has("--rebuild-manifest")
    })
  })
  const platform = hostPlatform((error) => logLine(`ERROR ${oneLine(error)}`))
  try {
    const report = await Effect.runPromise(repairing.pipe(Effect.provide(platform)))
    if (output === "json") say(JSON.stringify(asJson(report), undefined, 2))
    else for (const line of lines(report)) say(line)
    return tellLeft(report)
  } catch (error) {
    fail(error instanceof StartError ? error.message : oneLine(error))
    return 1
  }
}

function asJson({ directory, id, stores, isApplied, steps }: RepairReport): unknown {
  return {
    directory,
    id,
    stores,
    applied: isApplied,
    left: steps.filter(({ isDone }) => !isDone).length,
    steps: steps.map(({ store, owner, action, pathname, message, needs, isDone }) => ({
      ...{ store, owner, action, pathname, message },
      ...(needs === "" ? {} : { needs }),
      done: isDone
    }))
  }
}

function lines({ directory, id, steps }: RepairReport): ReadonlyArray<string> {
  if (steps.length === 0) return [`${directory}: id ${id}, nothing is to be repaired`]
  return [
    `${directory}: id ${id}, ${steps.length} ${steps.length === 1 ? "step" : "steps"}`,
    ...steps.map((step) => `store ${step.store}, ${step.owner}: ${stateOf(step)}: ${step.pathname}: ${step.message}`)
  ]
}

function stateOf({ isDone, action, needs }: RepairedStep): string {
  if (isDone) return "done"
  if (action === FAILED) return FAILED
  return needs === "" ? "to do" : `only with ${needs}`
}

/** Says what would have to be given, and returns the exit code. */
function tellLeft({ isApplied, steps }: RepairReport): number {
  const left = steps.filter(({ isDone }) => !isDone)
  if (left.length === 0) return 0
  const needs = [...new Set(left.map((step) => step.needs).filter((each) => each !== ""))]
  if (needs.length > 0) note(`something is left alone unless it is told: ${needs.join("; ")}`)
  if (!isApplied) note("nothing was changed; --apply does it")
  else fail(`${left.length} of ${steps.length} steps are not done`)
  return 1
}
