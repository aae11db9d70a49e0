/** Storage in process memory: partitions and key-value state that may be lost on restart. */
import { Effect, Layer } from "effect"
import * as v from "valibot"
import {
  Clock,
  CONTRACT_VERSION,
  type Engine,
  Engines,
  KeyValueStores,
  type PartitionKey,
  type PartitionOptions,
  type StoragePlugin
} from "../../core/mod.ts"
import { MemoryBudget } from "./MemoryBudget.ts"
import { MemoryKeyValueStore } from "./MemoryKeyValueStore.ts"
import { MemoryPartition } from "./MemoryPartition.ts"

const size = v.pipe(v.number(), v.integer(), v.minValue(65_536))

/** Options of `[[plugin]] use = "storage-memory"`; all sizes in bytes. */
export const options = v.strictObject({
  partition_bytes_max: v.pipe(
    v.optional(size, 67_108_864),
    v.description("bytes of one partition that has no narrower bound")
  ),
  total_bytes_max: v.pipe(v.optional(size, 1_073_741_824), v.description("bytes of all partitions of a shard together"))
})

type Options = v.InferOutput<typeof options>

/** A partition is not cut below this for the sake of the total. */
const FAIR_SHARE_BYTES = 65_536

/** The engine, for those who bring their own registry: the contract suite and simulations. */
export function makeMemoryEngine(settings: Options, nowMs: () => number): Engine {
  const budget = new MemoryBudget(settings.total_bytes_max, FAIR_SHARE_BYTES)
  const partitions = new Map<string, MemoryPartition>()
  const nameOf = (key: PartitionKey): string => `${key.tenant}/${key.topicId}/${key.partition}`
  return {
    modes: ["memory"],
    open: (key: PartitionKey, { limits }: PartitionOptions) =>
      Effect.sync(() => {
        const name = nameOf(key)
        const known = partitions.get(name)
        if (known !== undefined) return known
        const sizeBytesMax = Math.min(limits.sizeBytesMax, settings.partition_bytes_max)
        const partition = new MemoryPartition({ ...limits, sizeBytesMax }, budget, nowMs)
        partitions.set(name, partition)
        return partition
      }),
    remove: (key: PartitionKey) =>
      Effect.sync(() => {
        partitions.get(nameOf(key))?.close()
        partitions.delete(nameOf(key))
      })
  }
}

export const plugin = {
  name: "storage-memory",
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "storage",
  runs: "shard",
  engines: [{ name: "memory", modes: ["memory"] }],
  keyValueStore: "memory",
  options,
  layer: (settings) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const clock = yield* Clock
        const engines = yield* Engines
        const stores = yield* KeyValueStores
        yield* engines.register("memory", makeMemoryEngine(settings as Options, clock.nowMs))
        yield* stores.register("memory", new MemoryKeyValueStore())
      })
    )
} satisfies StoragePlugin
