/** Partitions as they lie in the database: single rows are read on the loop, batches by the storage thread. */
import {
  type BatchBounds,
  ChecksumMismatch,
  type PartitionKey,
  type PartitionRow,
  recordBatch,
  type Shelf,
  StorageError
} from "../../core/mod.ts"
import type { SqliteDatabase, SqliteRow, SqliteStatement } from "../../core/platform/mod.ts"
import type { StoreThread } from "./StoreThread.ts"

const COLUMNS = "SELECT id, tenant, topic, number, log_start, log_end, leader_epoch, bytes FROM partition"

export class SqliteShelf implements Shelf {
  readonly #thread: StoreThread
  readonly #rowByKey: SqliteStatement
  readonly #rowById: SqliteStatement
  readonly #baseBehind: SqliteStatement
  readonly #sum: SqliteStatement

  /** `reading` is a connection of this thread. */
  constructor(thread: StoreThread, reading: SqliteDatabase) {
    this.#thread = thread
    this.#rowByKey = reading.prepare(`${COLUMNS} WHERE topic = ? AND number = ? AND tenant = ? AND is_removed = 0`)
    this.#rowById = reading.prepare(`${COLUMNS} WHERE id = ? AND is_removed = 0`)
    this.#sum = reading.prepare(
      "SELECT sum(size) AS bytes FROM batch WHERE partition = ? AND base >= ? AND base < ? AND next > ? AND next <= ?"
    )
    this.#baseBehind = reading.prepare(
      "SELECT base FROM batch WHERE partition = ? AND base >= " +
        "coalesce((SELECT max(base) FROM batch WHERE partition = ? AND base <= ?), 0) AND next > ? AND base < ? " +
        "ORDER BY base LIMIT 1"
    )
  }

  rowOf({ tenant, topicId, partition }: PartitionKey): PartitionRow | undefined {
    return partitionRow(this.#rowByKey.get(topicId, partition, tenant))
  }

  rowById(id: number): PartitionRow | undefined {
    return partitionRow(this.#rowById.get(id))
  }

  async read(id: number, offset: number, end: number, bytesMax: number): Promise<Uint8Array> {
    const { bytes } = await this.#thread.request<"read">({ kind: "read", id, offset, end, bytesMax })
    return checked(bytes, offset)
  }

  async batchAt(id: number, offset: number, end: number, timestamp: number): Promise<Uint8Array> {
    const { bytes } = await this.#thread.request<"time">({ kind: "time", id, offset, end, timestamp })
    return checked(bytes, offset)
  }

  async sum(id: number, bounds: BatchBounds): Promise<number> {
    return (await this.#thread.request<"sum">({ kind: "sum", id, bounds })).bytes
  }

  sumUnsafe(id: number, { baseFrom, baseBelow, nextAfter, nextUpTo }: BatchBounds): number {
    return Number(this.#sum.get(id, baseFrom, baseBelow, nextAfter, nextUpTo)?.["bytes"] ?? 0)
  }

  baseBehind(id: number, offset: number, end: number): number | undefined {
    const row = this.#baseBehind.get(id, id, offset, offset, end)
    return row === undefined ? undefined : Number(row["base"])
  }
}

function partitionRow(row: SqliteRow | undefined): PartitionRow | undefined {
  if (row === undefined) return undefined
  const number = (name: string): number => Number(row[name])
  return {
    id: number("id"),
    key: { tenant: number("tenant"), topicId: String(row["topic"]), partition: number("number") },
    logStart: number("log_start"),
    logEnd: number("log_end"),
    leaderEpoch: number("leader_epoch"),
    bytes: number("bytes")
  }
}

/** Batches that left the disk, checked: those before the first damaged one. Throws `StorageError` where that is the first. */
function checked(bytes: Uint8Array, offset: number): Uint8Array {
  for (let at = 0; at < bytes.length; ) {
    const size = recordBatch.batchSize(bytes, at, bytes.length)
    if (size <= 0 || recordBatch.checkBatch(bytes, at, at + size) !== 0) {
      if (at > 0) return bytes.subarray(0, at)
      throw new StorageError({ engine: "sqlite", reason: new ChecksumMismatch({ baseOffset: offset }) })
    }
    at += size
  }
  return bytes
}
