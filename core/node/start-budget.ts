/** The budget of a node's data directory, made of the stores of its shards; a node that keeps nothing on disk has none. */
import { Effect, type Scope } from "effect"
import { registerBudget } from "../budget/budget-metrics.ts"
import { type BudgetedStore, DataBudget } from "../budget/DataBudget.ts"
import type { StorageAccount } from "../budget/StorageAccount.ts"
import type { StorageRoom } from "../budget/StorageBudget.ts"
import type { DiskJournal } from "../journal/DiskJournal.ts"
import { atMost } from "../platform/at-most.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { FilesShape } from "../platform/Files.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"
import type { NodeOptions } from "./NodeOptions.ts"

/** A store that has not said what it takes after so long counts for nothing until it has. */
const FIRST_LOOK_MS = 5_000

export interface StartBudgetParts {
  readonly options: NodeOptions
  readonly shards: ReadonlyArray<{
    readonly disk: DiskJournal | undefined
    readonly accounts: () => ReadonlyArray<StorageAccount>
  }>
  readonly room: StorageRoom
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  readonly telemetry: TelemetryShape
}

/** Looks for the life of the surrounding scope; done after the first look, so that a node does not begin by filling what is full. */
export function startBudget(parts: StartBudgetParts): Effect.Effect<void, never, Scope.Scope> {
  const { options, room, files, clock, log, telemetry } = parts
  const stores: Array<BudgetedStore> = []
  for (const { disk, accounts } of parts.shards) {
    if (disk !== undefined) {
      stores.push({ journal: () => disk.fileBytes, writtenBytes: () => disk.bytes, accounts })
    }
  }
  if (stores.length === 0) return Effect.void
  const freeBytes = (): Promise<number> => Effect.runPromise(files.freeBytes(options.dataDirectory))
  const budget = new DataBudget({ stores, freeBytes, limits: options.budget, room, clock, log })
  return Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.sync(() => budget.close()))
    yield* registerBudget(telemetry, budget, room, options.budget)
    yield* atMost(
      Effect.promise(() => budget.start()),
      FIRST_LOOK_MS,
      clock,
      { failed: () => {}, late: () => log.warn("storage", "a store has not said yet what it takes on disk") }
    )
  })
}
