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

const count = (min: number) => v.pipe(v.number(), v.integer(), v.minValue(min))

/** Options of `[plugin.options]`. */
export const options = v.strictObject({
  partitions_max: v.pipe(
    v.optional(count(1), 1_000),
    v.description("partitions of a shard that may be open at a time; each has an open file")
  ),
  tail_bytes_max: v.pipe(
    v.optional(count(8_192), 262_144),
    v.description("bytes of the newest batches of a partition that are kept in memory")
  ),
  unsynced_bytes_max: v.pipe(
    v.optional(count(65_536), 16_777_216),
    v.description("bytes of a partition that may wait for a sync in mode persistent; beyond them batches are refused")
  ),
  flush_ms: v.pipe(v.optional(count(1), 1_000), v.description("milliseconds until mode hybrid syncs what it wrote"))
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
