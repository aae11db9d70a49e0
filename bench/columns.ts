/** The columns of each kind of scenario: what a cell says of a row's rounds. What they mean: bench/README.md. */
import {
  CORE,
  type Column,
  cpu,
  DRIVER,
  decimals,
  LATE,
  LATENCY,
  number,
  perSecond,
  RSS,
  type Value
} from "./column.ts"
import type { Report } from "./driver/report.ts"
import { scaleColumnsOf } from "./scale-columns.ts"
import type { Scenario } from "./scenarios.ts"
import { percent, significant, spreadOf } from "./statistics.ts"
import { isFaulty, median, type Row } from "./table.ts"

/** Ratios are made against the first of these that is there. */
const REFERENCES = ["mosquitto", "mosquitto-persistent"]
/** Above this share of a core the driver is full, below it the broker is not. */
const FULL_SHARE = 0.93

const BROKER: Column = {
  title: "broker",
  cell: (row) => `${isFaulty(row) ? "x " : ""}${row.broker}${isDriverBound(row) ? " *" : ""}`
}
const STORAGE: Column = { title: "engine, mode", cell: (row) => row.storage }
const SPREAD: Column = { title: "spread", cell: (row) => percent(spreadOf(row.reports.map(perSecond))) }

/** The columns of `scenario`. */
export function columnsOf(scenario: Scenario, rows: readonly Row[]): readonly Column[] {
  const head = [BROKER, STORAGE]
  switch (scenario.kind) {
    case "closed-loop":
      return [
        ...head,
        ...rateColumns("messages/s", "CPU us/message"),
        HEADROOM,
        ...(scenario.topics === "group" ? [FEWEST] : [])
      ]
    case "open-loop":
      return [
        ...head,
        number("messages/s", perSecond, significant),
        SPREAD,
        {
          title: `p50 vs ${referenceName(rows)}`,
          cell: (row, all) => ratio(row, all, (report) => report.latency?.p50 ?? 0)
        },
        cpu("CPU us/message"),
        CORE,
        DRIVER,
        RSS,
        ...LATENCY,
        LATE
      ]
    case "idle":
      return [...head, ...rateColumns("connects/s", "CPU us/connect"), PER_CONNECTION, ...LATENCY]
    case "connect-rate":
      return [...head, ...rateColumns("connects/s", "CPU us/connect"), ...LATENCY]
    case "acknowledge":
      return [...head, ...(scenario.journal ? journalColumns() : acknowledgeColumns())]
    case "offline":
      return [...head, ...offlineColumns()]
    case "restart":
      return [...head, ...restartColumns()]
    default:
      return [...head, ...scaleColumnsOf(scenario)]
  }
}

function rateColumns(rate: string, cpuTitle: string): readonly Column[] {
  return [
    number(rate, perSecond, significant),
    SPREAD,
    { title: "vs mosquitto", cell: (row, all) => ratio(row, all, perSecond) },
    cpu(cpuTitle),
    CORE,
    DRIVER,
    RSS
  ]
}

/** How many times this row's rate the driver's core would do, fed in chunks of the size that this broker writes. */
const HEADROOM: Column = {
  title: "headroom",
  cell: (row) => `${median(row, (report) => 1 / Math.max(0.001, report.driverShare)).toFixed(1)}x`
}

const FEWEST: Column = {
  title: "fewest/even",
  cell: (row) => median(row, (report) => report.fewestShare ?? 0).toFixed(2)
}

const PER_CONNECTION: Column = {
  title: "KiB/connection",
  cell: (row) => median(row, (report) => perClient(report) / 1024).toFixed(2)
}

function acknowledgeColumns(): readonly Column[] {
  return [
    number("PUBACKs/s", perSecond, significant),
    cpu("CPU us/message"),
    CORE,
    DRIVER,
    RSS,
    ...LATENCY,
    number("sync p50 us", (report) => report.sync?.p50),
    {
      title: "p50 / sync p50",
      cell: (row) => median(row, (report) => (report.latency?.p50 ?? 0) / Math.max(1, report.sync?.p50 ?? 0)).toFixed(2)
    },
    LATE
  ]
}

function journalColumns(): readonly Column[] {
  return [
    number("PUBACKs/s", perSecond, significant),
    journalColumn("entries/s", (report) => report.journal?.entriesPerSecond),
    journalColumn("syncs/s", (report) => report.journal?.syncsPerSecond),
    { title: "counted by", cell: (row) => row.reports[0]?.journal?.source ?? "nothing" },
    number("sync p50 us", (report) => report.sync?.p50),
    cpu("CPU us/message"),
    RSS
  ]
}

/** A dash where it was not counted: 0 would be a claim. */
function journalColumn(title: string, value: (report: Report) => number | undefined): Column {
  return {
    title,
    cell: (row) => {
      const known = row.reports.filter((report) => value(report) !== undefined)
      return known.length === 0 ? "-" : significant(median({ ...row, reports: known }, (report) => value(report) ?? 0))
    }
  }
}

function offlineColumns(): readonly Column[] {
  return [
    number("stored", (report) => report.store?.messages),
    number("store/s", (report) => report.store?.perSecond, significant),
    decimals("store CPU us", (report) => report.store?.brokerMicrosPerMessage),
    number("drained", (report) => report.drain?.messages),
    number("drain/s", (report) => report.drain?.perSecond, significant),
    decimals("drain CPU us", (report) => report.drain?.brokerMicrosPerMessage),
    number("lost", (report) => report.verdict.lost),
    number("twice", (report) => report.verdict.duplicates),
    number("out of order", (report) => report.verdict.reordered),
    DRIVER,
    RSS
  ]
}

function restartColumns(): readonly Column[] {
  return [
    number("ready ms", (report) => report.restart?.readyMs),
    number("empty ready ms", (report) => report.restart?.emptyReadyMs),
    decimals("RSS MiB", (report) => report.restart?.rssMiB),
    decimals("empty RSS MiB", (report) => report.restart?.emptyRssMiB),
    number("RSS B/subscription", perClient),
    decimals("disk MiB", (report) => report.restart?.diskMiB),
    decimals("made in s", (report) => report.restart?.populateSeconds),
    number("looked at", (report) => report.restart?.sample),
    number("sessions missing", (report) => report.sessionsMissing),
    number("subscriptions missing", (report) => report.restart?.subscriptionsMissing)
  ]
}

/** Growth of the broker's memory in bytes a client: a connection, or a session that waits. */
function perClient(report: Report): number {
  return ((report.brokerRssMiB - report.brokerRssMiBBefore) * 1024 ** 2) / Math.max(1, report.subscribers)
}

function isDriverBound(row: Row): boolean {
  if (row.reports.some((report) => report.lateness !== undefined || report.restart !== undefined)) return false
  return (
    median(row, (report) => report.driverShare) > FULL_SHARE && median(row, (report) => report.brokerShare) < FULL_SHARE
  )
}

function referenceOf(rows: readonly Row[]): Row | undefined {
  const measured = rows.filter(({ reports }) => reports.length > 0)
  return REFERENCES.map((name) => measured.find(({ broker }) => broker === name)).find((row) => row !== undefined)
}

function referenceName(rows: readonly Row[]): string {
  return referenceOf(rows)?.broker ?? REFERENCES[0] ?? ""
}

function ratio(row: Row, rows: readonly Row[], value: Value): string {
  const reference = referenceOf(rows)
  if (reference === undefined) return "-"
  return `${(median(row, value) / median(reference, value)).toFixed(2)}x`
}
