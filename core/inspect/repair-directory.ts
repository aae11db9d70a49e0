/**
 * Has each storage plugin make right what it can of its files, in a data directory that no node uses; or tell what it would do.
 *
 * Invariants
 *  - The directory's lock is held all the while: a node that runs is never repaired under, and none starts meanwhile.
 *  - Journals, and what a plugin without a `repair` keeps, are left alone.
 *  - What a plugin answers is judged before anything of it is shown.
 */
import { join } from "node:path"
import { Effect } from "effect"
import * as v from "valibot"
import { verifyJournal } from "../journal/verify-journal.ts"
import { holdDataDirectory, JOURNAL_DIRECTORY, storeDirectoryOf } from "../node/data-directory.ts"
import type { StartError } from "../node/StartError.ts"
import type { FilesShape } from "../platform/Files.ts"
import type { Pace } from "../platform/pace.ts"
import type { RepairRequest, RepairStep } from "../plugin/Inspection.ts"
import type { Plugin, StoragePlugin } from "../plugin/Plugin.ts"
import { thrownMessage } from "../plugin/PluginFault.ts"

/** What stands for a step of a plugin that could not go on. */
export const FAILED = "failed"
/** Steps of a plugin in one store, at most. */
const STEPS_MAX = 1_000_000
const text = v.pipe(v.string(), v.maxLength(8_000))
const answers = v.pipe(
  v.array(
    v.object({
      action: v.pipe(v.string(), v.regex(/^[a-z][a-z-]{0,31}$/, "a word of a-z -")),
      pathname: text,
      message: text,
      needs: text,
      isDone: v.boolean()
    })
  ),
  v.maxLength(STEPS_MAX)
)

export interface RepairedStep extends RepairStep {
  readonly store: number
  /** The plugin whose files they are. */
  readonly owner: string
}

export interface RepairReport {
  readonly directory: string
  readonly id: string
  readonly stores: number
  readonly isApplied: boolean
  readonly steps: ReadonlyArray<RepairedStep>
}

export interface RepairDirectoryOptions
  extends Pick<RepairRequest, "nowMs" | "isApplied" | "broken" | "rebuildsManifest"> {
  readonly directory: string
  readonly files: FilesShape
  /** Those that the configuration starts, with their settings. */
  readonly plugins: ReadonlyArray<{ readonly plugin: Plugin; readonly options: unknown }>
  readonly pace: Pace
}

/** Fails where the directory is none of ours, is in use, or is a backup; then nothing was changed. */
export function repairDirectory(options: RepairDirectoryOptions): Effect.Effect<RepairReport, StartError> {
  const { directory, files, plugins, isApplied } = options
  return Effect.scoped(
    Effect.gen(function* () {
      const { id, stores } = yield* holdDataDirectory({ directory, files, holder: "manifold storage repair" })
      const steps: Array<RepairedStep> = []
      for (let store = 0; store < stores; store++) {
        const own = storeDirectoryOf(directory, store)
        const journalBegins = yield* beginOf(files, own)
        for (const { plugin, options: settings } of plugins) {
          if (plugin.kind !== "storage" || plugin.repair === undefined) continue
          const { nowMs, broken, rebuildsManifest, pace } = options
          const about = {
            store,
            directory: own,
            files,
            nowMs,
            pace,
            isApplied,
            broken,
            rebuildsManifest,
            journalBegins
          }
          const found = yield* askPlugin(plugin, plugin.repair, settings, about)
          for (const step of found) steps.push({ ...step, store, owner: plugin.name })
        }
      }
      return { directory, id, stores, isApplied, steps }
    })
  )
}

/** The entry before the first one that a store's journal holds; undefined where it is damaged, or holds none. */
function beginOf(files: FilesShape, store: string): Effect.Effect<number | undefined> {
  return verifyJournal(files, join(store, JOURNAL_DIRECTORY)).pipe(
    Effect.map(({ fault, entries, firstIndex }) => (fault === undefined && entries > 0 ? firstIndex - 1 : undefined)),
    Effect.catch(() => Effect.succeed(undefined))
  )
}

function askPlugin(
  { name }: StoragePlugin,
  repair: NonNullable<StoragePlugin["repair"]>,
  settings: unknown,
  request: RepairRequest
): Effect.Effect<ReadonlyArray<RepairStep>> {
  const failed = (message: string): ReadonlyArray<RepairStep> => [
    {
      action: FAILED,
      pathname: request.directory,
      message: `${name} could not go on: ${message}`,
      needs: "",
      isDone: false
    }
  ]
  const asked = (): ReturnType<typeof repair> => {
    const answer = repair(settings, request)
    return Effect.isEffect(answer) ? answer : Effect.die(new Error("it answers with no effect"))
  }
  return Effect.suspend(asked).pipe(
    Effect.map((answer) => {
      const parsed = v.safeParse(answers, answer)
      if (parsed.success) return parsed.output
      const [issue] = parsed.issues
      return failed(`it answers with ${v.getDotPath(issue) ?? "the answer"}: ${issue.message}`)
    }),
    Effect.catch((error) => Effect.succeed(failed(error.message))),
    Effect.catchDefect((defect) => Effect.succeed(failed(thrownMessage(defect))))
  )
}
