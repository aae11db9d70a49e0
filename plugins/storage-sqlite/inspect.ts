/**
 * Looks at a store's database without changing it, beside a node that writes it or without one: `manifold storage verify` and `stats`.
 *
 * Source: docs/formats/sqlite.md.
 */
import { join } from "node:path"
import { Effect } from "effect"
import {
  checkStoredBatch,
  type Damage,
  endOffsetOf,
  type FilesShape,
  type Inspect,
  type InspectionRequest,
  type PartitionReport,
  type PartReport,
  PluginError,
  recordBatch,
  type SqliteDatabase,
  SqliteError,
  type SqliteRow
} from "../../core/mod.ts"
import { explain, openForReading } from "./database/schema.ts"
import { ENGINE } from "./engine.ts"
import { DATABASE_NAME } from "./SqliteStore.ts"

/** There while somebody has the database open, and after a crash. */
const LOG_NAME = `${DATABASE_NAME}-wal`
/** What SQLite keeps while the database is open, and after a crash. */
export const DATABASE_NAMES = [DATABASE_NAME, LOG_NAME, `${DATABASE_NAME}-shm`]
const TABLES = ["state", "key_value", "partition", "batch"]
const CACHE_BYTES = 4_194_304
const ROWS_PER_STEP = 64
/** Damaged places that are told one by one. */
const DAMAGE_MAX = 100
const REMEDY = "restore a backup of the store"

const number = (row: SqliteRow | undefined, name: string): number => Number(row?.[name] ?? 0)

export const inspect: Inspect = (_options, request) =>
  Effect.gen(function* () {
    const names = yield* request.files.list(request.directory)
    if (!names.includes(DATABASE_NAME)) return []
    const present = DATABASE_NAMES.filter((name) => names.includes(name))
    // Files that a reader makes would be its user's own, and keep the node's from opening the database.
    const isAtRest = !names.includes(LOG_NAME)
    let report = yield* Effect.promise(() => look(request, isAtRest))
    if (isAtRest && report.damage.length > 0 && (yield* request.files.list(request.directory)).includes(LOG_NAME)) {
      // A node came meanwhile, and wrote what was being read.
      report = yield* Effect.promise(() => look(request, false))
    }
    const bytes = present.reduce((sum, name) => sum + sizeOf(request.files, join(request.directory, name)), 0)
    return [{ part: "database", names: DATABASE_NAMES, bytes, notes: [], ...report }]
  }).pipe(Effect.mapError((error) => new PluginError({ plugin: "storage-sqlite", message: error.message })))

async function look(
  { depth, directory, pace }: InspectionRequest,
  isAtRest: boolean
): Promise<Pick<PartReport, "counts" | "damage" | "partitions">> {
  const pathname = join(directory, DATABASE_NAME)
  const damage: Array<Damage> = []
  let counts: Record<string, number> = {}
  const partitions: Array<PartitionReport> = []
  let database: SqliteDatabase | undefined
  const tell = (message: string): void => {
    if (damage.length < DAMAGE_MAX) damage.push({ pathname, message, remedy: REMEDY })
  }
  try {
    database = openForReading(pathname, CACHE_BYTES, isAtRest)
    counts = countsOf(database)
    if (depth === "stats") await reportPartitions(database, pace, partitions)
    if (depth === "verify") {
      for (const table of TABLES) {
        for (const row of database.prepare(`PRAGMA integrity_check(${table})`).all()) {
          const [found] = Object.values(row)
          if (found !== "ok") tell(String(found).replaceAll("\n", " "))
        }
        // The tables are the database, about.
        await pace(sizeOfPages(database) / TABLES.length)
      }
      await checkBatches(database, pace, tell)
    }
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error
    const message = error.message.startsWith(`${pathname}: `)
      ? error.message.slice(pathname.length + 2)
      : explain(error)
    tell(message)
  } finally {
    database?.close()
  }
  return { counts, damage, ...(depth === "stats" && { partitions }) }
}

