/**
 * `backup`: what an administrator sees and does of backups of a node that runs. A backup takes as long as its bytes do, so `create`
 * begins one and answers at once; `get` tells how it goes.
 *
 * Invariants
 *  - One at a time: each holds the journals, which grow meanwhile.
 *  - The last {@link KEPT_MAX} are remembered, until the node ends; what lies on disk says the rest.
 *  - Closing the scope stops the one that is under way, and it is then no backup.
 */
import { Cause, Effect, Exit, type Scope } from "effect"
import * as v from "valibot"
import type { ClockShape } from "../platform/Clock.ts"
import { makePace } from "../platform/pace.ts"
import { thrownMessage } from "../plugin/PluginFault.ts"
import { type Page, type Resource, ResourceError } from "../resources/Resources.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { MoveGate } from "../topics/TopicMover.ts"
import { BackupError } from "./BackupError.ts"
import { type CreateBackupOptions, checkTarget, createBackup } from "./create-backup.ts"

/** Backups that are remembered. */
const KEPT_MAX = 16
const MIB = 1_048_576

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const schema = v.strictObject({
  id: v.string(),
  path: v.string(),
  state: v.picklist(["running", "done", "failed"]),
  started_at: v.string(),
  duration_ms: count,
  /** Of what is in it; 0 until it is done. */
  files: count,
  bytes: count,
  /** Why it failed; "" otherwise. */
  error: v.string()
})
type Item = v.InferOutput<typeof schema>

const input = v.strictObject({
  path: v.pipe(
    v.string(),
    v.minLength(1),
    v.maxLength(4_096),
    v.regex(/^\/|^[A-Za-z]:[\\/]|^\\\\/, "an absolute path, on the broker's machine"),
    v.check((path) => !path.includes("\0"), "a path without NUL"),
    v.description("the directory that the backup is made in, on the broker's machine; missing or empty")
  ),
  rate: v.optional(
    v.pipe(
      v.number(),
      v.minValue(0.001),
      v.maxValue(1_000_000),
      v.description("MiB a second at most; absent = all it can")
    )
  )
})

export interface BackupResourceOptions extends Omit<CreateBackupOptions, "target" | "pace" | "nowMs"> {
  readonly clock: ClockShape
  readonly log: Pick<LogShape, "info" | "warn">
  /** Moves of topics, which backups keep apart from; absent = there are none. */
  readonly gate?: MoveGate
}

interface Run {
  readonly id: string
  readonly path: string
  readonly startedAtMs: number
  readonly beganMs: number
  endedMs: number | undefined
  files: number
  bytes: number
  error: string
}

/** The resource of a node, which refuses where it has no store; backups run in the surrounding scope. */
export function backupResource(options: BackupResourceOptions): Effect.Effect<Resource, never, Scope.Scope> {
  return Effect.gen(function* () {
    const { clock, log, gate = { moves: 0, backups: 0 } } = options
    const scope = yield* Effect.scope
    const runs: Array<Run> = []
    let next = 1
    const itemOf = (run: Run): Item => ({
      id: run.id,
      path: run.path,
      state: run.endedMs === undefined ? "running" : run.error === "" ? "done" : "failed",
      started_at: new Date(run.startedAtMs).toISOString(),
      duration_ms: Math.round((run.endedMs ?? clock.monotonicMs()) - run.beganMs),
      files: run.files,
      bytes: run.bytes,
      error: run.error
    })
    const begin = (path: string, rate: number): Effect.Effect<Item, ResourceError> =>
      Effect.gen(function* () {
        if (options.stores.length === 0) {
          const message = "this node keeps nothing on disk: there is nothing to back up"
          return yield* new ResourceError({ reason: "refused", code: "nothing-stored", message })
        }
        if (runs.some(({ endedMs }) => endedMs === undefined)) {
          return yield* new ResourceError({
            reason: "conflict",
            code: "backup-running",
            message: "a backup is under way: wait until it is done"
          })
        }
        if (gate.moves > 0) {
          const message = "a topic is being moved to another engine: wait until that is done, or cancel it"
          return yield* new ResourceError({ reason: "conflict", code: "topic-moving", message })
        }
        yield* checkTarget(options.files, options.directory, path).pipe(
          Effect.mapError(({ message }) => new ResourceError({ reason: "refused", code: "backup-target", message }))
        )
        const run: Run = {
          id: String(next++),
          path,
          startedAtMs: clock.nowMs(),
          beganMs: clock.monotonicMs(),
          endedMs: undefined,
          files: 0,
          bytes: 0,
          error: ""
        }
        runs.push(run)
        gate.backups += 1
        if (runs.length > KEPT_MAX) runs.shift()
        const work = createBackup({ ...options, target: path, nowMs: clock.nowMs, pace: makePace(rate * MIB, clock) })
        yield* Effect.forkIn(
          Effect.onExit(work, (exit) =>
            Effect.sync(() => {
              run.endedMs = clock.monotonicMs()
              gate.backups -= 1
              if (Exit.isSuccess(exit)) {
                run.files = exit.value.files.length
                run.bytes = exit.value.files.reduce((sum, file) => sum + file.bytes, 0)
                log.info("backup", "done", { path, files: run.files, bytes: run.bytes })
                return
              }
              run.error = whyOf(exit.cause)
              log.warn("backup", "failed", { path, error: run.error })
            })
          ),
          scope
        )
        return itemOf(run)
      })
    return {
      name: "backup",
      plural: "backups",
      description: "Backups of this node since it started: consistent copies of what it keeps, made while it serves",
      schema,
      idMember: "id",
      list: ({ limit, cursor, filter }) =>
        Effect.sync((): Page<Item> => pageOf(runs.map(itemOf), limit, cursor, filter)),
      get: (id) => {
        const run = runs.find((each) => each.id === id)
        if (run !== undefined) return Effect.sync(() => itemOf(run))
        const message = `there is no backup ${JSON.stringify(id)}`
        return Effect.fail(new ResourceError({ reason: "not-found", code: "not-found", message }))
      },
      verbs: [
        {
          name: "create",
          description: "Begins a backup in a directory of the broker's machine that is missing or empty",
          kind: "create",
          input,
          run: (_id, given) => {
            const { path, rate } = v.parse(input, given)
            return begin(path, rate ?? Number.POSITIVE_INFINITY)
          }
        }
      ]
    }
  })
}

function whyOf(cause: Cause.Cause<BackupError>): string {
  if (Cause.hasInterrupts(cause)) return "it was stopped before it was done"
  const error = Cause.squash(cause)
  return error instanceof BackupError ? error.message : thrownMessage(error)
}

/** Cursors are the id that a page ended with. */
function pageOf(items: ReadonlyArray<Item>, limit: number, cursor: string, filter: string): Page<Item> {
  const left = items.filter(({ id }) => id.includes(filter) && Number(id) > Number(cursor))
  const page = left.slice(0, limit)
  const last = page.at(-1)
  return left.length > limit && last !== undefined ? { items: page, cursor: last.id } : { items: page }
}
