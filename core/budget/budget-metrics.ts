/** What a scrape is told of the room in the data directory. */
import { Effect, type Scope } from "effect"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"
import type { DataBudget } from "./DataBudget.ts"
import { FULL_ABOVE, HIGH_ABOVE } from "./pressure.ts"
import type { BudgetLimits, StorageRoom } from "./StorageBudget.ts"

/** Bounds that there are not are told as 0. */
const finite = (bytes: number): number => (Number.isFinite(bytes) ? Math.floor(bytes) : 0)

export function registerBudget(
  telemetry: TelemetryShape,
  budget: DataBudget,
  room: StorageRoom,
  limits: BudgetLimits
): Effect.Effect<void, never, Scope.Scope> {
  const gauges: ReadonlyArray<readonly [name: string, help: string, read: () => number]> = [
    ["data_used_bytes", "What the data directory takes, as the stores count it", () => budget.sizes.usedBytes],
    [
      "data_bound_bytes",
      "What it may take: its budget, or what the file system has room for",
      () => finite(budget.boundBytes)
    ],
    ["data_high_bytes", "Above this much there is an alarm", () => finite(HIGH_ABOVE * budget.boundBytes)],
    ["data_full_bytes", "Above this much producers are refused", () => finite(FULL_ABOVE * budget.boundBytes)],
    ["data_free_bytes", "What may still be written to its file system", () => finite(budget.sizes.freeBytes)],
    ["data_high", "1 where the data directory is nearly full, or full", () => (room.pressure === "ok" ? 0 : 1)],
    ["data_full", "1 where producers are refused because it is full", () => (room.pressure === "full" ? 1 : 0)],
    [
      "tenant_stored_bytes_largest",
      "What the stored topics of the largest tenant take",
      () => Math.max(0, ...budget.tenants.values())
    ],
    ["tenant_stored_bytes_max", "What those of a tenant may take, 0 = any", () => limits.tenantBytesMax]
  ]
  return Effect.gen(function* () {
    for (const [name, help, read] of gauges) yield* telemetry.gauge(`manifold_${name}`, help, read)
    yield* telemetry.counterOf(
      "manifold_data_rounds_total",
      "Rounds in which what is oldest was deleted",
      () => budget.rounds
    )
  })
}
