/** Storage in process memory: partitions and key-value state that may be lost on restart. */
import { Effect, Layer } from "effect"
import {
  Clock,
  CONTRACT_VERSION,
  Engines,
  KeyValueStores,
  type StoragePlugin,
  Store,
  Telemetry
} from "../../core/mod.ts"
import { ENGINE, makeMemoryEngine } from "./engine.ts"
import { MemoryKeyValueStore } from "./MemoryKeyValueStore.ts"
import { registerMetrics } from "./metrics.ts"
import { options, type Settings } from "./Settings.ts"

export const plugin = {
  name: "storage-memory",
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "storage",
  runs: "shard",
  engines: [{ name: ENGINE, modes: ["memory"] }],
  keyValueStore: "memory",
  options,
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const clock = yield* Clock
        const engines = yield* Engines
        const stores = yield* KeyValueStores
        const { number } = yield* Store
        const engine = yield* Effect.acquireRelease(
          Effect.sync(() => makeMemoryEngine(given as Settings, clock)),
          (made) => Effect.sync(() => made.close())
        )
        yield* registerMetrics(yield* Telemetry, engine, { store: String(number) })
        yield* engines.register(ENGINE, engine)
        yield* stores.register(ENGINE, new MemoryKeyValueStore())
      })
    )
} satisfies StoragePlugin
