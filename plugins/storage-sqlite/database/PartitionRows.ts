/**
 * Partitions and their batches as rows: appended, cut, deleted from the old end, read; what all of it takes.
 *
 * Invariants
 *  - The figures of a partition's row (start, end, bytes, records) are those of its batches that end behind its start.
 *  - Batches that are forgotten are cut off by the log start at once; their rows go later, some at a time ({@link PartitionRows.sweep}).
 */
import { endOffsetOf, recordBatch } from "../../../core/log/mod.ts"
import type { BatchBounds, PartitionFigures, PartitionKey } from "../../../core/mod.ts"
import type { SqliteDatabase, SqliteRow, SqliteStatement } from "../../../core/platform/mod.ts"
import type { StoreStats } from "./messages.ts"

/** Rows that one sweep removes. */
const SWEEP_ROWS = 2_000

export const numberOf = (row: SqliteRow | undefined, name: string): number => Number(row?.[name] ?? 0)

/** A partition's row as this transaction has it. */
export interface Facts {
  readonly id: number
  readonly key: PartitionKey
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
  /** Bytes of batches that were forgotten and whose rows are still there, since the start. */
  #dueBytes = 0
  /** Bytes of batches by tenant; undefined until somebody asks. */
  #tenants: Map<number, number> | undefined
  /** What this transaction adds to the two. */
  #dueAdded = 0
  readonly #tenantsAdded = new Map<number, number>()

  constructor(database: SqliteDatabase) {
    this.#prepare = (sql) => database.prepare(sql)
  }

  get isSweepDue(): boolean {
    return this.#due.size > 0 || this.#areRemovedDue
  }

  get nextId(): number {
    return numberOf(this.sql("SELECT max(id) AS id FROM partition").get(), "id") + 1
  }

  made(id: number, tenant: number, topicId: string, partition: number): void {
    const insert = this.sql("INSERT OR IGNORE INTO partition VALUES (?, ?, ?, ?, 0, 0, 0, 0, 0, 0)")
    if (insert.run(id, tenant, topicId, partition) === 0) {
      // It is there already, or another row has its key: a removal may have been lost on its way, what took the place of the partition not.
      const same = "topic = ? AND number = ? AND tenant = ? AND is_removed = 0"
      const others = this.sql(`SELECT id FROM partition WHERE ${same} AND id <> ?`).all(topicId, partition, tenant, id)
      for (const row of others) this.removed(numberOf(row, "id"))
      this.rows += insert.run(id, tenant, topicId, partition)
      return
    }
    this.rows += 1
    const key = { tenant, topicId, partition }
    this.#open.set(id, { id, key, start: 0, end: 0, epoch: 0, bytes: 0, records: 0 })
  }

