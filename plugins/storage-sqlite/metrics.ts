/** What a scrape is told of a store's database. */
import { Effect, type Scope } from "effect"
import { registerRetention, type TelemetryShape } from "../../core/mod.ts"
import { ENGINE } from "./engine.ts"
import type { SqliteStore } from "./SqliteStore.ts"

const PREFIX = "manifold_storage_sqlite"

export function registerMetrics(
  telemetry: TelemetryShape,
  { checkpoints, hot, keyValue, partitions, retention, writer }: SqliteStore,
  labels: Readonly<Record<string, string>>
): Effect.Effect<void, never, Scope.Scope> {
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["pending_bytes", "Memory that holds what is not in the database yet", () => checkpoints.pendingBytes],
    ["hot_bytes", "Memory that holds batches for readers", () => hot.bytes],
    ["keys", "Keys of the key-value store, about", () => keyValue.size],
    ["partitions_resident", "Partitions in memory", () => partitions.size],
    ["applied_entry", "Entry of the journal up to which the database goes", () => checkpoints.appliedIndex],
    ["checkpoint_last_seconds", "How long the last checkpoint took", () => checkpoints.lastMs / 1_000]
  ]
  const counters: typeof gauges = [
    ["checkpoints_total", "Checkpoints that are in the database", () => checkpoints.checkpoints],
    ["checkpoint_failures_total", "Checkpoints that the database refused", () => checkpoints.failures],
    ["checkpoint_seconds_total", "Time that checkpoints took", () => checkpoints.totalMs / 1_000],
    ["rows_total", "Rows written or removed", () => writer.rows]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`${PREFIX}_${name}`, help, read, labels)
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`${PREFIX}_${name}`, help, read, labels)
    yield* registerRetention(telemetry, retention, { ...labels, engine: ENGINE })
  })
}
