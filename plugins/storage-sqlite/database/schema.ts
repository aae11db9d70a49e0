/**
 * What a store's database holds, and how it is opened.
 *
 * Invariants
 *  - A database of a newer format is refused, one that is damaged too; nothing is repaired.
 *  - What was committed survives the process, and from the end of {@link openDatabase} and of a checkpoint on, power loss.
 *
 * Source: docs/formats/sqlite.md.
 */
import { openSqlite, type SqliteDatabase, SqliteError } from "../../../core/platform/mod.ts"

export const FORMAT_VERSION = 1
/** That of a database in which something was compacted: an older build would take such batches for damaged. */
export const FORMAT_COMPACTED = 2
/** "MFLD": tells our databases from other programs'. */
export const APPLICATION_ID = 0x4d464c44
const PAGE_BYTES = 4_096
/** A database up to this size is read through at each opening; a larger one when it is verified. */
const CHECK_BYTES_MAX = 67_108_864

const TABLES = `
  CREATE TABLE format (version INTEGER NOT NULL);
  CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    applied INTEGER NOT NULL,
    is_clean INTEGER NOT NULL,
    epoch_base INTEGER NOT NULL,
    epoch_last INTEGER NOT NULL,
    epoch_limit INTEGER NOT NULL,
    keys INTEGER NOT NULL
  );
  CREATE TABLE key_value (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE partition (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    log_start INTEGER NOT NULL,
    log_end INTEGER NOT NULL,
    leader_epoch INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    records INTEGER NOT NULL,
    is_removed INTEGER NOT NULL
  );
  CREATE UNIQUE INDEX partition_name ON partition (topic, number, tenant) WHERE is_removed = 0;
  CREATE INDEX partition_removed ON partition (is_removed) WHERE is_removed = 1;
  CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    base INTEGER NOT NULL,
    next INTEGER NOT NULL,
    max_timestamp INTEGER NOT NULL,
    appended_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes BLOB NOT NULL
  );
  CREATE INDEX batch_facts ON batch (partition, base, next, max_timestamp, appended_at, size);
  INSERT INTO format VALUES (${FORMAT_VERSION});
  INSERT INTO state VALUES (1, 0, 1, 0, 0, 0, 0);
  PRAGMA application_id = ${APPLICATION_ID};
`

/** Up to where logs were compacted; made where it is missing, and of no concern to builds that do not know it. */
const COMPACTION = `
  CREATE TABLE IF NOT EXISTS compaction (partition INTEGER PRIMARY KEY, cleaned_to INTEGER NOT NULL);
  CREATE TRIGGER IF NOT EXISTS compaction_removed AFTER DELETE ON partition BEGIN
    DELETE FROM compaction WHERE partition = OLD.id;
  END;
`

export interface DatabaseSettings {
  /** Bytes of pages that the connection may keep. */
  readonly cacheBytes: number
  /** Bytes of the write-ahead log above which it is moved into the database. */
  readonly walBytes: number
}

/** Opens the database at `pathname` for writing, and makes it where it is missing. Throws one line for a person. */
export function openDatabase(pathname: string, { cacheBytes, walBytes }: DatabaseSettings): SqliteDatabase {
  return opened(pathname, { readOnly: false }, (database) => {
    database.exec("PRAGMA busy_timeout = 5000")
    const tables = Number(database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.["count"])
    // Before anything is written.
    if (tables > 0) checkFormat(database, pathname)
    database.exec(`PRAGMA page_size = ${PAGE_BYTES}`)
    database.exec("PRAGMA journal_mode = WAL")
    database.exec("PRAGMA synchronous = FULL")
    database.exec("PRAGMA temp_store = MEMORY")
    database.exec(`PRAGMA cache_size = -${Math.ceil(cacheBytes / 1_024)}`)
    database.exec(`PRAGMA wal_autocheckpoint = ${Math.ceil(walBytes / PAGE_BYTES)}`)
    database.exec(`PRAGMA journal_size_limit = ${walBytes}`)
    if (tables === 0) {
      database.exec("BEGIN IMMEDIATE")
      database.exec(TABLES)
      database.exec("COMMIT")
    }
    database.exec(COMPACTION)
    const pages = Number(database.prepare("PRAGMA page_count").get()?.["page_count"])
    if (pages * PAGE_BYTES <= CHECK_BYTES_MAX) quickCheck(database)
  })
}

/**
 * Opens a database that is there for reading, beside the thread that writes it; with `isAtRest` one that nobody has open, and leaves
 * nothing beside it. Throws one line for a person.
 */
export function openForReading(pathname: string, cacheBytes: number, isAtRest = false): SqliteDatabase {
  return opened(pathname, { readOnly: true, isAtRest }, (database) => {
    database.exec("PRAGMA busy_timeout = 5000")
    database.exec(`PRAGMA cache_size = -${Math.ceil(cacheBytes / 1_024)}`)
    checkFormat(database, pathname)
  })
}

/** Throws where the structure of the database contradicts itself. */
export function quickCheck(database: SqliteDatabase): void {
  for (const row of database.prepare("PRAGMA quick_check(1)").all()) {
    const [found] = Object.values(row)
    if (found !== "ok") throw new SqliteError("damaged", String(found).replaceAll("\n", " "))
  }
}

function opened(
  pathname: string,
  options: { readonly readOnly: boolean; readonly isAtRest?: boolean },
  prepare: (database: SqliteDatabase) => void
): SqliteDatabase {
  let database: SqliteDatabase | undefined
  try {
    database = openSqlite(pathname, options)
    prepare(database)
    return database
  } catch (error) {
    try {
      database?.close()
    } catch {
      // What went wrong first is what is told.
    }
    if (!(error instanceof SqliteError) || error.message.startsWith(pathname)) throw error
    throw new SqliteError(error.fault, `${pathname}: ${explain(error)}`)
  }
}

/** What was found, and what a person can do. */
export function explain({ fault, message }: SqliteError): string {
  if (fault === "damaged") {
    return `the database is damaged (${message}); restore a backup of the store, nothing was changed`
  }
  if (fault === "full") return "the disk is full"
  return fault === "not-permitted" ? `the database cannot be opened: ${message}` : message
}

function checkFormat(database: SqliteDatabase, pathname: string): void {
  const id = Number(database.prepare("PRAGMA application_id").get()?.["application_id"])
  if (id !== APPLICATION_ID) {
    throw new SqliteError("failed", `${pathname}: a database of another program; move it away`)
  }
  const version = Number(database.prepare("SELECT version FROM format").get()?.["version"])
  if (version !== FORMAT_VERSION && version !== FORMAT_COMPACTED) {
    const known = `this build knows ${FORMAT_VERSION} and ${FORMAT_COMPACTED}`
    throw new SqliteError("failed", `${pathname}: format ${version}, ${known}: start the version that wrote it`)
  }
}
