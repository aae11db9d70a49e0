/** Storage in append-only segments: partitions for large streams, which survive what the journal survives. */
import { Effect, Layer } from "effect"
import {
  Clock,
  CONTRACT_VERSION,
  Engines,
  Files,
  Journal,
  Log,
  PluginError,
  type StoragePlugin,
  Store,
  Telemetry
} from "../../core/mod.ts"
import { copySegments } from "./copy-segments.ts"
import { dump } from "./dump.ts"
import { makeSegmentEngine } from "./engine.ts"
import { inspect } from "./inspect.ts"
import { registerMetrics } from "./metrics.ts"
import { repair } from "./repair.ts"
import { ENGINE, SegmentStore } from "./SegmentStore.ts"
import { options, type Settings } from "./Settings.ts"

const NAME = "storage-segment"

const failure = (error: unknown): PluginError =>
  new PluginError({ plugin: NAME, message: error instanceof Error ? error.message : String(error) })

export const plugin = {
  name: NAME,
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "storage",
  runs: "shard",
  engines: [{ name: ENGINE, modes: ["hybrid", "persistent"] }],
  needsJournal: true,
  options,
  inspect,
  dump,
  repair,
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const place = yield* Store
        const { directory } = place
        // A node that keeps nothing on disk has no journal that could feed segments.
        if (directory === undefined) return
        const journal = yield* Journal
        const clock = yield* Clock
        const log = yield* Log
        const files = yield* Files
        const settings = given as Settings
        const store = yield* Effect.acquireRelease(
          Effect.tryPromise({
            try: () => SegmentStore.open({ directory, journal, files, clock, log, settings }),
            catch: failure
          }),
          (opened) => Effect.promise(() => opened.close())
        )
        journal.register(store.checkpoints)
        yield* place.keeps({
          name: NAME,
          copy: (target) => Effect.tryPromise({ try: () => copySegments(store, files, target), catch: failure })
        })
        yield* registerMetrics(yield* Telemetry, store, { store: String(place.number) })
        const engines = yield* Engines
        yield* engines.register(ENGINE, makeSegmentEngine(store))
      })
    )
} satisfies StoragePlugin
