/** The metrics of a shard's Kafka connections: what {@link Counts} counted, by the names that are scraped. */
import { Effect, type Scope } from "effect"
import type { TelemetryShape } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { apiOf } from "./wire/apis.ts"
import { errorName } from "./wire/error-codes.ts"

export function registerMetrics(telemetry: TelemetryShape, broker: Broker): Effect.Effect<void, never, Scope.Scope> {
  const { counts, fetchSessions } = broker
  const counters: ReadonlyArray<readonly [string, string, () => number]> = [
    ["connections_accepted_total", "Kafka connections accepted", () => counts.connectionsAccepted],
    ["received_bytes_total", "Bytes received from Kafka clients", () => counts.receivedBytes],
    ["sent_bytes_total", "Bytes sent to Kafka clients", () => counts.sentBytes],
    ["produced_batches_total", "Record batches taken from Produce", () => counts.producedBatches],
    ["produced_records_total", "Records taken from Produce", () => counts.producedRecords],
    ["produced_bytes_total", "Bytes of record batches taken from Produce", () => counts.producedBytes],
    ["fetched_bytes_total", "Bytes of record batches sent by Fetch", () => counts.fetchedBytes],
    ["fetch_session_evictions_total", "Fetch sessions that made place for others", () => fetchSessions.evictions],
    ["throttled_total", "Answers whose client was over its quota", () => counts.throttled]
  ]
  const gauges: ReadonlyArray<readonly [string, string, () => number]> = [
    ["connections", "Kafka connections open now", () => counts.connectionsOpen],
    ["fetches_waiting", "Fetch requests that wait for records now", () => counts.fetchesWaiting],
    ["fetches_held_bytes", "Bytes of record batches in answers that wait to be sent", () => broker.fetchesHeldBytes],
    ["fetch_sessions", "Fetch sessions that are kept", () => fetchSessions.size],
    ["fetch_session_partitions", "Partitions of the fetch sessions that are kept", () => fetchSessions.partitions]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`manifold_kafka_${name}`, help, read)
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`manifold_kafka_${name}`, help, read)
    yield* telemetry.counters("manifold_kafka_requests_total", "Kafka requests by API", "api", function* () {
      for (const [key, count] of counts.requests) yield [apiOf(key)?.name ?? String(key), count] as const
    })
    yield* telemetry.counters("manifold_kafka_errors_total", "Error codes answered", "error", function* () {
      for (const [code, count] of counts.errors) yield [errorName(code), count] as const
    })
    yield* telemetry.counters("manifold_kafka_refused_batches_total", "Record batches refused", "cause", () => [
      ...counts.refusedBatches
    ])
    yield* telemetry.counters("manifold_kafka_closed_total", "Connections closed by the broker", "cause", () => [
      ...counts.closed
    ])
  })
}
