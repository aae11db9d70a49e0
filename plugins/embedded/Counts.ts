/** What the face counts, and its metrics: read at scrape. */
import { Effect, type Scope } from "effect"
import type { TelemetryShape } from "../../core/mod.ts"

export class Counts {
  published = 0
  refused = 0
  /** Messages whose acknowledgement is due. */
  pending = 0
  delivered = 0
  dropped = 0
  expired = 0
  overflowed = 0
  queued = 0
  subscriptions = 0
}

export function registerMetrics(telemetry: TelemetryShape, counts: Counts): Effect.Effect<void, never, Scope.Scope> {
  const counters: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["published_total", "Messages that the program published", () => counts.published],
    ["publish_refused_total", "Messages of the program that were refused or lost", () => counts.refused],
    ["delivered_total", "Messages handed to the program", () => counts.delivered],
    ["dropped_total", "Messages dropped because a subscription's queue was full", () => counts.dropped],
    ["expired_total", "Messages that expired in a subscription's queue", () => counts.expired],
    ["overflowed_total", "Subscriptions ended because their queue was full", () => counts.overflowed]
  ]
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["pending", "Messages of the program whose acknowledgement is due", () => counts.pending],
    ["queued_messages", "Messages that wait for the program", () => counts.queued],
    ["subscriptions", "Subscriptions of the program", () => counts.subscriptions]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`manifold_embedded_${name}`, help, read)
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`manifold_embedded_${name}`, help, read)
  })
}
