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
  SEGMENT_SHARE,
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
import { options, SEGMENT_BYTES_MIN, type Settings } from "./Settings.ts"

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
        const settings = within(given as Settings, place.bytesMax)
        const topicName = (id: string): string | undefined => place.topicName(id)
        const store = yield* Effect.acquireRelease(
          Effect.tryPromise({
            try: () => SegmentStore.open({ directory, journal, files, clock, log, settings, topicName }),
            catch: failure
          }),
          (opened) => Effect.promise(() => opened.close())
        )
        journal.register(store.checkpoints)
        yield* place.keeps({
          name: NAME,
          copy: (target) => Effect.tryPromise({ try: () => copySegments(store, files, target), catch: failure })
        })
        yield* place.account(store.account)
        yield* registerMetrics(yield* Telemetry, store, { store: String(place.number) })
        const engines = yield* Engines
        yield* engines.register(ENGINE, makeSegmentEngine(store))
      })
    )
} satisfies StoragePlugin

/** Segments of a store that is bounded are a small part of the bound: they go as wholes. */
function within(settings: Settings, bytesMax: number): Settings {
  const share = Math.max(SEGMENT_BYTES_MIN, Math.floor(bytesMax * SEGMENT_SHARE))
  return { ...settings, segment_bytes: Math.min(settings.segment_bytes, share) }
}
