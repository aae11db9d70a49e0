/** What a scrape is told of a shard's partitions in memory. */
import { Effect, type Scope } from "effect"
import type { TelemetryShape } from "../../core/mod.ts"
import type { MemoryEngine } from "./engine.ts"

const PREFIX = "manifold_storage_memory"

export function registerMetrics(
  telemetry: TelemetryShape,
  { budget, ages, partitionCount }: MemoryEngine,
  labels: Readonly<Record<string, string>>
): Effect.Effect<void, never, Scope.Scope> {
  const { trimmed } = budget
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["partitions", "Partitions", partitionCount],
    ["partitions_aging", "Partitions whose oldest batches wait for the end of their time", () => ages.size],
    ["bytes", "Memory that partitions take", () => budget.used]
  ]
  const counters: typeof gauges = [
    ["trimmed_age_bytes_total", "Bytes that went for their age", () => trimmed.age],
    ["trimmed_size_bytes_total", "Bytes that went because their partition keeps no more", () => trimmed.size],
    [
      "trimmed_records_bytes_total",
      "Bytes that went because their partition keeps no more records",
      () => trimmed.records
    ],
    ["trimmed_budget_bytes_total", "Bytes that went because all partitions keep no more", () => trimmed.budget]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`${PREFIX}_${name}`, help, read, labels)
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`${PREFIX}_${name}`, help, read, labels)
  })
}
