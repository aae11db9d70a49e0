/** The metrics of this plugin, read from its counts at scrape. */
import { Effect, type Scope } from "effect"
import type { TelemetryShape } from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { Census } from "./Census.ts"
import { PACKET_TYPES, PUBLISH } from "./wire/packet-types.ts"
import { reasonName } from "./wire/reason-codes.ts"

export function registerMetrics(telemetry: TelemetryShape, broker: Broker): Effect.Effect<void, never, Scope.Scope> {
  const { counts, services } = broker
  const census = new Census()
  const count = (): Census => census.taken(services.clock.monotonicMs(), broker.sessions.resident())
  const counters: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["connections_total", "Connections accepted", () => counts.connectionsAccepted],
    ["publish_received_total", "PUBLISH packets received", () => counts.publishReceived],
    ["publish_sent_total", "PUBLISH packets sent", () => counts.publishSent],
    ["publish_refused_total", "PUBLISH packets refused", () => counts.publishRefused],
    ["subscribe_refused_total", "Filters of SUBSCRIBE packets refused", () => counts.subscribesRefused],
    ["banned_ended_total", "Connections ended because of the blacklist", () => broker.blacklist.ended],
    ["slow_deliveries_total", "Deliveries above the threshold", () => broker.slow?.table.slowCount ?? 0],
    ["flapping_total", "Clients that connected again and again", () => broker.flapping?.found ?? 0],
    ["dropped_slow_total", "QoS 0 messages dropped because a client does not read", () => counts.droppedSlow],
    ["dropped_queue_full_total", "QoS 1 and 2 messages dropped because a queue was full", () => counts.droppedQueue],
    ["dropped_expired_total", "Messages dropped because they expired", () => counts.droppedExpired],
    ["dropped_too_large_total", "Messages larger than a client takes", () => counts.droppedTooLarge],
    ["received_bytes_total", "Bytes received from clients", () => counts.bytesReceived],
    ["sent_bytes_total", "Bytes sent to clients", () => counts.bytesSent],
    [
      "authentications_failed_total",
      "Exchanges of enhanced authentication that failed",
      () => counts.authenticationsFailed
    ],
    ["connect_timeouts_total", "Connections closed before a CONNECT came", () => counts.connectTimeouts],
    ["keep_alive_timeouts_total", "Connections closed because nothing came in time", () => counts.keepAliveTimeouts],
    [
      "publish_pauses_total",
      "Times that a client was not read because it published too fast",
      () => counts.publishPauses
    ],
    [
      "publish_held_up_total",
      "Times that a client was not read because storage had no room for its message",
      () => broker.heldUp.count
    ],
    [
      "topics_too_large_total",
      "Topic names and filters longer or deeper than allowed",
      () => broker.topicBounds.refused
    ],
    ["take_overs_total", "Connections replaced by a newer one of the same client", () => counts.takeOvers],
    [
      "shared_returned_total",
      "Messages that a member of a shared subscription gave back for another one",
      () => counts.sharedReturned
    ],
    ["trimmed_behind_total", "Sessions that found their place in a queue log trimmed away", () => counts.trimmedBehind],
    ["replay_gaps_total", "Times that a replay found its place trimmed away", () => counts.replayGaps],
    ["replay_left_out_total", "Partitions of new topics that replays had no room for", () => counts.replayLeftOut],
    ["wills_published_total", "Will messages published", () => counts.willsPublished],
    [
      "auto_subscribes_refused_total",
      "Filters of automatic subscriptions that a client could not have",
      () => counts.autoSubscribesRefused
    ],
    [
      "topics_rewritten_total",
      "Topic names and filters that rules made others of",
      () => broker.rewrite.rewrittenCount
    ],
    [
      "topics_rewrite_refused_total",
      "Topic names and filters of which a rule made what may not be had",
      () => broker.rewrite.refusedCount
    ],
    ["delayed_published_total", "Delayed messages published", () => broker.delayed.published],
    ["delayed_cancelled_total", "Delayed messages taken back", () => broker.delayed.cancelled]
  ]
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["connections", "Clients connected now", () => counts.connectionsOpen],
    ["connections_held_up", "Clients that are not read until storage has room", () => broker.heldUp.size],
    ["sessions", "Sessions, connected or not", () => broker.sessions.count],
    ["queued_messages", "Messages that wait for a session", () => counts.queuedMessages],
    ["output_bytes", "Bytes that wait for sockets", () => broker.budget.used],
    ["pooled_bytes", "Bytes of output buffers that wait to be used again", () => broker.budget.buffers.pooledBytes],
    ["held_bytes", "Bytes of messages that sessions keep", () => broker.held.used],
    ["wills_pending", "Wills that wait for their delay", () => broker.wills.pendingCount],
    ["blacklist_entries", "Entries of the blacklist", () => broker.blacklist.rules.count],
    ["flapping_watched", "Clients whose connections are counted", () => broker.flapping?.watchedCount ?? 0],
    ["delayed_messages", "Messages that wait for their time", () => broker.delayed.count],
    [
      "delayed_unsettled",
      "Delayed messages whose rows are on their way to the disk or off it",
      () => broker.delayed.unsettledCount
    ],
    ["exclusive_filters", "Filters that one client has to itself", () => broker.exclusive.heldCount],
    ["shared_groups", "Groups of shared subscriptions", () => broker.shared.groupCount],
    ["shared_members", "Members of shared subscriptions that are known here", () => broker.shared.memberCount],
    ["subscriptions", "Subscriptions", () => services.router.subscriptionCount],
    ["sessions_in_memory", "Sessions in memory", () => count().sessions],
    ["sessions_ending", "Ended sessions whose rows are not gone yet", () => broker.sessions.endingCount],
    ["wills_unsettled", "Wills whose rows or messages are on their way to the disk", () => broker.wills.unsettledCount],
    ["inflight_messages", "QoS 1 and 2 messages in flight to clients", () => count().inFlight],
    ["received_identifiers", "QoS 2 messages taken and not released", () => count().received],
    ["sessions_waiting", "Sessions for which messages wait in memory", () => count().waiting],
    ["queue_messages_max", "Most messages that wait in memory for one session", () => count().longestQueue],
    ["queue_age_seconds_max", "Age of the oldest message that waits in memory", () => ageOf(count().oldestAtMs)],
    ["topic_aliases", "Topic aliases, either way", () => count().aliases],
    ["timers", "Time-outs that are set", () => services.wheel.size]
  ]
  const ageOf = (atMs: number): number => (atMs === 0 ? 0 : Math.max(0, services.clock.nowMs() - atMs) / 1_000)
  return Effect.gen(function* () {
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`manifold_mqtt_${name}`, help, read)
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`manifold_mqtt_${name}`, help, read)
    yield* telemetry.counters("manifold_mqtt_connects_refused_total", "CONNECTs over a limit", "limit", function* () {
      for (const [cause, count] of Object.entries(broker.limits.refused)) yield [cause, count] as const
      yield ["blacklist", broker.blacklist.refused] as const
      yield ["listener", broker.listeners.own.reduce((sum, { refused }) => sum + refused, 0)] as const
    })
    for (const way of ["received", "sent"] as const) {
      const name = `manifold_mqtt_packets_${way}_total`
      yield* telemetry.counters(name, `Packets ${way}, by type`, "type", () => packetCounts(broker, way))
    }
    yield* telemetry.counters("manifold_mqtt_closed_total", "Connections closed by the broker", "reason", function* () {
      for (const [code, count] of counts.closedByReason) yield [reasonName(code), count] as const
    })
  })
}

function* packetCounts({ counts }: Broker, way: "received" | "sent"): Iterable<readonly [string, number]> {
  const { packetsReceived, packetsSent, publishReceived, publishSent } = counts
  for (const { type, name, fromClient, fromServer } of PACKET_TYPES) {
    if (way === "received" && fromClient)
      yield [name, type === PUBLISH ? publishReceived : (packetsReceived[type] ?? 0)]
    if (way === "sent" && fromServer) yield [name, type === PUBLISH ? publishSent : (packetsSent[type] ?? 0)]
  }
}
