/** The engine "memory": the partitions of one shard, their common budget, and what grows old in them. */
import { Effect } from "effect"
import type { ClockShape, Engine, LogStart, PartitionKey, PartitionOptions } from "../../core/mod.ts"
import { Ages } from "./Ages.ts"
import { MemoryBudget } from "./MemoryBudget.ts"
import { MemoryPartition } from "./MemoryPartition.ts"
import type { Settings } from "./Settings.ts"

export const ENGINE = "memory"

const AT_ZERO: LogStart = { offset: 0, leaderEpoch: 0 }

export interface MemoryEngine extends Engine {
  readonly budget: MemoryBudget
  readonly ages: Ages
  /** Partitions that are there. */
  readonly partitionCount: () => number
  /** Forgets everything and waits for nothing any more. */
  close(): void
}

/** The engine, also for those who bring their own registry: the contract suite and simulations. */
export function makeMemoryEngine(settings: Settings, clock: Pick<ClockShape, "monotonicMs" | "after">): MemoryEngine {
  const budget = new MemoryBudget(settings.total_bytes_max)
  const ages = new Ages(clock)
  const sizeBytesMax = settings.partition_bytes_max
  const parts = { budget, ages, monotonicMs: () => clock.monotonicMs(), sizeBytesMax }
  const partitions = new Map<string, MemoryPartition>()
  const nameOf = (key: PartitionKey): string => `${key.tenant}/${key.topicId}/${key.partition}`
  return {
    modes: ["memory"],
    isCopyTarget: true,
    budget,
    ages,
    partitionCount: () => partitions.size,
    open: (key: PartitionKey, { limits, start }: PartitionOptions) =>
      Effect.sync(() => {
        const name = nameOf(key)
        const known = partitions.get(name)
        if (known !== undefined) return known
        const partition = new MemoryPartition(limits, parts, start ?? AT_ZERO)
        partitions.set(name, partition)
        return partition
      }),
    remove: (key: PartitionKey) =>
      Effect.sync(() => {
        partitions.get(nameOf(key))?.close()
        partitions.delete(nameOf(key))
      }),
    close: () => {
      for (const partition of partitions.values()) partition.close()
      partitions.clear()
      ages.close()
    }
  }
}
