/** What a scrape is told of a shard's compaction. */
import { Effect, type Scope } from "effect"
import type { ClockShape } from "../platform/Clock.ts"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"
import type { Compactions } from "./Compactions.ts"

const PREFIX = "manifold_compaction"

export function registerCompactionMetrics(
  telemetry: TelemetryShape,
  compactions: Compactions,
  clock: Pick<ClockShape, "nowMs">,
  labels: Readonly<Record<string, string>>
): Effect.Effect<void, never, Scope.Scope> {
  const { counts } = compactions
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["partitions", "Partitions of compacted topics", () => compactions.partitions],
    ["dirty_ratio_max", "The largest share of a log that came since it was compacted", () => compactions.dirtyRatioMax],
    ["last_seconds", "How long the last round took", () => compactions.lastMs / 1_000],
    ["idle_seconds", "Time since the last round ended", () => (clock.nowMs() - compactions.lastEndMs) / 1_000]
  ]
  const counters: typeof gauges = [
    ["runs_total", "Rounds that compacted a log", () => counts.runs],
    ["failures_total", "Rounds that failed, and are tried again", () => counts.failures],
    ["read_bytes_total", "Bytes of batches that rounds read", () => counts.bytesRead],
    ["written_bytes_total", "Bytes that rounds wrote", () => counts.bytesWritten],
    ["records_read_total", "Records that rounds looked at", () => counts.recordsRead],
    ["records_removed_total", "Records that rounds removed", () => counts.recordsRemoved],
    ["batches_unread_total", "Batches that cannot be read, and were left as they are", () => counts.unread]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`${PREFIX}_${name}`, help, read, labels)
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`${PREFIX}_${name}`, help, read, labels)
  })
}