/** Tells each partition, some rows at a time; of batches the index and the header of the oldest are read. */
async function reportPartitions(
  database: SqliteDatabase,
  pace: InspectionRequest["pace"],
  partitions: Array<PartitionReport>
): Promise<void> {
  const page = database.prepare(
    "SELECT id, tenant, topic, number, log_start, log_end, bytes, records, " +
      "(SELECT max(max_timestamp) FROM batch WHERE partition = p.id) AS latest, " +
      `(SELECT substr(bytes, 1, ${recordBatch.RECORDS_POSITION}) FROM batch WHERE partition = p.id ORDER BY base LIMIT 1) AS oldest ` +
      "FROM partition p WHERE is_removed = 0 AND id > ? ORDER BY id LIMIT ?"
  )
  for (let last = -1; ; ) {
    const rows = page.all(last, ROWS_PER_STEP)
    for (const row of rows) {
      last = number(row, "id")
      const { oldest } = row
      const isThere = oldest instanceof Uint8Array && oldest.length === recordBatch.RECORDS_POSITION
      partitions.push({
        engine: ENGINE,
        tenant: number(row, "tenant"),
        topicId: String(row["topic"]),
        partition: number(row, "number"),
        segments: 0,
        bytes: number(row, "bytes"),
        indexBytes: 0,
        records: number(row, "records"),
        logStart: number(row, "log_start"),
        logEnd: number(row, "log_end"),
        ...(isThere && {
          firstTimestamp: recordBatch.baseTimestamp(oldest, 0),
          lastTimestamp: number(row, "latest")
        })
      })
    }
    await pace(rows.length * recordBatch.RECORDS_POSITION)
    if (rows.length < ROWS_PER_STEP) return
  }
}

function countsOf(database: SqliteDatabase): Record<string, number> {
  const state = database.prepare("SELECT applied, keys FROM state").get()
  const partitions = database.prepare(
    "SELECT count(*) AS count, sum(bytes) AS bytes, sum(records) AS records FROM partition WHERE is_removed = 0"
  )
  const found = partitions.get()
  return {
    journal_index: number(state, "applied"),
    keys: number(state, "keys"),
    partitions: number(found, "count"),
    batches: number(database.prepare("SELECT count(*) AS count FROM batch").get(), "count"),
    records: number(found, "records"),
    batch_bytes: number(found, "bytes")
  }
}

function sizeOfPages(database: SqliteDatabase): number {
  const pragma = (name: string): number => number(database.prepare(`PRAGMA ${name}`).get(), name)
  return pragma("page_count") * pragma("page_size")
}

/** Reads every batch, some rows at a time, and compares it with its checksum and with the columns beside it. */
async function checkBatches(
  database: SqliteDatabase,
  pace: (bytes: number) => Promise<void>,
  tell: (message: string) => void
): Promise<void> {
  const page = database.prepare(
    "SELECT id, partition, base, next, size, bytes FROM batch WHERE id > ? ORDER BY id LIMIT ?"
  )
  for (let last = 0; ; ) {
    const rows = page.all(last, ROWS_PER_STEP)
    let size = 0
    for (const row of rows) {
      last = number(row, "id")
      const bytes = row["bytes"]
      if (bytes instanceof Uint8Array && isWhole(bytes, row)) size += bytes.length
      else
        tell(
          `the batch at offset ${number(row, "base")} of partition ${number(row, "partition")} is not as it was written`
        )
    }
    await pace(size)
    if (rows.length < ROWS_PER_STEP) return
  }
}

function isWhole(bytes: Uint8Array, row: SqliteRow): boolean {
  if (bytes.length !== number(row, "size") || checkStoredBatch(bytes, 0, bytes.length) !== 0) return false
  const base = recordBatch.baseOffset(bytes, 0)
  return base === number(row, "base") && endOffsetOf(bytes, 0) === number(row, "next")
}

function sizeOf(files: FilesShape, pathname: string): number {
  try {
    const file = files.openUnsafe(pathname, "read")
    try {
      return file.sizeUnsafe()
    } finally {
      file.close()
    }
  } catch {
    // It went while we looked.
    return 0
  }
}
