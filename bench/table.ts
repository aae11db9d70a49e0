/**
 * The rows of one scenario as text or as markdown: medians over the rounds, spread, ratio against mosquitto, faults.
 *
 * Invariants
 *  - A row with any fault begins with `x` and names it: its rate is no result.
 *  - `*` marks a rate that the driver bounds, not the broker: the driver's core was full and the broker's was not.
 */
import { columnsOf } from "./columns.ts"
import { faultsOf, type Report } from "./driver/report.ts"
import type { Scenario } from "./scenarios.ts"
import { medianOf } from "./statistics.ts"

export interface Row {
  readonly broker: string
  readonly storage: string
  /** What a PUBACK means; shown under the tables where that is the point. */
  readonly promise?: string
  readonly reports: Report[]
  readonly failures: string[]
  /** Why this broker was not measured in this scenario. */
  readonly leftOut?: string
}

/** How a table is written. */
export type Format = "text" | "markdown"

/** The median over the rounds of what `value` takes from each report. */
export function median(row: Row, value: (report: Report) => number): number {
  return medianOf(row.reports.map(value))
}

/** One table, with a heading; every column as wide as its widest cell. */
export function tableOf(scenario: Scenario, rows: readonly Row[], format: Format = "text"): string {
  const columns = columnsOf(scenario, rows)
  const lines = [columns.map(({ title }) => title)]
  for (const row of rows) {
    if (row.reports.length > 0) lines.push(columns.map(({ cell }) => cell(row, rows)))
  }
  const notes = rows.flatMap((row) => notesOf(row, scenario))
  if (format === "markdown") return markdown(scenario, lines, notes)
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
  )
  return [`${scenario.name}: ${scenario.about}`, ...text, ...notes.map((note) => `  ${note}`), ""].join("\n")
}

function markdown(scenario: Scenario, lines: readonly (readonly string[])[], notes: readonly string[]): string {
  const [head = [], ...rest] = lines.map((line) =>
    line.map((cell) => cell.replaceAll("|", "\\|").replaceAll("*", "\\*"))
  )
  const rule = head.map((_, column) => (column < 2 ? "---" : "---:"))
  const table = [head, rule, ...rest].map((cells) => `| ${cells.join(" | ")} |`)
  return [`### ${scenario.name}`, "", scenario.about, "", ...table, "", ...notes.map((note) => `- ${note}`), ""].join(
    "\n"
  )
}

function notesOf(row: Row, scenario: Scenario): string[] {
  if (row.leftOut !== undefined) return [`${row.broker}: left out, ${row.leftOut}`]
  const notes = row.failures.map((failure) => `${row.broker}: did not run: ${failure}`)
  const what = scenario.kind === "connect-churn" ? "connects" : "messages"
  row.reports.forEach((report, round) => {
    const faults = faultsOf(report.verdict)
    const missing = report.sessionsMissing ?? 0
    if (missing > 0) faults.push(`sessions missing ${missing.toLocaleString("en-US")}`)
    if (faults.length > 0) {
      const sent = report.verdict.sent.toLocaleString("en-US")
      notes.push(`x ${row.broker}, round ${round + 1}: ${faults.join(", ")} (sent ${sent})`)
    }
    if ((report.behind ?? 0) > 0) {
      notes.push(
        `${row.broker}, round ${round + 1}: too slow, ${report.behind?.toLocaleString("en-US")} ${what} were never sent`
      )
    }
  })
  const isPromise = scenario.kind === "acknowledge" || scenario.kind === "offline"
  if (isPromise && row.promise !== undefined)
    notes.push(`${row.broker}: when PUBACK comes, the message is ${row.promise}`)
  return notes
}

export function isFaulty(row: Row): boolean {
  return (
    row.failures.length > 0 ||
    row.reports.some((report) => faultsOf(report.verdict).length > 0 || (report.sessionsMissing ?? 0) > 0)
  )
}
