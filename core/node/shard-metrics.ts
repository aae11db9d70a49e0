/** What core counts on one shard, as metrics. */
import { Effect, type Scope } from "effect"
import type { ProducedBatches } from "../ingress/ProducedBatches.ts"
import type { Retained } from "../ingress/Retained.ts"
import type { ShardIngress } from "../ingress/ShardIngress.ts"
import type { Connections } from "../link/Connections.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"
import type { ShardTopics } from "../topics/Topics.ts"

export interface ShardFacts {
  readonly ingress: ShardIngress
  readonly produced: ProducedBatches
  readonly retained: Retained
  readonly topics: ShardTopics
  readonly port: LinkPort
  readonly connections: Connections
}

export function registerShardMetrics(
  telemetry: TelemetryShape,
  facts: ShardFacts
): Effect.Effect<void, never, Scope.Scope> {
  const { counts } = facts.ingress
  const { published } = facts.topics
  const counters: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["ingress_published_total", "Messages taken from publishers", () => counts.published],
    ["ingress_stored_total", "Messages stored in a topic", () => counts.stored],
    ["ingress_forwarded_total", "Messages handed to the shard that owns their name", () => counts.forwarded],
    ["ingress_unmatched_total", "Messages that no topic and no subscriber wanted", () => counts.unmatched],
    ["ingress_refused_access_total", "Messages refused by access rules", () => counts.refusedAccess],
    ["ingress_refused_storage_total", "Messages refused by storage", () => counts.refusedStorage],
    ["topics_published_created_total", "Topics created by a PUBLISH", () => published.createdCount],
    ["topics_published_evicted_total", "Topics created by a PUBLISH and evicted", () => published.evictedCount],
    ["topics_published_refused_total", "Creations by PUBLISH refused by the rate", () => published.refusedCount],
    ["produced_unnamed_total", "Produced records that no topic name is for", () => facts.produced.unnamedCount],
    ["produced_unreadable_total", "Produced batches unreadable for delivery", () => facts.produced.unreadableCount],
    ["gathered_batches_total", "Record batches gathered from messages", () => sum(facts.topics, "gatheredBatches")],
    ["gathered_records_total", "Records in gathered batches", () => sum(facts.topics, "gatheredRecords")],
    ["gathered_refused_total", "Gathered records that an engine refused", () => sum(facts.topics, "refusedRecords")]
  ]
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["retained_messages", "Retained messages", () => facts.retained.count],
    ["retained_bytes", "Bytes of retained messages", () => facts.retained.sizeBytes],
    ["topics_published", "Topics created by a PUBLISH", () => published.count],
    ["forwarded_connections", "Connections owned here and accepted elsewhere", () => facts.connections.ownedCount]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`manifold_${name}`, help, read)
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`manifold_${name}`, help, read)
  })
}

function sum(topics: ShardTopics, field: "gatheredBatches" | "gatheredRecords" | "refusedRecords"): number {
  let total = 0
  for (const log of topics.logs()) total += log[field]
  return total
}
