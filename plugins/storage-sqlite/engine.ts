/** The engine "sqlite": partitions of a store's database. */
import { type Engine, makeJournaledEngine, SqliteError } from "../../core/mod.ts"
import type { SqliteStore } from "./SqliteStore.ts"

export const ENGINE = "sqlite"

export function makeSqliteEngine(store: SqliteStore): Engine {
  return makeJournaledEngine({
    name: ENGINE,
    partitions: store.partitions,
    checkpoints: store.checkpoints,
    compaction: store.compaction,
    explain: (error) => (error instanceof SqliteError ? error.message : undefined)
  })
}
