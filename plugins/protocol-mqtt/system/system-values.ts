/**
 * What `$SYS` says of a node at one moment, as topic names and their payloads.
 *
 * Two trees with what their users look for: `$SYS/brokers/<node>/...` with plain texts, and names without a node with JSON.
 * Source: EMQX, "System topics"; RobustMQ, the topics that its code publishes.
 */
import { COUNTER_NAMES, GAUGE_NAMES } from "./broker-counts.ts"

export interface SystemFacts {
  readonly node: string
  readonly version: string
  /** Where MQTT is listened to. */
  readonly address: string
  readonly startedAtMs: number
  readonly topicCount: () => number
}

/** The sums over all shards: gauges and counters in the order of their names. */
export interface Sums {
  readonly gauges: ReadonlyArray<number>
  readonly counters: ReadonlyArray<number>
}

/** Largest values that were seen, by gauge. */
export type Peaks = Map<string, number>

export function systemValues(
  facts: SystemFacts,
  { gauges, counters }: Sums,
  peaks: Peaks,
  nowMs: number
): ReadonlyArray<readonly [topic: string, payload: string]> {
  const { node, version, startedAtMs, topicCount } = facts
  const own = `$SYS/brokers/${node}`
  const stats = new Map<string, number>([
    ...GAUGE_NAMES.map((name, index): [string, number] => [name, gauges[index] ?? 0]),
    ["topics", topicCount()]
  ])
  const metrics = new Map(COUNTER_NAMES.map((name, index): [string, number] => [name, counters[index] ?? 0]))
  for (const [name, value] of stats) peaks.set(name, Math.max(value, peaks.get(name) ?? 0))
  const json = (value: unknown): string => inEnvelope(facts, nowMs, value)
  const countAndMax = (name: string) => ({ count: stats.get(name) ?? 0, max: peaks.get(name) ?? 0 })
  const ways = (name: string) => ({
    received: metrics.get(`${name}/received`) ?? 0,
    sent: metrics.get(`${name}/sent`) ?? 0
  })
  return [
    ["$SYS/brokers", json([node])],
    ["$SYS/brokers/info", json({ version, uptime_seconds: seconds(nowMs - startedAtMs) })],
    ...["bytes", "messages", "packets"].map((name) => [`$SYS/brokers/metrics/${name}`, json(ways(name))] as const),
    ...["connections", "routes", "subscriptions", "topics"].map(
      (name) => [`$SYS/brokers/stats/${name}`, json(countAndMax(name))] as const
    ),
    [`${own}/version`, version],
    [`${own}/sysdescr`, "Manifold"],
    [`${own}/uptime`, String(seconds(nowMs - startedAtMs))],
    [`${own}/datetime`, new Date(nowMs).toISOString()],
    ...[...stats].flatMap(([name, value]) => [
      [`${own}/stats/${name}/count`, String(value)] as const,
      [`${own}/stats/${name}/max`, String(peaks.get(name))] as const
    ]),
    ...[...metrics].map(([name, value]) => [`${own}/metrics/${name}`, String(value)] as const)
  ]
}

/** The form of what RobustMQ tells. */
export function inEnvelope({ node, address }: SystemFacts, nowMs: number, value: unknown): string {
  return JSON.stringify({ node_id: node, node_ip: address, ts: nowMs, value })
}

function seconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1_000))
}
