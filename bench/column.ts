/** What a column is, those that several kinds of scenario share, and how further ones are made. */
import type { Report } from "./driver/report.ts"
import { percent, whole } from "./statistics.ts"
import { median, type Row } from "./table.ts"

export interface Column {
  readonly title: string
  readonly cell: (row: Row, rows: readonly Row[]) => string
}

/** What a cell takes from one report. */
export type Value = (report: Report) => number

export const perSecond: Value = (report) => report.perSecond

export const CORE: Column = { title: "core", cell: (row) => percent(median(row, (report) => report.brokerShare)) }
export const DRIVER: Column = { title: "driver", cell: (row) => percent(median(row, (report) => report.driverShare)) }
export const RSS: Column = { title: "RSS MiB", cell: (row) => median(row, (report) => report.brokerRssMiB).toFixed(1) }
export const LATENCY: readonly Column[] = [
  number("p50 us", (report) => report.latency?.p50),
  number("p99 us", (report) => report.latency?.p99),
  number("p99.9 us", (report) => report.latency?.p999),
  number("max us", (report) => report.latency?.max)
]
export const LATE = number("driver late p99.9", (report) => report.lateness?.p999)

export function cpu(title: string): Column {
  return { title, cell: (row) => median(row, (report) => report.brokerMicrosPerMessage).toPrecision(3) }
}

export function number(title: string, value: (report: Report) => number | undefined, format = whole): Column {
  return { title, cell: (row) => format(median(row, (report) => value(report) ?? 0)) }
}

export function decimals(title: string, value: (report: Report) => number | undefined): Column {
  return number(title, value, (figure) => figure.toFixed(1))
}
