/** What a store's database takes, and which batches come first to go: asked of the storage thread. */
import {
  type Checkpoints,
  type Deletion,
  FileError,
  type FilesShape,
  type OldestPiece,
  type StorageAccount,
  type StorageUse
} from "../../core/mod.ts"
import type { StoreThread } from "./StoreThread.ts"

export interface SqliteAccountParts {
  readonly thread: StoreThread
  readonly checkpoints: Checkpoints
  readonly files: FilesShape
  /** The database's. */
  readonly pathname: string
}

export class SqliteAccount implements StorageAccount {
  readonly name = "storage-sqlite"
  readonly #parts: SqliteAccountParts

  constructor(parts: SqliteAccountParts) {
    this.#parts = parts
  }

  async measure(): Promise<StorageUse> {
    const { usedBytes, freeBytes, tenants } = await this.#parts.thread.request<"use">({ kind: "use" })
    return { usedBytes: usedBytes + this.#logBytes(), freeBytes, tenants }
  }

  async oldest(bytesMax: number, tenant: number | undefined): Promise<ReadonlyArray<OldestPiece>> {
    return (await this.#parts.thread.request<"oldest">({ kind: "oldest", bytesMax, tenant })).pieces
  }

  deleteOldest(deletion: Deletion): Promise<void> {
    return this.#parts.checkpoints.deleteOldest(deletion)
  }

  /** Of the write-ahead log's file. SQLite has its locks on other files: this one may be opened and closed beside it. */
  #logBytes(): number {
    try {
      const file = this.#parts.files.openUnsafe(`${this.#parts.pathname}-wal`, "read")
      try {
        return file.sizeUnsafe()
      } finally {
        file.close()
      }
    } catch (error) {
      if (error instanceof FileError) return 0
      throw error
    }
  }
}
