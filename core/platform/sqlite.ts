/**
 * SQLite, as far as storage needs it: `bun:sqlite` on Bun, `node:sqlite` elsewhere. Both are part of their runtime.
 *
 * Invariants
 *  - Every call is synchronous and blocks its thread; what may wait for a disk belongs into a thread of its own.
 *  - Only {@link SqliteError} is thrown. Bytes that a row holds are the caller's own.
 *  - A database is used by the thread that opened it alone.
 */
import type { Database, Statement } from "bun:sqlite"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { pathToFileURL } from "node:url"

export type SqliteValue = number | string | Uint8Array | null
export type SqliteRow = Readonly<Record<string, SqliteValue>>

/** What a program can do about a fault. */
export type SqliteFault =
  | "full"
  /** The file is no database, or what it holds contradicts itself. */
  | "damaged"
  | "busy"
  | "not-permitted"
  | "failed"

/** SQLite's primary result codes. */
const FAULTS = new Map<number, SqliteFault>([
  [5, "busy"],
  [6, "busy"],
  [8, "not-permitted"],
  [11, "damaged"],
  [13, "full"],
  [14, "not-permitted"],
  [23, "not-permitted"],
  [26, "damaged"]
])

export class SqliteError extends Error {
  override readonly name = "SqliteError"
  readonly fault: SqliteFault
  constructor(fault: SqliteFault, message: string) {
    super(message)
    this.fault = fault
  }
}

/** A prepared statement. Values are bound in the order of the question marks; integers are safe ones. */
export interface SqliteStatement {
  /** Returns the number of rows that were changed. */
  run(...values: ReadonlyArray<SqliteValue>): number
  get(...values: ReadonlyArray<SqliteValue>): SqliteRow | undefined
  all(...values: ReadonlyArray<SqliteValue>): ReadonlyArray<SqliteRow>
  /**
   * The rows one after the other, each read when it is asked for. Leave the loop by its end or by `break` before the statement is used
   * again: until then it holds the database as it was.
   */
  iterate(...values: ReadonlyArray<SqliteValue>): Iterable<SqliteRow>
}

export interface SqliteDatabase {
  /** Runs statements that give no rows. */
  exec(sql: string): void
  /** Prepares a statement once; it lives as long as the database. */
  prepare(sql: string): SqliteStatement
  /** Gives the file back; a second time does nothing. */
  close(): void
}

export interface SqliteOpenOptions {
  /** The file has to be there, and is not written. */
  readonly readOnly: boolean
  /**
   * Only with `readOnly`, of a file that nobody has open and that has no log beside it: nothing is made beside it, as a reader otherwise
   * does. What is read is wrong where somebody writes all the same.
   */
  readonly isAtRest?: boolean
}

/** SQLite's flag for a name that is a URI; bun:sqlite has no word for it. */
const OPEN_READONLY_URI = 0x01 | 0x40

/** Opens a database file, or makes it. Throws {@link SqliteError}. */
export function openSqlite(pathname: string, { readOnly, isAtRest = false }: SqliteOpenOptions): SqliteDatabase {
  const uri = `${pathToFileURL(pathname).href}?immutable=1`
  return guarded(() => {
    if ("Bun" in globalThis) {
      const bun = process.getBuiltinModule("bun:sqlite") as typeof import("bun:sqlite")
      if (isAtRest) return new HostDatabase(new bun.Database(uri, OPEN_READONLY_URI))
      return new HostDatabase(
        new bun.Database(pathname, readOnly ? { readonly: true } : { create: true, readwrite: true })
      )
    }
    const { DatabaseSync } = process.getBuiltinModule("node:sqlite")
    return new HostDatabase(new DatabaseSync(isAtRest ? uri : pathname, { readOnly }))
  })
}

class HostDatabase implements SqliteDatabase {
  readonly #database: Database | DatabaseSync
  readonly #statements: Array<Statement | StatementSync> = []
  #isOpen = true

  constructor(database: Database | DatabaseSync) {
    this.#database = database
  }

  exec(sql: string): void {
    guarded(() => this.#database.exec(sql))
  }

  prepare(sql: string): SqliteStatement {
    // The two agree in the names of their methods, not in their types.
    const statement = guarded(() => this.#database.prepare(sql)) as StatementSync
    this.#statements.push(statement)
    return {
      run: (...values) => guarded(() => Number(statement.run(...values).changes)),
      get: (...values) => guarded(() => (statement.get(...values) as SqliteRow | null | undefined) ?? undefined),
      all: (...values) => guarded(() => statement.all(...values) as unknown as ReadonlyArray<SqliteRow>),
      iterate: (...values) => rowsOf(statement, values)
    }
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    // On Bun a statement that is left open keeps the file open.
    for (const statement of this.#statements) if ("finalize" in statement) statement.finalize()
    guarded(() => this.#database.close())
  }
}

function* rowsOf(statement: StatementSync, values: ReadonlyArray<SqliteValue>): Generator<SqliteRow> {
  const rows = guarded(() => statement.iterate(...values))
  try {
    for (let next = guarded(() => rows.next()); next.done !== true; next = guarded(() => rows.next())) {
      yield next.value as SqliteRow
    }
  } finally {
    rows.return?.()
  }
}

function guarded<Value>(call: () => Value): Value {
  try {
    return call()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    // `errno` on Bun, `errcode` elsewhere; the low byte is the primary code.
    const code = Reflect.get(error, "errcode") ?? Reflect.get(error, "errno")
    throw new SqliteError(FAULTS.get(Number(code) & 255) ?? "failed", error.message.split("\n")[0] ?? "")
  }
}
