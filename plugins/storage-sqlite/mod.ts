/** Storage in one SQLite database a store: key-value state and partitions that survive what the journal survives. */
import { join } from "node:path"
import { Effect, Layer } from "effect"
import {
  Clock,
  CONTRACT_VERSION,
  Engines,
  Files,
  type FilesShape,
  Journal,
  KeyValueStores,
  Log,
  PluginError,
  type StoragePlugin,
  Store,
  type StoredPart,
  Telemetry,
  Threads
} from "../../core/mod.ts"
import { ENGINE, makeSqliteEngine } from "./engine.ts"
import { inspect } from "./inspect.ts"
import { registerMetrics } from "./metrics.ts"
import { options, type Settings } from "./Settings.ts"
import { DATABASE_NAME, SqliteStore } from "./SqliteStore.ts"
import { StoreThread } from "./StoreThread.ts"
import { threadSource } from "./thread-source.ts"

const NAME = "storage-sqlite"

const failure = (error: { readonly message: string }): PluginError =>
  new PluginError({ plugin: NAME, message: error.message })

export const plugin = {
  name: NAME,
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "storage",
  runs: "shard",
  engines: [{ name: ENGINE, modes: ["hybrid", "persistent"] }],
  keyValueStore: "durable",
  options,
  inspect,
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const place = yield* Store
        const { directory } = place
        // A node that keeps nothing on disk has no durable state to keep.
        if (directory === undefined) return
        const journal = yield* Journal
        const clock = yield* Clock
        const log = yield* Log
        const files = yield* Files
        const threads = yield* Threads
        const store = yield* Effect.acquireRelease(
          Effect.tryPromise({
            try: () => {
              const thread = StoreThread.started(threads, threadSource())
              const topicName = (id: string): string | undefined => place.topicName(id)
              const settings = given as Settings
              return SqliteStore.open({ directory, journal, thread, files, clock, log, settings, topicName })
            },
            catch: (error) => failure(error instanceof Error ? error : new Error(String(error)))
          }),
          (opened) => Effect.promise(() => opened.close())
        )
        journal.register(store.checkpoints)
        yield* place.keeps(storedPart(store, files))
        yield* place.account(store.account)
        yield* registerMetrics(yield* Telemetry, store, { store: String(place.number) })
        const engines = yield* Engines
        const stores = yield* KeyValueStores
        yield* engines.register(ENGINE, makeSqliteEngine(store))
        yield* stores.register(ENGINE, store.keyValue)
      })
    )
} satisfies StoragePlugin

function storedPart(store: SqliteStore, files: FilesShape): StoredPart {
  return {
    name: NAME,
    copy: (directory) =>
      Effect.gen(function* () {
        const pathname = join(directory, DATABASE_NAME)
        const applied = yield* Effect.tryPromise({
          try: () => store.backupTo(pathname),
          catch: (error) => failure(error instanceof Error ? error : new Error(String(error)))
        })
        yield* Effect.acquireUseRelease(
          Effect.try({ try: () => files.openUnsafe(pathname, "write"), catch: (error) => failure(error as Error) }),
          (file) => Effect.tryPromise({ try: () => file.sync(), catch: (error) => failure(error as Error) }),
          (file) => Effect.sync(() => file.close())
        )
        return applied
      })
  }
}
