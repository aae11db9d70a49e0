/** Storage in files of JSON lines: partitions that a person can read with `less` and `jq`, and that survive a crash. */
import { join } from "node:path"
import { Effect, Layer } from "effect"
import {
  Clock,
  CONTRACT_VERSION,
  Engines,
  Files,
  Log,
  NodeFacts,
  PluginError,
  Resources,
  type StoragePlugin
} from "manifold"
import * as v from "valibot"
import { makeJsonlEngine } from "./engine.ts"
import { ENGINE } from "./errors.ts"
import { filesResource } from "./files-resource.ts"

const NAME = "storage-jsonl"
/** Forgotten bytes stay in a file until there are so many, and more of them than others. */
const DEAD_BYTES_MIN = 1_048_576

/** Options of `[plugin.options]`. */
export const options = v.strictObject({
  /** Partitions of a shard that may be open at a time; each has one open file. */
  partitions_max: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1_000),
  /** Bytes of the newest batches that each partition keeps in memory. */
  tail_bytes_max: v.optional(v.pipe(v.number(), v.integer(), v.minValue(8_192)), 262_144),
  /** Bytes of a partition that may wait for a sync in mode persistent; beyond them batches are refused until it is done. */
  unsynced_bytes_max: v.optional(v.pipe(v.number(), v.integer(), v.minValue(65_536)), 16_777_216),
  /** Milliseconds until what was written in mode hybrid is synced. */
  flush_ms: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1_000)
})

type Options = v.InferOutput<typeof options>

export const plugin: StoragePlugin = {
  name: NAME,
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "storage",
  runs: "shard",
  engines: [{ name: ENGINE, modes: ["hybrid", "persistent"] }],
  options,
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const settings = given as Options
        const files = yield* Files
        const folder = join((yield* NodeFacts).dataDirectory, NAME)
        yield* files.ensureWritableDirectory(folder)
        // Two processes that append to one file would each write where the other has written.
        yield* files.lock(join(folder, "lock"))
        const engine = makeJsonlEngine({
          files,
          clock: yield* Clock,
          log: yield* Log,
          folder,
          partitionsMax: settings.partitions_max,
          tailBytesMax: settings.tail_bytes_max,
          unsyncedBytesMax: settings.unsynced_bytes_max,
          deadBytesMin: DEAD_BYTES_MIN,
          flushMs: settings.flush_ms
        })
        const engines = yield* Engines
        yield* engines.register(ENGINE, engine)
        const resources = yield* Resources
        yield* resources.register(filesResource(engine))
      }).pipe(Effect.mapError((error) => new PluginError({ plugin: NAME, message: error.message })))
    )
}
