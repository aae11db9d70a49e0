/**
 * The rows of one scenario as text: medians over the rounds, spread, ratio against mosquitto, faults.
 *
 * Invariants
 *  - A row with any fault begins with `x` and names it: its rate is no result.
 *  - `*` marks a rate that the driver bounds, not the broker: the driver's core was full and the broker's was not.
 */
import { faultsOf, type Report } from "./driver/report.ts"
import type { Scenario } from "./scenarios.ts"

export interface Row {
  readonly broker: string
  readonly storage: string
  readonly reports: Report[]
  readonly failures: string[]
}

/** Ratios are made against this broker's row. */
const REFERENCE = "mosquitto"
/** Above this share of a core the driver is full, below it the broker is not. */
const FULL_SHARE = 0.93

interface Column {
  readonly title: string
  readonly cell: (row: Row, rows: readonly Row[]) => string
}

/** One table, with a heading; every column as wide as its widest cell. */
export function tableOf(scenario: Scenario, rows: readonly Row[]): string {
  const columns = columnsOf(scenario)
  const lines = [columns.map(({ title }) => title)]
  for (const row of rows) {
    if (row.reports.length > 0) lines.push(columns.map(({ cell }) => cell(row, rows)))
  }
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
  )
  const notes = rows.flatMap((row) => notesOf(row))
  return [`${scenario.name}: ${scenario.about}`, ...text, ...notes, ""].join("\n")
}

function columnsOf(scenario: Scenario): readonly Column[] {
  const isMessages = scenario.kind === "closed-loop" || scenario.kind === "open-loop"
  const head: Column[] = [
    { title: "broker", cell: (row) => `${isFaulty(row) ? "x " : ""}${row.broker}${isDriverBound(row) ? " *" : ""}` },
    { title: "engine, mode", cell: (row) => row.storage }
  ]
  const rate: Column[] = [
    { title: isMessages ? "messages/s" : "connects/s", cell: (row) => significant(median(row, perSecond)) },
    { title: "spread", cell: (row) => `${Math.round(spread(row, perSecond) * 100)} %` },
    scenario.kind === "open-loop"
      ? { title: `p50 vs ${REFERENCE}`, cell: (row, all) => ratio(row, all, (report) => report.latency?.p50 ?? 0) }
      : { title: `vs ${REFERENCE}`, cell: (row, all) => ratio(row, all, perSecond) },
    {
      title: isMessages ? "CPU us/message" : "CPU us/connect",
      cell: (row) => median(row, (report) => report.brokerMicrosPerMessage).toPrecision(3)
    },
    { title: "core", cell: (row) => percent(median(row, (report) => report.brokerShare)) },
    { title: "driver", cell: (row) => percent(median(row, (report) => report.driverShare)) },
    { title: "RSS MiB", cell: (row) => median(row, (report) => report.brokerRssMiB).toFixed(1) }
  ]
  if (scenario.kind === "closed-loop") return [...head, ...rate]
  const latency: Column[] = [
    { title: "p50 us", cell: (row) => micros(row, (report) => report.latency?.p50) },
    { title: "p99 us", cell: (row) => micros(row, (report) => report.latency?.p99) },
    { title: "p99.9 us", cell: (row) => micros(row, (report) => report.latency?.p999) },
    { title: "max us", cell: (row) => micros(row, (report) => report.latency?.max) }
  ]
  if (scenario.kind === "open-loop") {
    const late: Column = { title: "driver late p99.9", cell: (row) => micros(row, (report) => report.lateness?.p999) }
    return [...head, ...rate, ...latency, late]
  }
  const memory: Column = {
    title: "KiB/connection",
    cell: (row) =>
      median(row, (report) => ((report.brokerRssMiB - report.brokerRssMiBBefore) * 1024) / report.subscribers).toFixed(
        2
      )
  }
  return scenario.kind === "idle" ? [...head, ...rate, memory, ...latency] : [...head, ...rate, ...latency]
}

function notesOf(row: Row): string[] {
  const notes = row.failures.map((failure) => `  ${row.broker}: did not run: ${failure}`)
  row.reports.forEach((report, round) => {
    const faults = faultsOf(report.verdict)
    if (faults.length > 0) {
      const sent = report.verdict.sent.toLocaleString("en-US")
      notes.push(`  x ${row.broker}, round ${round + 1}: ${faults.join(", ")} (sent ${sent})`)
    }
  })
  return notes
}

const perSecond = (report: Report): number => report.perSecond

function isFaulty(row: Row): boolean {
  return row.failures.length > 0 || row.reports.some((report) => faultsOf(report.verdict).length > 0)
}

function isDriverBound(row: Row): boolean {
  const isOpenLoop = row.reports.some((report) => report.lateness !== undefined)
  if (isOpenLoop) return false
  return (
    median(row, (report) => report.driverShare) > FULL_SHARE && median(row, (report) => report.brokerShare) < FULL_SHARE
  )
}

function ratio(row: Row, rows: readonly Row[], value: (report: Report) => number): string {
  const reference = rows.find(({ broker }) => broker === REFERENCE)
  if (reference === undefined || reference.reports.length === 0) return "-"
  return `${(median(row, value) / median(reference, value)).toFixed(2)}x`
}

function median(row: Row, value: (report: Report) => number): number {
  const sorted = row.reports.map(value).sort((one, other) => one - other)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

/** (largest - smallest) / median. */
function spread(row: Row, value: (report: Report) => number): number {
  const values = row.reports.map(value)
  const middle = median(row, value)
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}

function micros(row: Row, value: (report: Report) => number | undefined): string {
  return Math.round(median(row, (report) => value(report) ?? 0)).toLocaleString("en-US")
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Three significant digits: more than that is noise. */
function significant(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString("en-US")
}
