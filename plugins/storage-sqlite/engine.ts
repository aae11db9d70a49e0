/** The engine "sqlite": partitions of a store, opened for the life of a scope. */
import { Effect } from "effect"
import { type Engine, SqliteError, StorageError, Unusable } from "../../core/mod.ts"
import type { SqliteStore } from "./SqliteStore.ts"

export const ENGINE = "sqlite"

export function makeSqliteEngine(store: SqliteStore): Engine {
  const { partitions } = store
  return {
    modes: ["hybrid", "persistent"],
    isJournaled: true,
    open: (key, options) =>
      Effect.acquireRelease(
        Effect.tryPromise({
          try: () => store.prepare().then(() => partitions.acquire(key, options)),
          catch: asStorageError
        }),
        (partition) => Effect.promise(() => partitions.release(partition))
      ),
    remove: (key) => Effect.tryPromise({ try: () => partitions.remove(key), catch: asStorageError })
  }
}

function asStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  if (!(error instanceof SqliteError)) throw error
  return new StorageError({ engine: ENGINE, reason: new Unusable({ message: error.message }) })
}
