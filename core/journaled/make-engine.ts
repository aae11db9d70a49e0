/** The engine that partitions fed from the journal make: opened for the life of a scope. */
import { Effect } from "effect"
import type { CompactionStore } from "../log/CompactionStore.ts"
import { type Engine, StorageError, Unusable } from "../log/Engines.ts"
import type { Checkpoints } from "./Checkpoints.ts"
import type { JournaledPartition } from "./JournaledPartition.ts"
import type { JournaledPartitions } from "./JournaledPartitions.ts"

export interface JournaledEngineParts {
  /** For messages: "sqlite". */
  readonly name: string
  readonly partitions: JournaledPartitions
  readonly checkpoints: Checkpoints
  /** What an error of the engine's own files says, for a person; undefined for one that nobody foresaw. */
  readonly explain: (error: unknown) => string | undefined
  readonly compaction: CompactionStore
}

export function makeJournaledEngine({
  name,
  partitions,
  checkpoints,
  explain,
  compaction
}: JournaledEngineParts): Engine {
  const asStorageError = (error: unknown): StorageError => {
    if (error instanceof StorageError) return error
    const message = explain(error)
    if (message === undefined) throw error
    return new StorageError({ engine: name, reason: new Unusable({ message }) })
  }
  return {
    modes: ["hybrid", "persistent"],
    isJournaled: true,
    isCopyTarget: true,
    compaction,
    reopens: {
      tryOpen: (key, options) => {
        if (!checkpoints.isPrepared) return undefined
        try {
          return partitions.acquire(key, options)
        } catch {
          // `open` says why.
          return undefined
        }
      },
      close: (partition) => partitions.release(partition as JournaledPartition)
    },
    open: (key, options) =>
      Effect.acquireRelease(
        Effect.tryPromise({
          try: () => checkpoints.prepare().then(() => partitions.acquire(key, options)),
          catch: asStorageError
        }),
        (partition) => Effect.promise(() => partitions.release(partition))
      ),
    trim: (key, limits) => partitions.trimLater(key, limits),
    remove: (key) => Effect.tryPromise({ try: () => partitions.remove(key), catch: asStorageError })
  }
}
