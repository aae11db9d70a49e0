/** The columns of the scenarios about fleets. What they mean: bench/README.md. */
import { CORE, type Column, cpu, DRIVER, decimals, LATE, LATENCY, number, perSecond, RSS } from "./column.ts"
import type { ScaleScenario } from "./scale-scenarios.ts"
import { significant } from "./statistics.ts"
import { median } from "./table.ts"

/** The columns of `scenario` after those that every table begins with. */
export function scaleColumnsOf(scenario: ScaleScenario): readonly Column[] {
  switch (scenario.kind) {
    case "retained":
      return retainedColumns()
  }
}

function retainedColumns(): readonly Column[] {
  return [
    decimals("first ms", (report) => report.retained?.firstMs),
    decimals("slowest first ms", (report) => report.retained?.firstMsMax),
    decimals("all ms", (report) => report.retained?.allMs),
    number("messages/s", perSecond, significant),
    cpu("CPU us/message"),
    number("quiet p99 us", (report) => report.retained?.quiet.p99),
    ...LATENCY,
    LATE,
    decimals("data MiB", (report) => report.retained?.dataMiB),
    decimals("growth MiB", (report) => report.retained?.growthMiB),
    {
      title: "growth/data",
      cell: (row) =>
        `${median(row, ({ retained }) => (retained?.growthMiB ?? 0) / Math.max(1e-6, retained?.dataMiB ?? 0)).toFixed(1)}x`
    },
    number("published/s", (report) => report.retained?.publishedPerSecond, significant),
    CORE,
    DRIVER,
    RSS
  ]
}
