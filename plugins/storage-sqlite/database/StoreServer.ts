/**
 * A store's database at work: requests in, answers out, one after the other. Runs in the storage thread, and inline in tests.
 *
 * Invariants
 *  - A checkpoint is one transaction: its parts, the bounds of what they touched, and up to which entry of the journal it goes. What is
 *    asked between two parts sees the parts; that changes no answer, for the asker holds the same in memory.
 *  - After a part that failed the transaction is undone, and the commit tells why.
 */
import { ByteWriter } from "../../../core/link/mod.ts"
import type { PartitionFigures } from "../../../core/mod.ts"
import { type SqliteDatabase, SqliteError, type SqliteRow, type SqliteStatement } from "../../../core/platform/mod.ts"
import { CompactionRows } from "./CompactionRows.ts"
import type { Answer, Answers, CommitAnswer, Failure, RangeAnswer, Request, RequestOf } from "./messages.ts"
import { type OperationTarget, readOperation } from "./operations.ts"
import { PartitionRows } from "./PartitionRows.ts"
import { RowRetention } from "./RowRetention.ts"
import { explain, openDatabase } from "./schema.ts"

const bytesOf = (row: SqliteRow, name: string): Uint8Array => {
  const value = row[name]
  return value instanceof Uint8Array ? value : new Uint8Array(0)
}

interface Statements {
  readonly insert: SqliteStatement
  readonly update: SqliteStatement
  readonly remove: SqliteStatement
  readonly removeRange: SqliteStatement
  readonly range: SqliteStatement
  readonly keys: SqliteStatement
  readonly state: SqliteStatement
  readonly setState: SqliteStatement
}

export class StoreServer implements OperationTarget {
  readonly #openDatabase: typeof openDatabase
  #database: SqliteDatabase | undefined
  #pathname = ""
  #partitions: PartitionRows | undefined
  #retention: RowRetention | undefined
  #compaction: CompactionRows | undefined
  #statements: Statements | undefined
  #isInTransaction = false
  #failure: Failure | undefined
  /** Keys in the database, and at the beginning of the transaction. */
  #keys = 0
  #keysBefore = 0
  #keyRows = 0

  /** `open` is another one only in tests, which look into the database. */
  constructor(open = openDatabase) {
    this.#openDatabase = open
  }

