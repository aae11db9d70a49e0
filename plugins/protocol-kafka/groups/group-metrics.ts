/** The metrics of a shard's consumer groups. */
import { Effect, type Scope } from "effect"
import type { TelemetryShape } from "../../../core/mod.ts"
import type { GroupCoordinator } from "./GroupCoordinator.ts"

const STATES = ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"] as const

export function registerGroupMetrics(
  telemetry: TelemetryShape,
  coordinator: GroupCoordinator
): Effect.Effect<void, never, Scope.Scope> {
  const { counts } = coordinator
  const counters: ReadonlyArray<readonly [string, string, () => number]> = [
    ["group_rebalances_total", "Generations of consumer groups that have begun", () => counts.rebalances],
    ["offset_commits_total", "Offsets that consumer groups have committed", () => counts.offsetCommits],
    [
      "offsets_expired_total",
      "Committed offsets that were forgotten by age or with their topic",
      () => counts.offsetsExpired
    ],
    [
      "groups_expired_total",
      "Consumer groups that were forgotten without members and offsets",
      () => counts.groupsExpired
    ]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of counters) yield* telemetry.counterOf(`manifold_kafka_${name}`, help, read)
    for (const state of STATES) {
      const read = (): number => coordinator.census().states.get(state) ?? 0
      yield* telemetry.gauge("manifold_kafka_groups", "Consumer groups by state", read, { state })
    }
    const members = (): number => coordinator.census().members
    yield* telemetry.gauge("manifold_kafka_group_members", "Members of consumer groups", members)
    yield* telemetry.gauge("manifold_kafka_groups_bytes", "Memory of consumer groups, about", () => coordinator.bytes)
    yield* telemetry.counters("manifold_kafka_groups_refused_total", "Joins and commits without room", "cause", () => [
      ...counts.refused
    ])
  })
}
