/** What core counts on one shard, as metrics. */
import { Effect, type Scope } from "effect"
import type { ShardHistory } from "../ingress/History.ts"
import type { ProducedBatches } from "../ingress/ProducedBatches.ts"
import type { Retained } from "../ingress/Retained.ts"
import type { ShardIngress } from "../ingress/ShardIngress.ts"
import type { DiskJournal } from "../journal/DiskJournal.ts"
import type { Connections } from "../link/Connections.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { ReservedOffsets } from "../log/ReservedOffsets.ts"
import type { ShardProducers } from "../producers/ShardProducers.ts"
import type { QueueLog } from "../queue/QueueLog.ts"
import type { Resolutions } from "../router/Resolutions.ts"
import type { ShardRouter } from "../router/Router.ts"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"
import type { ShardTopics } from "../topics/ShardTopics.ts"

/** What can become of a gathered batch of a compressed topic. */
const OUTCOMES = ["compressed", "small", "large", "incompressible", "busy"] as const

export interface ShardFacts {
  readonly ingress: ShardIngress
  readonly produced: ProducedBatches
  readonly retained: Retained
  readonly topics: ShardTopics
  readonly queueLog: QueueLog
  readonly router: ShardRouter
  readonly resolutions: Resolutions
  /** Undefined where the journal is not on disk. */
  readonly journal: DiskJournal | undefined
  /** Undefined there, too. */
  readonly offsets: ReservedOffsets | undefined
  readonly producers: ShardProducers
  readonly port: LinkPort
  readonly connections: Connections
  readonly history: ShardHistory
}

