/**
 * A store's database with all that works on it: the thread that writes it, the key-value store, the partitions, the checkpoints.
 *
 * The journal is the promise, the database is derived from it: what is here may be behind, and is brought up by replaying.
 */
import { join } from "node:path"
import {
  Checkpoints,
  type ClockShape,
  Epochs,
  type FilesShape,
  HotBatches,
  JournaledPartitions,
  type JournalShape,
  KIND_KEY_VALUE,
  KIND_SQLITE,
  type LogShape,
  openSqlite,
  RetentionTally,
  type SqliteDatabase,
  SqliteError,
  StorageError,
  Unusable
} from "../../core/mod.ts"
import { CheckpointWriter } from "./CheckpointWriter.ts"
import type { StoreState, StoreStats } from "./database/messages.ts"
import type { Settings } from "./Settings.ts"
import { SqliteAccount } from "./SqliteAccount.ts"
import { SqliteCompaction } from "./SqliteCompaction.ts"
import { SqliteKeyValueStore } from "./SqliteKeyValueStore.ts"
import { SqliteShelf } from "./SqliteShelf.ts"
import type { StoreThread } from "./StoreThread.ts"

/** The database's name in the store's directory. */
export const DATABASE_NAME = "state.sqlite"
/** The loop reads single rows; the thread reads and writes the rest. */
const READING_SHARE = 4

export interface StoreParts {
  /** Exists and is writable; nobody else writes there. */
  readonly directory: string
  readonly journal: JournalShape
  readonly thread: StoreThread
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  readonly settings: Settings
  /** The name of a topic by its id, for the log. */
  readonly topicName?: (id: string) => string | undefined
}

export class SqliteStore {
  readonly pathname: string
  readonly keyValue: SqliteKeyValueStore
  readonly partitions: JournaledPartitions
  readonly checkpoints: Checkpoints
  readonly writer: CheckpointWriter
  readonly hot: HotBatches
  readonly retention: RetentionTally
  readonly account: SqliteAccount
  readonly compaction: SqliteCompaction
  readonly #thread: StoreThread
  readonly #reading: SqliteDatabase
  #closed: Promise<void> | undefined

  /** Opens the database, or makes it. Rejects with `StorageError`, one line for a person; then the thread is stopped. */
  static async open(parts: StoreParts): Promise<SqliteStore> {
    const { directory, thread, settings } = parts
    const pathname = join(directory, DATABASE_NAME)
    const { cache_bytes: cacheBytes, wal_bytes: walBytes } = settings
    let reading: SqliteDatabase | undefined
    try {
      const found = await thread.request<"open">({ kind: "open", pathname, cacheBytes, walBytes })
      const epochs = new Epochs(found)
      reading = openSqlite(pathname, { readOnly: true })
      reading.exec("PRAGMA busy_timeout = 5000")
      reading.exec(`PRAGMA cache_size = -${Math.ceil(cacheBytes / READING_SHARE / 1_024)}`)
      return new SqliteStore(parts, pathname, reading, epochs, found)
    } catch (error) {
      reading?.close()
      thread.stop()
      if (!(error instanceof SqliteError)) throw error
      const message = `${pathname}: ${error.message}`
      throw new StorageError({ engine: "sqlite", reason: new Unusable({ message }) })
    }
  }

  private constructor(
    { thread, journal, files, clock, log, settings, topicName = () => undefined }: StoreParts,
    pathname: string,
    reading: SqliteDatabase,
    epochs: Epochs,
    found: StoreState & { readonly nextPartition: number }
  ) {
    this.pathname = pathname
    this.#thread = thread
    this.#reading = reading
    this.hot = new HotBatches(settings.hot_bytes_max)
    this.keyValue = new SqliteKeyValueStore(thread, reading, found.keys)
    this.retention = new RetentionTally({ engine: "sqlite", log, topicName })
    this.writer = new CheckpointWriter(thread, this.keyValue, clock, this.retention)
    const shelf = new SqliteShelf(thread, reading)
    this.partitions = new JournaledPartitions({
      engine: "sqlite",
      kind: KIND_SQLITE,
      journal,
      shelf,
      epochs,
      hot: this.hot,
      nextPartition: found.nextPartition,
      residentBytesMax: settings.resident_bytes_max,
      clock,
      full: () => this.checkpoints.checkpoint()
    })
    this.checkpoints = new Checkpoints({
      name: "storage-sqlite",
      engine: "sqlite",
      kind: KIND_SQLITE,
      otherKinds: [KIND_KEY_VALUE],
      journal,
      target: this.writer,
      partitions: this.partitions,
      epochs,
      clock,
      log,
      applied: found.applied,
      intervalMs: settings.checkpoint_interval_ms,
      bytes: settings.checkpoint_bytes
    })
    const { partitions, checkpoints } = this
    this.compaction = new SqliteCompaction({ thread, shelf, partitions, checkpoints })
    this.account = new SqliteAccount({ thread, checkpoints: this.checkpoints, files, pathname })
    this.checkpoints.start()
  }

  /** Rows, bytes, and up to which entry they go. Counts every row. Rejects with `StorageError`. */
  stats(): Promise<StoreStats> {
    return this.#thread.request<"stats">({ kind: "stats" })
  }

  /** Writes a copy of the database to `pathname`; returns up to which entry of the journal it goes. Rejects with `StorageError`. */
  backupTo(pathname: string): Promise<number> {
    return this.checkpoints.between(async () => {
      const { applied } = await this.#thread.request<"backup">({ kind: "backup", pathname })
      return applied
    })
  }

  /** Puts away what is committed, marks the store as closed in good order, and gives the files back. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Gives the files back as they are: what a killed process leaves. */
  abandon(): void {
    this.writer.stop()
    this.checkpoints.abandon()
    this.#reading.close()
    this.#thread.stop()
  }

  async #close(): Promise<void> {
    this.writer.stop()
    await this.checkpoints.stop()
    this.#reading.close()
    await this.#thread.request<"close">({ kind: "close" }).catch(() => {})
    this.#thread.stop()
  }
}
