/** What a scrape is told of a store's segments. */
import { Effect, type Scope } from "effect"
import { registerRetention, type TelemetryShape } from "../../core/mod.ts"
import { ENGINE, type SegmentStore } from "./SegmentStore.ts"

const PREFIX = "manifold_storage_segment"

export function registerMetrics(
  telemetry: TelemetryShape,
  store: SegmentStore,
  labels: Readonly<Record<string, string>>
): Effect.Effect<void, never, Scope.Scope> {
  const { catalogue, checkpoints, files, hot, indexes, manifest, partitions, reads, writer } = store
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["pending_bytes", "Memory that holds what is not in segments yet", () => checkpoints.pendingBytes],
    ["hot_bytes", "Memory that holds batches for readers", () => hot.bytes],
    ["cold_bytes", "Memory that holds what was read from segments", () => reads.bytes],
    ["index_bytes", "Memory that holds indexes", () => indexes.bytes],
    ["manifest_bytes", "Size of the manifest", () => manifest.bytes],
    ["open_files", "Files of segments that are open", () => files.open],
    ["partitions", "Partitions", () => catalogue.size],
    ["partitions_resident", "Partitions in memory", () => partitions.size],
    ["applied_entry", "Entry of the journal up to which segments go", () => checkpoints.appliedIndex],
    ["checkpoint_last_seconds", "How long the last checkpoint took", () => checkpoints.lastMs / 1_000]
  ]
  const counters: typeof gauges = [
    ["checkpoints_total", "Checkpoints that are in segments", () => checkpoints.checkpoints],
    ["checkpoint_failures_total", "Checkpoints that failed", () => checkpoints.failures],
    ["checkpoint_seconds_total", "Time that checkpoints took", () => checkpoints.totalMs / 1_000],
    ["written_bytes_total", "Bytes written to segments", () => writer.writtenBytes],
    ["segments_sealed_total", "Segments that were ended", () => writer.sealed],
    ["segments_removed_total", "Segments that were removed", () => writer.removed],
    ["cold_reads_total", "Reads of segments", () => reads.reads],
    ["cold_read_bytes_total", "Bytes read from segments", () => reads.readBytes],
    ["indexes_rebuilt_total", "Indexes that were made anew", () => indexes.rewrites.rebuilt],
    ["indexes_rewritten_total", "Files of indexes that were written anew", () => indexes.rewrites.rewritten],
    ["damages_total", "Times that a damaged place was met", () => store.damages]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`${PREFIX}_${name}`, help, read, labels)
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`${PREFIX}_${name}`, help, read, labels)
    yield* registerRetention(telemetry, store.retention, { ...labels, engine: ENGINE })
  })
}