export function registerShardMetrics(
  telemetry: TelemetryShape,
  facts: ShardFacts
): Effect.Effect<void, never, Scope.Scope> {
  const { counts } = facts.ingress
  const { published } = facts.topics
  const counters: Array<readonly [name: string, help: string, read: () => number]> = [
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
    ["gathered_batches_total", "Record batches gathered from messages", () => facts.topics.total("gatheredBatches")],
    ["gathered_records_total", "Records in gathered batches", () => facts.topics.total("gatheredRecords")],
    ["gathered_refused_total", "Gathered records that an engine refused", () => facts.topics.total("refusedRecords")]
  ]
  const gauges: Array<readonly [name: string, help: string, read: () => number]> = [
    ["retained_messages", "Retained messages", () => facts.retained.count],
    ["retained_bytes", "Bytes of retained messages", () => facts.retained.sizeBytes],
    ["retained_cleared", "Names that are noted as cleared while names move", () => facts.retained.clearedCount],
    ["resolved_names", "Topic names of which it is known who wants them", () => facts.resolutions.nameCount],
    ["resolved_subscribers", "Subscribers that these hold", () => facts.resolutions.deliveryCount],
    ["topics_published", "Topics created by a PUBLISH", () => published.count],
    ["forwarded_connections", "Connections owned here and accepted elsewhere", () => facts.connections.ownedCount]
  ]
  const { moves } = facts.topics
  counters.push(["topic_moves_copied_bytes_total", "Bytes copied to move topics", () => moves.own.copiedBytes])
  gauges.push(
    ["topic_moves", "Topics that are being moved", () => moves.mover.running],
    ["topic_moves_held_seconds", "How long appends waited for the last switch", () => moves.own.lastHoldMs / 1_000],
    ["topic_moves_held_seconds_max", "The longest of these since the start", () => moves.own.longestHoldMs / 1_000]
  )
  const { bindings } = facts.topics
  counters.push(
    ["binding_changes_total", "Changes of bindings that were carried out", () => bindings.changeCount],
    [
      "binding_changes_postponed_total",
      "Times that a change waited for messages on their way and was tried again",
      () => bindings.givenUpCount
    ]
  )
  gauges.push(
    ["binding_changes_held_seconds", "How long names were held for the last change", () => bindings.lastHoldMs / 1_000],
    ["binding_changes_held_seconds_max", "The longest of these", () => bindings.longestHoldMs / 1_000]
  )
  const { journal, queueLog } = facts
  const queued = queueLog.counts
  counters.push(
    ["ingress_queued_total", "Messages put in a queue log for durable sessions", () => counts.queued],
    [
      "produced_unqueued_total",
      "Produced records that a queue log had no room for",
      () => facts.produced.unqueuedCount
    ],
    ["queue_log_appended_total", "Messages appended to queue logs", () => queued.appended],
    ["queue_log_refused_total", "Messages that queue logs had no room for", () => queued.refused],
    ["queue_log_trimmed_total", "Messages that no session needed any more", () => queued.trimmed],
    ["queue_log_dropped_total", "Messages that a bound of the queue log removed", () => queued.dropped],
    ["queue_log_lost_total", "Messages that were refused because the journal failed", () => queued.lost]
  )
  gauges.push(
    ["queue_log_bytes", "Bytes of messages in queue logs", () => queueLog.bytes],
    ["queue_log_memory_bytes", "Bytes of queue logs in memory", () => queueLog.memoryBytes],
    [
      "queue_log_messages",
      "Offsets between start and end of queue logs",
      () => queueLog.endOffset - queueLog.startOffset
    ],
    [
      "history_open_bytes",
      "Bytes of batches kept open for who reads them in several goes",
      () => facts.history.openBytes
    ],
    ["wanted_filters", "Topic filters that durable sessions want kept", () => facts.router.wantCount]
  )
  const { offsets, producers } = facts
  counters.push(
    ["producers_repeats_total", "Batches of idempotent producers that were there already", () => producers.repeats],
    ["producers_refused_total", "Batches refused for their sequence or epoch", () => producers.refusals],
    ["producers_evicted_total", "Idempotent producers forgotten because they were too many", () => producers.evicted],
    ["producers_expired_total", "Idempotent producers forgotten after a day", () => producers.expired],
    ["producers_rows_total", "Rows written that say what producers sent", () => producers.rows],
    ["producers_row_failures_total", "Such rows that could not be written", () => producers.rowFailures],
    ["producers_replayed_bytes_total", "Bytes of logs read to know what producers sent", () => producers.replayedBytes]
  )
  gauges.push(["producers", "Idempotent producers known, once for each partition", () => producers.size])
  if (offsets !== undefined) {
    counters.push(
      ["offset_blocks_total", "Blocks of offsets reserved for logs in memory", () => offsets.blocks],
      ["offset_failures_total", "Attempts to reserve offsets that failed", () => offsets.failures],
      ["offset_refusals_total", "Appends refused because no offsets were reserved in time", () => offsets.refusals]
    )
  }
  if (journal !== undefined) {
    counters.push(
      ["journal_entries_total", "Entries of the journal", () => journal.entries],
      ["journal_operations_total", "Operations in entries of the journal", () => journal.operations],
      ["journal_bytes_total", "Bytes written to the journal", () => journal.bytes],
      ["journal_writes_total", "Writes to the journal", () => journal.writes],
      ["journal_syncs_total", "Syncs of the journal", () => journal.syncs],
      ["journal_failures_total", "Writes and syncs of the journal that failed", () => journal.failures],
      ["journal_recovered_total", "Entries replayed at the start", () => journal.recoveredEntries]
    )
    gauges.push(
      ["journal_segments", "Live segments of the journal", () => journal.segments],
      ["journal_segment_bytes", "Bytes of live segments of the journal", () => journal.segmentBytes],
      ["journal_last_sync_seconds", "How long the last sync took", () => journal.lastSyncMs / 1_000],
      ["journal_refusing", "1 where the journal takes nothing now", () => (journal.refusal === 0 ? 0 : 1)]
    )
  }
  return Effect.gen(function* () {
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`manifold_${name}`, help, read)
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`manifold_${name}`, help, read)
    yield* registerCompression(telemetry, facts.topics)
  })
}

/** The ratio is for who reads the two sums of bytes: gauges of several shards are added up, which a ratio must not be. */
function registerCompression(telemetry: TelemetryShape, topics: ShardTopics): Effect.Effect<void, never, Scope.Scope> {
  const bytesOf = (field: "inputBytes" | "outputBytes") => (): Iterable<readonly [string, number]> =>
    Array.from(topics.compressionCounts(), ([engine, counts]) => [engine, counts[field]] as const)
  const batches = (): Iterable<readonly [string, number]> =>
    OUTCOMES.map((outcome) => {
      let total = 0
      for (const [, counts] of topics.compressionCounts()) total += counts[outcome]
      return [outcome, total] as const
    })
  return Effect.gen(function* () {
    yield* telemetry.counters(
      "manifold_compression_input_bytes_total",
      "Bytes of gathered batches of compressed topics, before",
      "engine",
      bytesOf("inputBytes")
    )
    yield* telemetry.counters(
      "manifold_compression_output_bytes_total",
      "Bytes of gathered batches of compressed topics, as stored",
      "engine",
      bytesOf("outputBytes")
    )
    yield* telemetry.counters(
      "manifold_compression_batches_total",
      "Gathered batches of compressed topics: compressed, or why they stayed plain",
      "outcome",
      batches
    )
  })
}
