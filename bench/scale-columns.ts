/** The columns of the scenarios about fleets. What they mean: bench/README.md. */
import { CORE, type Column, cpu, DRIVER, decimals, LATE, LATENCY, number, perSecond, RSS } from "./column.ts"
import type { ScaleScenario } from "./scale-scenarios.ts"
import { percent, significant } from "./statistics.ts"
import { median } from "./table.ts"

/** The columns of `scenario` after those that every table begins with. */
export function scaleColumnsOf(scenario: ScaleScenario): readonly Column[] {
  switch (scenario.kind) {
    case "connect-churn":
      return churnColumns()
    case "subscriptions":
      return subscriptionsColumns()
    case "subscribe-load":
      return loadColumns()
    case "tls-connect":
      return tlsColumns()
    case "retained":
      return retainedColumns()
  }
}

function churnColumns(): readonly Column[] {
  return [
    number("connects/s", perSecond, significant),
    number("due/s", (report) => report.sentPerSecond, significant),
    cpu("CPU us/connect"),
    CORE,
    DRIVER,
    ...LATENCY,
    LATE,
    decimals("RSS MiB before", (report) => report.brokerRssMiBBefore),
    decimals("after", (report) => report.brokerRssMiB),
    decimals("growth MiB", (report) => report.churn?.growthMiB),
    number("left open", (report) => report.churn?.leftOpen)
  ]
}

function subscriptionsColumns(): readonly Column[] {
  return [
    number("subscriptions/s", perSecond, significant),
    number("B/subscription", (report) => report.subscriptions?.bytesEach),
    cpu("CPU us/subscription"),
    CORE,
    DRIVER,
    RSS,
    number("quiet p99 us", (report) => report.subscriptions?.quiet.p99),
    ...LATENCY,
    LATE,
    number("granted", (report) => report.subscriptions?.granted),
    number("arrived", (report) => report.subscriptions?.arrived)
  ]
}

function loadColumns(): readonly Column[] {
  return [
    number("without messages/s", (report) => report.load?.perSecondWithout, significant),
    number("with", perSecond, significant),
    { title: "cost", cell: (row) => percent(median(row, (report) => report.load?.cost ?? 0)) },
    number("without CPU us/message", (report) => report.load?.brokerMicrosWithout, significant),
    cpu("with"),
    CORE,
    DRIVER,
    number("subscribes/s", (report) => report.load?.subscribesPerSecond, significant),
    RSS
  ]
}

function tlsColumns(): readonly Column[] {
  return [
    number("connects/s", perSecond, significant),
    cpu("CPU us/connect"),
    CORE,
    DRIVER,
    RSS,
    { title: "KiB/idle", cell: (row) => median(row, (report) => report.tls?.kibEach ?? 0).toFixed(1) },
    ...LATENCY
  ]
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