  appended(id: number, appendedAtMs: number, bytes: Uint8Array, start: number, end: number): void {
    const facts = this.facts(id)
    if (facts === undefined) return
    const base = recordBatch.baseOffset(bytes, start)
    if (base < facts.end) this.#cut(facts, base)
    const next = endOffsetOf(bytes, start)
    this.sql("INSERT INTO batch VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)").run(
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
    // One that was copied may be of an older epoch than its log.
    facts.epoch = Math.max(facts.epoch, recordBatch.partitionLeaderEpoch(bytes, start))
    facts.bytes += end - start
    facts.records += next - base
    this.#addTo(facts.key.tenant, end - start)
  }

  cut(id: number, end: number, leaderEpoch: number): void {
    const facts = this.facts(id)
    if (facts === undefined) return
    if (end < facts.end) this.#cut(facts, end)
    facts.epoch = Math.max(facts.epoch, leaderEpoch)
  }

  deleted(id: number, start: number): void {
    const facts = this.facts(id)
    if (facts === undefined || start <= facts.start) return
    const gone = this.#sum(id, {
      nextAfter: facts.start,
      nextUpTo: start,
      baseFrom: 0,
      baseBelow: Number.MAX_SAFE_INTEGER
    })
    this.forget(facts, Math.min(start, facts.end), gone.bytes, gone.records)
  }

  begun(id: number, start: number, leaderEpoch: number): void {
    const facts = this.facts(id)
    if (facts === undefined) return
    this.#cut(facts, 0)
    facts.start = start
    facts.end = start
    facts.epoch = Math.max(facts.epoch, leaderEpoch)
  }

  removed(id: number): void {
    const facts = this.facts(id)
    if (facts !== undefined) {
      this.#addTo(facts.key.tenant, -facts.bytes)
      this.#dueAdded += facts.bytes
    }
    this.#open.delete(id)
    this.rows += this.sql("UPDATE partition SET is_removed = 1 WHERE id = ?").run(id)
    this.#areRemovedDue = true
  }

  /** Writes the figures of what was changed, and tells them; the last step of a transaction. */
  flush(): ReadonlyArray<PartitionFigures> {
    const update = this.sql(
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

  /** The transaction is committed: what it has changed counts. */
  committed(): void {
    this.#dueBytes += this.#dueAdded
    for (const [tenant, bytes] of this.#tenantsAdded) {
      this.#tenants?.set(tenant, (this.#tenants.get(tenant) ?? 0) + bytes)
    }
    this.#uncounted()
  }

  /** Forgets what was not written: the transaction is undone. */
  reset(): void {
    this.#open.clear()
    this.#uncounted()
    this.#areRemovedDue = true
  }

  /** Removes rows that nobody can reach any more. */
  sweep(): void {
    const [id] = this.#due
    if (id !== undefined) {
      const gone = this.#swept(
        "DELETE FROM batch WHERE id IN (SELECT batch.id FROM batch JOIN partition ON partition.id = batch.partition " +
          "WHERE batch.partition = ? AND base < log_start AND next <= log_start LIMIT ?) RETURNING size",
        id
      )
      if (gone < SWEEP_ROWS) this.#due.delete(id)
      if (!this.isSweepDue) this.#dueBytes = 0
      return
    }
    const removed = this.sql("SELECT id FROM partition WHERE is_removed = 1 LIMIT 1").get()
    if (removed === undefined) {
      this.#areRemovedDue = false
      this.#dueBytes = 0
      return
    }
    const gone = this.#swept(
      "DELETE FROM batch WHERE id IN (SELECT id FROM batch WHERE partition = ? LIMIT ?) RETURNING size",
      numberOf(removed, "id")
    )
    if (gone < SWEEP_ROWS) {
      this.rows += this.sql("DELETE FROM partition WHERE id = ?").run(numberOf(removed, "id"))
    }
  }

  read(id: number, offset: number, end: number, bytesMax: number): Uint8Array {
    const rows = this.sql(
      "SELECT base, next, size, id FROM batch WHERE partition = ? AND base >= " +
        "coalesce((SELECT max(base) FROM batch WHERE partition = ? AND base <= ?), 0) AND base < ? ORDER BY base LIMIT ?"
    )
    const bytes = this.sql("SELECT bytes FROM batch WHERE id = ?")
    const found: Array<Uint8Array> = []
    let size = 0
    let from = offset
    let reached = offset
    for (let limit = 8, isOn = true; isOn; limit = 64) {
      const page = rows.all(id, id, from, end, limit)
      isOn = page.length === limit
      for (const row of page) {
        from = numberOf(row, "next")
        // A page that begins at the end of a batch finds that batch again where none begins there.
        if (from <= reached) continue
        reached = from
        const rowSize = numberOf(row, "size")
        if (found.length > 0 && size + rowSize > bytesMax) return joined(found, size)
        const blob = bytes.get(numberOf(row, "id"))?.["bytes"]
        if (!(blob instanceof Uint8Array)) return joined(found, size)
        found.push(blob)
        size += rowSize
      }
    }
    return joined(found, size)
  }

  /** The batch, or nothing. */
  atTime(id: number, offset: number, end: number, timestamp: number): Uint8Array {
    const row = this.sql(
      "SELECT base FROM batch WHERE partition = ? AND base >= " +
        "coalesce((SELECT max(base) FROM batch WHERE partition = ? AND base <= ?), 0) " +
        "AND base < ? AND next > ? AND max_timestamp >= ? ORDER BY base LIMIT 1"
    ).get(id, id, offset, end, offset, timestamp)
    return row === undefined ? new Uint8Array(0) : this.read(id, numberOf(row, "base"), end, 0)
  }

  /** Bytes of the batches within the bounds that end behind the log start. */
  sum(id: number, bounds: BatchBounds): number {
    const start = numberOf(this.sql("SELECT log_start FROM partition WHERE id = ?").get(id), "log_start")
    return this.#sum(id, { ...bounds, nextAfter: Math.max(start, bounds.nextAfter) }).bytes
  }

  stats(): Pick<StoreStats, "partitions" | "batches" | "bytes"> {
    const partitions = this.sql(
      "SELECT count(*) AS count, sum(bytes) AS bytes FROM partition WHERE is_removed = 0"
    ).get()
    const batches = this.sql("SELECT count(*) AS count FROM batch").get()
    return {
      partitions: numberOf(partitions, "count"),
      bytes: numberOf(partitions, "bytes"),
      batches: numberOf(batches, "count")
    }
  }

  #cut(facts: Facts, end: number): void {
    const { id } = facts
    const behind = Number.MAX_SAFE_INTEGER
    const gone = this.#sum(id, { nextAfter: facts.start, nextUpTo: behind, baseFrom: end, baseBelow: behind })
    facts.bytes -= gone.bytes
    facts.records -= gone.records
    this.#addTo(facts.key.tenant, -gone.bytes)
    this.rows += this.sql("DELETE FROM batch WHERE partition = ? AND base >= ?").run(id, end)
    this.sql("UPDATE compaction SET cleaned_to = ? WHERE partition = ? AND cleaned_to > ?").run(end, id, end)
    facts.end = end
    facts.start = Math.min(facts.start, end)
  }

  #sum(id: number, { nextAfter, nextUpTo, baseFrom, baseBelow }: BatchBounds): { bytes: number; records: number } {
    const row = this.sql(
      "SELECT sum(size) AS bytes, sum(next - base) AS records FROM batch " +
        "WHERE partition = ? AND base >= ? AND base < ? AND next > ? AND next <= ?"
    ).get(id, baseFrom, Math.min(baseBelow, nextUpTo), nextAfter, nextUpTo)
    return { bytes: numberOf(row, "bytes"), records: numberOf(row, "records") }
  }

  /** The log starts at `start` now: batches of so many bytes and records are forgotten. */
  forget(facts: Facts, start: number, bytes: number, records: number): void {
    facts.start = start
    facts.bytes -= bytes
    facts.records -= records
    this.#addTo(facts.key.tenant, -bytes)
    this.#dueAdded += bytes
    this.#due.add(facts.id)
  }

  /** Batches of a log have so many bytes and offsets more. */
  resized(facts: Facts, bytes: number, records: number): void {
    facts.bytes += bytes
    facts.records += records
    this.#addTo(facts.key.tenant, bytes)
  }

  /** Bytes and records of the batches of a log that end up to `end`. */
  sumUpTo({ id, start }: Facts, end: number): { readonly bytes: number; readonly records: number } {
    return this.#sum(id, { nextAfter: start, nextUpTo: end, baseFrom: 0, baseBelow: Number.MAX_SAFE_INTEGER })
  }

  /** The partition, to be changed: {@link PartitionRows.flush} writes it. */
  facts(id: number): Facts | undefined {
    const known = this.#open.get(id)
    if (known !== undefined) return known
    const facts = this.look(id)
    if (facts !== undefined) this.#open.set(id, facts)
    return facts
  }

  /** The partition, to be looked at. */
  look(id: number): Facts | undefined {
    const known = this.#open.get(id)
    if (known !== undefined) return known
    const row = this.sql("SELECT * FROM partition WHERE id = ? AND is_removed = 0").get(id)
    if (row === undefined) return undefined
    return {
      id,
      key: { tenant: numberOf(row, "tenant"), topicId: String(row["topic"]), partition: numberOf(row, "number") },
      start: numberOf(row, "log_start"),
      end: numberOf(row, "log_end"),
      epoch: numberOf(row, "leader_epoch"),
      bytes: numberOf(row, "bytes"),
      records: numberOf(row, "records")
    }
  }

  get knowsTenants(): boolean {
    return this.#tenants !== undefined
  }

  /** What batches take: all that lie here and are not forgotten, by tenant. */
  tenants(): ReadonlyArray<readonly [tenant: number, bytes: number]> {
    this.#tenants ??= new Map(
      this.sql("SELECT tenant, sum(bytes) AS bytes FROM partition WHERE is_removed = 0 GROUP BY tenant")
        .all()
        .map((row) => [numberOf(row, "tenant"), numberOf(row, "bytes")])
    )
    return [...this.#tenants]
  }

  /** Bytes of the database that hold something, less what is about to go; and those that are free to be written over. */
  pages(): { readonly used: number; readonly free: number } {
    const pragma = (name: string): number => numberOf(this.sql(`PRAGMA ${name}`).get(), name)
    const size = pragma("page_size")
    const free = pragma("freelist_count") * size
    return { used: Math.max(0, pragma("page_count") * size - free - this.#dueBytes), free: free + this.#dueBytes }
  }

  #addTo(tenant: number, bytes: number): void {
    this.#tenantsAdded.set(tenant, (this.#tenantsAdded.get(tenant) ?? 0) + bytes)
  }

  #uncounted(): void {
    this.#dueAdded = 0
    this.#tenantsAdded.clear()
  }

  /** Deletes some rows of a partition; returns how many went. */
  #swept(text: string, id: number): number {
    const gone = this.sql(text).all(id, SWEEP_ROWS)
    for (const row of gone) this.#dueBytes = Math.max(0, this.#dueBytes - numberOf(row, "size"))
    this.rows += gone.length
    return gone.length
  }

  /** A statement, prepared once. */
  sql(text: string): SqliteStatement {
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
