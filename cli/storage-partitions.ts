/** What `manifold storage stats` tells of each topic's partitions, and of all that an engine keeps. */
import type { DirectoryReport } from "../core/inspect/inspect-directory.ts"
import type { PartitionReport } from "../core/plugin/Inspection.ts"
import { columns } from "./plugin-facts.ts"

/** A partition with where it lies and how its topic is called. */
interface Row extends PartitionReport {
  readonly store: number
  /** The topic's id where no name is known. */
  readonly topic: string
}

interface Totals {
  readonly engine: string
  partitions: number
  segments: number
  records: number
  bytes: number
  indexBytes: number
}

/** By topic, then by partition. */
function rowsOf({ parts, topicNames }: DirectoryReport): ReadonlyArray<Row> {
  const rows: Array<Row> = []
  for (const { store, partitions } of parts) {
    for (const partition of partitions ?? []) {
      rows.push({ ...partition, store, topic: topicNames.get(partition.topicId) ?? partition.topicId })
    }
  }
  return rows.sort(
    (one, other) => one.tenant - other.tenant || order(one.topic, other.topic) || one.partition - other.partition
  )
}

function order(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1
}

/** By engine. */
function totalsOf(rows: ReadonlyArray<Row>): ReadonlyArray<Totals> {
  const totals = new Map<string, Totals>()
  for (const { engine, segments, records, bytes, indexBytes } of rows) {
    const own = totals.get(engine) ?? { engine, partitions: 0, segments: 0, records: 0, bytes: 0, indexBytes: 0 }
    totals.set(engine, own)
    own.partitions += 1
    own.segments += segments
    own.records += records
    own.bytes += bytes
    own.indexBytes += indexBytes
  }
  return [...totals.values()].sort((one, other) => order(one.engine, other.engine))
}

/** Two tables, with an empty line before each; nothing where there are no partitions. */
export function partitionTables(report: DirectoryReport): ReadonlyArray<string> {
  const rows = rowsOf(report)
  if (rows.length === 0) return []
  const head = [
    "TOPIC",
    "PARTITION",
    "STORE",
    "ENGINE",
    "SEGMENTS",
    "BYTES",
    "INDEX",
    "RECORDS",
    "FIRST",
    "LAST",
    "FROM",
    "TO"
  ]
  const lines = rows.map((row) => [
    row.topic,
    ...[row.partition, row.store, row.engine, row.segments, row.bytes, row.indexBytes, row.records].map(String),
    ...(row.logStart < row.logEnd ? [String(row.logStart), String(row.logEnd - 1)] : ["-", "-"]),
    timeOf(row.firstTimestamp) ?? "-",
    timeOf(row.lastTimestamp) ?? "-"
  ])
  const totals = totalsOf(rows).map(({ engine, partitions, segments, bytes, indexBytes, records }) => [
    engine,
    ...[partitions, segments, bytes, indexBytes, records].map(String)
  ])
  const totalsHead = ["ENGINE", "PARTITIONS", "SEGMENTS", "BYTES", "INDEX", "RECORDS"]
  return ["", ...columns([head, ...lines]), "", ...columns([totalsHead, ...totals])]
}

/** The same for programs. */
export function partitionsAsJson(report: DirectoryReport): { readonly topics: unknown; readonly engines: unknown } {
  const rows = rowsOf(report)
  return {
    topics: rows.map((row) => ({
      topic: row.topic,
      topic_id: row.topicId,
      tenant: row.tenant,
      partition: row.partition,
      store: row.store,
      engine: row.engine,
      segments: row.segments,
      bytes: row.bytes,
      index_bytes: row.indexBytes,
      records: row.records,
      first_offset: row.logStart < row.logEnd ? row.logStart : null,
      last_offset: row.logStart < row.logEnd ? row.logEnd - 1 : null,
      first_time: timeOf(row.firstTimestamp) ?? null,
      last_time: timeOf(row.lastTimestamp) ?? null
    })),
    engines: totalsOf(rows).map(({ engine, partitions, segments, bytes, indexBytes, records }) => ({
      ...{ engine, partitions, segments, bytes, index_bytes: indexBytes, records }
    }))
  }
}

/** Producers may send any number as a time. */
function timeOf(milliseconds: number | undefined): string | undefined {
  if (milliseconds === undefined) return undefined
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) ? String(milliseconds) : date.toISOString()
}