  /** Does what is asked; undefined where no answer is due. Never throws. */
  handle(request: Request): Answer | undefined {
    try {
      if (request.kind === "part") {
        this.#part(request.bytes)
        return undefined
      }
      return { value: this.#answer(request) }
    } catch (error) {
      const failure = this.#failureOf(error)
      if (request.kind !== "part") return { failure }
      this.#undo()
      this.#failure = failure
      return undefined
    }
  }

  keyPut(key: Uint8Array, value: Uint8Array, isNew: boolean): void {
    const { insert, update } = this.#prepared()
    this.#keyRows += 1
    if (!isNew && update.run(value, key) > 0) return
    insert.run(key, value)
    this.#keys += 1
  }

  keyRemoved(key: Uint8Array): void {
    const gone = this.#prepared().remove.run(key)
    this.#keyRows += gone
    this.#keys -= gone
  }

  keysRemoved(start: Uint8Array, end: Uint8Array): void {
    const gone = this.#prepared().removeRange.run(start, end)
    this.#keyRows += gone
    this.#keys -= gone
  }

  partitionMade(id: number, tenant: number, topicId: string, partition: number): void {
    this.#rows().made(id, tenant, topicId, partition)
  }

  batchAppended(id: number, appendedAtMs: number, bytes: Uint8Array, start: number, end: number): void {
    this.#rows().appended(id, appendedAtMs, bytes, start, end)
  }

  logCut(id: number, end: number, leaderEpoch: number): void {
    this.#rows().cut(id, end, leaderEpoch)
  }

  logDeleted(id: number, start: number): void {
    this.#rows().deleted(id, start)
  }

  logBegun(id: number, start: number, leaderEpoch: number): void {
    this.#rows().begun(id, start, leaderEpoch)
  }

  partitionRemoved(id: number): void {
    this.#rows().removed(id)
  }

  #answer(request: Exclude<Request, { kind: "part" }>): Answers[Request["kind"]] {
    switch (request.kind) {
      case "open":
        return this.#open(request)
      case "commit":
        return this.#commit(request)
      case "range":
        return this.#range(request)
      case "keys":
        return this.#keysFrom(request)
      case "read":
        return { bytes: this.#rows().read(request.id, request.offset, request.end, request.bytesMax) }
      case "time":
        return { bytes: this.#rows().atTime(request.id, request.offset, request.end, request.timestamp) }
      case "sum":
        return { bytes: this.#rows().sum(request.id, request.bounds) }
      case "use": {
        const rows = this.#rows()
        const { used, free } = rows.pages()
        // Rows that a transaction has changed are not to be added up: it will tell what it changes.
        const tenants = rows.knowsTenants || !this.#isInTransaction ? rows.tenants() : []
        return { usedBytes: used, freeBytes: free, tenants }
      }
      case "oldest":
        return { pieces: this.#retained().oldest(request.bytesMax, request.tenant) }
      case "sweep":
        return this.#sweep()
      case "survey":
        return { found: this.#compacted().survey(request.id) }
      case "piece":
        return { piece: this.#compacted().piece(request.id, request.from) }
      case "replace":
        return { figures: this.#replace(request) }
      case "backup":
        this.#opened().prepare("VACUUM INTO ?").run(request.pathname)
        return { applied: Number(this.#prepared().state.get()?.["applied"]) }
      case "stats": {
        const applied = Number(this.#prepared().state.get()?.["applied"])
        return { keys: this.#keys, applied, ...this.#rows().stats() }
      }
      case "close":
        this.#undo()
        this.#database?.close()
        this.#database = undefined
        return {}
    }
  }

  #open({ pathname, cacheBytes, walBytes }: RequestOf<"open">): Answers["open"] {
    const database = this.#openDatabase(pathname, { cacheBytes, walBytes })
    this.#database = database
    this.#pathname = pathname
    this.#partitions = new PartitionRows(database)
    this.#retention = new RowRetention(this.#partitions)
    this.#statements = {
      insert: database.prepare("INSERT OR REPLACE INTO key_value VALUES (?, ?)"),
      update: database.prepare("UPDATE key_value SET value = ? WHERE key = ?"),
      remove: database.prepare("DELETE FROM key_value WHERE key = ?"),
      removeRange: database.prepare("DELETE FROM key_value WHERE key >= ? AND key < ?"),
      // Without the end: to compare a key with it SQLite reads the whole row, and once more where it is found by its key.
      range: database.prepare("SELECT key, value FROM key_value WHERE key >= ? ORDER BY key LIMIT ?"),
      keys: database.prepare("SELECT key FROM key_value WHERE key >= ? ORDER BY key LIMIT ?"),
      state: database.prepare("SELECT * FROM state"),
      setState: database.prepare(
        "UPDATE state SET applied = ?, is_clean = ?, epoch_base = ?, epoch_last = ?, epoch_limit = ?, keys = ?"
      )
    }
    const row = this.#statements.state.get()
    const number = (name: string): number => Number(row?.[name])
    this.#keys = number("keys")
    return {
      applied: number("applied"),
      isClean: number("is_clean") === 1,
      epochBase: number("epoch_base"),
      epochLast: number("epoch_last"),
      epochLimit: number("epoch_limit"),
      keys: this.#keys,
      nextPartition: this.#partitions.nextId
    }
  }

  #part(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return
    this.#begin()
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < bytes.length; ) {
      const start = at + 4
      at = start + view.getUint32(at)
      readOperation(bytes, start, at, this)
    }
  }

  #commit({ state, trims, deletions }: RequestOf<"commit">): CommitAnswer {
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw new SqliteError(failure.fault, failure.message)
    try {
      this.#begin()
      const rows = this.#rows()
      const retention = this.#retained()
      for (const task of trims) retention.trim(task)
      for (const deletion of deletions) retention.deleteOldest(deletion)
      const figures = rows.flush()
      const { applied, isClean, epochBase, epochLast, epochLimit } = state
      this.#prepared().setState.run(applied, isClean ? 1 : 0, epochBase, epochLast, epochLimit, this.#keys)
      this.#opened().exec("COMMIT")
      this.#isInTransaction = false
      rows.committed()
      const count = rows.rows + this.#keyRows
      rows.rows = 0
      this.#keyRows = 0
      return { keys: this.#keys, rows: count, figures, deleted: retention.take(), isSweepDue: rows.isSweepDue }
    } catch (error) {
      this.#undo()
      throw error
    }
  }

  /** Reads row by row, for a page of large ones may be more than memory holds: no more than what it answers with, and one row. */
  #range({ start, end, limit, bytesMax }: RequestOf<"range">): RangeAnswer {
    const writer = new ByteWriter()
    const answer = (isLast: boolean, refusedBytes: number): RangeAnswer => {
      return { bytes: writer.bytes.slice(0, writer.length), count, isLast, refusedBytes }
    }
    let count = 0
    let size = 0
    for (const row of this.#prepared().range.iterate(start, limit)) {
      const key = bytesOf(row, "key")
      const value = bytesOf(row, "value")
      if (Buffer.compare(key, end) >= 0) return answer(true, 0)
      if (count > 0 && size + value.length > bytesMax) return answer(false, value.length)
      size += value.length
      count += 1
      writer.block(key, 0, key.length)
      writer.block(value, 0, value.length)
    }
    return answer(count < limit, 0)
  }

  #keysFrom({ start, limit }: RequestOf<"keys">): RangeAnswer {
    const writer = new ByteWriter()
    const rows = this.#prepared().keys.all(start, limit)
    for (const row of rows) {
      const key = bytesOf(row, "key")
      writer.block(key, 0, key.length)
    }
    const bytes = writer.bytes.slice(0, writer.length)
    return { bytes, count: rows.length, isLast: rows.length < limit, refusedBytes: 0 }
  }

  #sweep(): Answers["sweep"] {
    const rows = this.#rows()
    // Within a checkpoint it belongs to that.
    const isAlone = !this.#isInTransaction
    this.#begin()
    rows.sweep()
    if (isAlone) {
      this.#opened().exec("COMMIT")
      this.#isInTransaction = false
    }
    return { isSweepDue: rows.isSweepDue }
  }

  /** A transaction of its own: within one of a checkpoint it could be undone with that. */
  #replace(request: RequestOf<"replace">): PartitionFigures | undefined {
    if (this.#isInTransaction) throw new SqliteError("busy", "a checkpoint is under way")
    try {
      this.#begin()
      const isDone = this.#compacted().replace(request)
      const [figures] = this.#rows().flush()
      this.#opened().exec("COMMIT")
      this.#isInTransaction = false
      this.#rows().committed()
      return isDone ? figures : undefined
    } catch (error) {
      this.#undo()
      throw error
    }
  }

  #begin(): void {
    if (this.#isInTransaction) return
    this.#opened().exec("BEGIN IMMEDIATE")
    this.#isInTransaction = true
    this.#keysBefore = this.#keys
  }

  #undo(): void {
    if (!this.#isInTransaction) return
    this.#isInTransaction = false
    this.#keys = this.#keysBefore
    this.#keyRows = 0
    this.#partitions?.reset()
    this.#retention?.reset()
    try {
      this.#database?.exec("ROLLBACK")
    } catch {
      // SQLite has undone it of itself, as it does where the disk is full.
    }
  }

  #failureOf(error: unknown): Failure {
    if (!(error instanceof SqliteError)) {
      return { fault: "failed", message: `${this.#pathname}: ${String(error).split("\n")[0] ?? ""}` }
    }
    const { fault, message } = error
    if (this.#pathname === "" || message.startsWith(this.#pathname)) return { fault, message }
    return { fault, message: `${this.#pathname}: ${explain(error)}` }
  }

  #opened(): SqliteDatabase {
    if (this.#database === undefined) throw new SqliteError("failed", "the database is closed")
    return this.#database
  }

  #prepared(): Statements {
    if (this.#database === undefined || this.#statements === undefined) {
      throw new SqliteError("failed", "the database is closed")
    }
    return this.#statements
  }

  #compacted(): CompactionRows {
    this.#compaction ??= new CompactionRows(this.#rows())
    return this.#compaction
  }

  #retained(): RowRetention {
    if (this.#database === undefined || this.#retention === undefined) {
      throw new SqliteError("failed", "the database is closed")
    }
    return this.#retention
  }

  #rows(): PartitionRows {
    if (this.#database === undefined || this.#partitions === undefined) {
      throw new SqliteError("failed", "the database is closed")
    }
    return this.#partitions
  }
}
