/**
 * Partitions and their batches as rows: appended, cut, deleted from the old end, trimmed to their bounds, read.
 *
 * Invariants
 *  - The figures of a partition's row (start, end, bytes, records) are those of its batches that end behind its start.
 *  - Batches that are forgotten are cut off by the log start at once; their rows go later, some at a time ({@link PartitionRows.sweep}).
 */
import { endOffsetOf, recordBatch } from "../../../core/log/mod.ts"
import type { BatchBounds, PartitionFigures, TrimTask } from "../../../core/mod.ts"
import type { SqliteDatabase, SqliteRow, SqliteStatement } from "../../../core/platform/mod.ts"
import type { StoreStats } from "./messages.ts"

/** Rows that one sweep removes. */
const SWEEP_ROWS = 2_000
/** Batches that one trim of a partition looks at. */
const TRIM_BATCHES_MAX = 10_000

const number = (row: SqliteRow | undefined, name: string): number => Number(row?.[name] ?? 0)

interface Facts {
  readonly id: number
  start: number
  end: number
  epoch: number
  bytes: number
  records: number
}

export class PartitionRows {
  /** Rows written or removed. */
  rows = 0
  readonly #prepare: (sql: string) => SqliteStatement
  readonly #statements = new Map<string, SqliteStatement>()
  /** Partitions that this transaction has changed. */
  readonly #open = new Map<number, Facts>()
  /** Partitions with batches below their start. */
  readonly #due = new Set<number>()
  #areRemovedDue = true

  constructor(database: SqliteDatabase) {
    this.#prepare = (sql) => database.prepare(sql)
  }

  get isSweepDue(): boolean {
    return this.#due.size > 0 || this.#areRemovedDue
  }

  get nextId(): number {
    return number(this.#sql("SELECT max(id) AS id FROM partition").get(), "id") + 1
  }

  made(id: number, tenant: number, topicId: string, partition: number): void {
    // A removal may have been lost on its way, what took the place of the partition not.
    const same = "topic = ? AND number = ? AND tenant = ? AND is_removed = 0"
    const others = this.#sql(`SELECT id FROM partition WHERE ${same} AND id <> ?`).all(topicId, partition, tenant, id)
    for (const row of others) this.removed(number(row, "id"))
    this.rows += this.#sql("INSERT OR IGNORE INTO partition VALUES (?, ?, ?, ?, 0, 0, 0, 0, 0, 0)").run(
      id,
      tenant,
      topicId,
      partition
    )
  }

