/** The metrics of a bridge, by its name; read at scrape. */
import { Effect, type Scope } from "effect"
import type { ClockShape, TelemetryShape } from "../../core/mod.ts"
import type { Bridge } from "./Bridge.ts"

export function registerMetrics(
  telemetry: TelemetryShape,
  clock: ClockShape,
  bridge: Bridge
): Effect.Effect<void, never, Scope.Scope> {
  const { counts, settings } = bridge
  const label = { bridge: settings.name }
  const directed: ReadonlyArray<readonly [name: string, help: string, out: () => number, inward: () => number]> = [
    ["messages_total", "Messages that passed a bridge", () => counts.messagesOut, () => counts.messagesIn],
    ["bytes_total", "Bytes of messages that passed a bridge", () => counts.bytesOut, () => counts.bytesIn],
    ["dropped_total", "Messages that a bridge gave up", () => counts.droppedOut, () => counts.droppedIn]
  ]
  const counters: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["gaps_total", "Times that a bridge gave messages up", () => counts.gaps],
    ["looped_total", "Messages that a bridge stopped because they went in a circle", () => counts.looped],
    ["attempts_total", "Attempts of a bridge to connect", () => counts.attempts]
  ]
  const ageOf = (since: string | null): number => (since === null ? 0 : Math.max(0, clock.nowMs() - Date.parse(since)))
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["connected", "Whether a bridge is connected", () => (bridge.state === "connected" ? 1 : 0)],
    ["warned", "Whether the remote has not granted all that it was asked for", () => (bridge.warning === "" ? 0 : 1)],
    ["backlog_messages", "Messages that wait for the remote, some seconds ago", () => bridge.facts?.messages ?? 0],
    ["backlog_bytes", "Their bytes", () => bridge.facts?.bytes ?? 0],
    ["backlog_age_seconds", "Age of the oldest of them", () => ageOf(bridge.facts?.since ?? null) / 1_000],
    ["inflight", "Messages that the remote has not acknowledged, some seconds ago", () => bridge.facts?.inflight ?? 0]
  ]
  return Effect.gen(function* () {
    for (const [name, help, out, inward] of directed) {
      const full = `manifold_bridge_${name}`
      yield* telemetry.counterOf(full, help, out, { ...label, direction: "out" })
      yield* telemetry.counterOf(full, help, inward, { ...label, direction: "in" })
    }
    for (const [name, help, read] of counters) {
      yield* telemetry.counterOf(`manifold_bridge_${name}`, help, read, label)
    }
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`manifold_bridge_${name}`, help, read, label)
  })
}