  appended(id: number, appendedAtMs: number, bytes: Uint8Array, start: number, end: number): void {
    const facts = this.#facts(id)
    if (facts === undefined) return
    const base = recordBatch.baseOffset(bytes, start)
    if (base < facts.end) this.#cut(facts, base)
    const next = endOffsetOf(bytes, start)
    this.#sql("INSERT INTO batch VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)").run(
      id,
      base,
      next,
      recordBatch.maxTimestamp(bytes, start),
      appendedAtMs,
      end - start,
      bytes.subarray(start, end)
    )
    this.rows += 1
    // A log that keeps nothing starts where its first batch does.
    if (facts.records === 0) facts.start = Math.max(facts.start, base)
    facts.end = next
    facts.epoch = recordBatch.partitionLeaderEpoch(bytes, start)
    facts.bytes += end - start
    facts.records += next - base
  }

  cut(id: number, end: number, leaderEpoch: number): void {
    const facts = this.#facts(id)
    if (facts === undefined) return
    if (end < facts.end) this.#cut(facts, end)
    facts.epoch = Math.max(facts.epoch, leaderEpoch)
  }

  deleted(id: number, start: number): void {
    const facts = this.#facts(id)
    if (facts === undefined || start <= facts.start) return
    const gone = this.#sum(id, {
      nextAfter: facts.start,
      nextUpTo: start,
      baseFrom: 0,
      baseBelow: Number.MAX_SAFE_INTEGER
    })
    this.#forget(facts, Math.min(start, facts.end), gone.bytes, gone.records)
  }

  removed(id: number): void {
    this.#open.delete(id)
    this.rows += this.#sql("UPDATE partition SET is_removed = 1 WHERE id = ?").run(id)
    this.#areRemovedDue = true
  }

  /** Writes the figures of what was changed, and tells them; the last step of a transaction. */
  flush(): ReadonlyArray<PartitionFigures> {
    const update = this.#sql(
      "UPDATE partition SET log_start = ?, log_end = ?, leader_epoch = ?, bytes = ?, records = ? WHERE id = ?"
    )
    const figures: Array<PartitionFigures> = []
    for (const { id, start, end, epoch, bytes, records } of this.#open.values()) {
      this.rows += update.run(start, end, epoch, bytes, records, id)
      figures.push({ id, logStart: start, bytes })
    }
    this.#open.clear()
    return figures
  }

  /** Forgets what was not written: the transaction is undone. */
  reset(): void {
    this.#open.clear()
    this.#areRemovedDue = true
  }

  /** Forgets from the old end what the bounds do not allow; the newest batch stays. */
  trim({ id, sizeBytesMax, recordsMax, appendedBeforeMs }: TrimTask): void {
    const facts = this.#facts(id)
    if (facts === undefined) return
    const isOver = (bytes: number, records: number): boolean =>
      facts.bytes - bytes > sizeBytesMax || facts.records - records > recordsMax
    if (!isOver(0, 0) && appendedBeforeMs === 0) return
    const oldest = this.#sql(
      "SELECT base, next, appended_at, size FROM batch WHERE partition = ? AND base >= ? ORDER BY base LIMIT ?"
    )
    const first = number(
      this.#sql("SELECT max(base) AS base FROM batch WHERE partition = ? AND base <= ?").get(id, facts.start),
      "base"
    )
    let bytes = 0
    let records = 0
    let start = facts.start
    let from = first
    const isDue = (row: SqliteRow): boolean =>
      number(row, "next") < facts.end &&
      (isOver(bytes, records) || (appendedBeforeMs > 0 && number(row, "appended_at") < appendedBeforeMs))
    for (let limit = 4, seen = 0; seen < TRIM_BATCHES_MAX; limit = 256) {
      const rows = oldest.all(id, from, limit)
      let isOn = rows.length === limit
      for (const row of rows) {
        seen += 1
        from = number(row, "next")
        if (from <= facts.start) continue
        if (!isDue(row)) {
          isOn = false
          break
        }
        bytes += number(row, "size")
        records += from - number(row, "base")
        start = from
      }
      if (!isOn) break
    }
    if (start !== facts.start) this.#forget(facts, start, bytes, records)
  }

  /** Removes rows that nobody can reach any more. */
  sweep(): void {
    const [id] = this.#due
    if (id !== undefined) {
      const gone = this.#sql(
        "DELETE FROM batch WHERE id IN (SELECT batch.id FROM batch JOIN partition ON partition.id = batch.partition " +
          "WHERE batch.partition = ? AND base < log_start AND next <= log_start LIMIT ?)"
      ).run(id, SWEEP_ROWS)
      this.rows += gone
      if (gone < SWEEP_ROWS) this.#due.delete(id)
      return
    }
    const removed = this.#sql("SELECT id FROM partition WHERE is_removed = 1 LIMIT 1").get()
    if (removed === undefined) {
      this.#areRemovedDue = false
      return
    }
    const gone = this.#sql("DELETE FROM batch WHERE id IN (SELECT id FROM batch WHERE partition = ? LIMIT ?)").run(
      number(removed, "id"),
      SWEEP_ROWS
    )
    this.rows += gone
    if (gone < SWEEP_ROWS) {
      this.rows += this.#sql("DELETE FROM partition WHERE id = ?").run(number(removed, "id"))
    }
  }

  read(id: number, offset: number, end: number, bytesMax: number): Uint8Array {
    const rows = this.#sql(
      "SELECT base, next, size, id FROM batch WHERE partition = ? AND base >= " +
        "coalesce((SELECT max(base) FROM batch WHERE partition = ? AND base <= ?), 0) AND base < ? ORDER BY base LIMIT ?"
    )
    const bytes = this.#sql("SELECT bytes FROM batch WHERE id = ?")
    const found: Array<Uint8Array> = []
    let size = 0
    let from = offset
    let reached = offset
    for (let limit = 8, isOn = true; isOn; limit = 64) {
      const page = rows.all(id, id, from, end, limit)
      isOn = page.length === limit
      for (const row of page) {
        from = number(row, "next")
        // A page that begins at the end of a batch finds that batch again where none begins there.
        if (from <= reached) continue
        reached = from
        const rowSize = number(row, "size")
        if (found.length > 0 && size + rowSize > bytesMax) return joined(found, size)
        const blob = bytes.get(number(row, "id"))?.["bytes"]
        if (!(blob instanceof Uint8Array)) return joined(found, size)
        found.push(blob)
        size += rowSize
      }
    }
    return joined(found, size)
  }

  /** The batch, or nothing. */
  atTime(id: number, offset: number, end: number, timestamp: number): Uint8Array {
    const row = this.#sql(
      "SELECT base FROM batch WHERE partition = ? AND base >= " +
        "coalesce((SELECT max(base) FROM batch WHERE partition = ? AND base <= ?), 0) " +
        "AND base < ? AND next > ? AND max_timestamp >= ? ORDER BY base LIMIT 1"
    ).get(id, id, offset, end, offset, timestamp)
    return row === undefined ? new Uint8Array(0) : this.read(id, number(row, "base"), end, 0)
  }

  /** Bytes of the batches within the bounds that end behind the log start. */
  sum(id: number, bounds: BatchBounds): number {
    const start = number(this.#sql("SELECT log_start FROM partition WHERE id = ?").get(id), "log_start")
    return this.#sum(id, { ...bounds, nextAfter: Math.max(start, bounds.nextAfter) }).bytes
  }

  stats(): Pick<StoreStats, "partitions" | "batches" | "bytes"> {
    const partitions = this.#sql(
      "SELECT count(*) AS count, sum(bytes) AS bytes FROM partition WHERE is_removed = 0"
    ).get()
    const batches = this.#sql("SELECT count(*) AS count FROM batch").get()
    return {
      partitions: number(partitions, "count"),
      bytes: number(partitions, "bytes"),
      batches: number(batches, "count")
    }
  }

  #cut(facts: Facts, end: number): void {
    const { id } = facts
    const behind = Number.MAX_SAFE_INTEGER
    const gone = this.#sum(id, { nextAfter: facts.start, nextUpTo: behind, baseFrom: end, baseBelow: behind })
    facts.bytes -= gone.bytes
    facts.records -= gone.records
    this.rows += this.#sql("DELETE FROM batch WHERE partition = ? AND base >= ?").run(id, end)
    facts.end = end
    facts.start = Math.min(facts.start, end)
  }

  #sum(id: number, { nextAfter, nextUpTo, baseFrom, baseBelow }: BatchBounds): { bytes: number; records: number } {
    const row = this.#sql(
      "SELECT sum(size) AS bytes, sum(next - base) AS records FROM batch " +
        "WHERE partition = ? AND base >= ? AND base < ? AND next > ? AND next <= ?"
    ).get(id, baseFrom, Math.min(baseBelow, nextUpTo), nextAfter, nextUpTo)
    return { bytes: number(row, "bytes"), records: number(row, "records") }
  }

  #forget(facts: Facts, start: number, bytes: number, records: number): void {
    facts.start = start
    facts.bytes -= bytes
    facts.records -= records
    this.#due.add(facts.id)
  }

  #facts(id: number): Facts | undefined {
    const known = this.#open.get(id)
    if (known !== undefined) return known
    const row = this.#sql("SELECT * FROM partition WHERE id = ? AND is_removed = 0").get(id)
    if (row === undefined) return undefined
    const facts = {
      id,
      start: number(row, "log_start"),
      end: number(row, "log_end"),
      epoch: number(row, "leader_epoch"),
      bytes: number(row, "bytes"),
      records: number(row, "records")
    }
    this.#open.set(id, facts)
    return facts
  }

  #sql(text: string): SqliteStatement {
    let statement = this.#statements.get(text)
    if (statement === undefined) {
      statement = this.#prepare(text)
      this.#statements.set(text, statement)
    }
    return statement
  }
}

function joined(pieces: ReadonlyArray<Uint8Array>, size: number): Uint8Array {
  const [first] = pieces
  if (first !== undefined && pieces.length === 1 && first.byteOffset === 0 && first.buffer.byteLength === size)
    return first
  const bytes = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}
