/** Compaction of partitions in the database: the storage thread reads and replaces batches, a piece at a time, between checkpoints. */
import {
  type Checkpoints,
  type CompactionStore,
  type CompactionSurvey,
  type JournaledPartitions,
  type PartitionKey,
  type Replacement,
  recordBatch,
  type Shelf
} from "../../core/mod.ts"
import type { CompactionPiece } from "./database/messages.ts"
import type { StoreThread } from "./StoreThread.ts"

export interface SqliteCompactionParts {
  readonly thread: StoreThread
  readonly shelf: Shelf
  readonly partitions: JournaledPartitions
  readonly checkpoints: Checkpoints
}

export class SqliteCompaction implements CompactionStore {
  readonly #parts: SqliteCompactionParts

  constructor(parts: SqliteCompactionParts) {
    this.#parts = parts
  }

  /** There are no segments: all but the newest batch may be compacted at any time. */
  async survey(key: PartitionKey): Promise<CompactionSurvey | undefined> {
    const { shelf, thread } = this.#parts
    const id = shelf.rowOf(key)?.id
    return id === undefined ? undefined : (await thread.request<"survey">({ kind: "survey", id })).found
  }

  async read(key: PartitionKey, offset: number, end: number, bytesMax: number): Promise<Uint8Array> {
    const id = this.#parts.shelf.rowOf(key)?.id
    return id === undefined ? new Uint8Array(0) : this.#parts.shelf.read(id, offset, end, bytesMax)
  }

  async replace(key: PartitionKey, from: number): Promise<Replacement | undefined> {
    const { shelf, thread } = this.#parts
    const id = shelf.rowOf(key)?.id
    if (id === undefined) return undefined
    const { piece } = await thread.request<"piece">({ kind: "piece", id, from })
    return piece === undefined ? undefined : this.#replacement(id, piece)
  }

  #replacement(id: number, piece: CompactionPiece): Replacement {
    const { thread, checkpoints, partitions } = this.#parts
    const changed: Array<Uint8Array> = []
    const kept: Array<number> = []
    return {
      end: piece.end,
      add: async (batch, isChanged) => {
        kept.push(recordBatch.baseOffset(batch, 0))
        if (isChanged) changed.push(batch)
      },
      commit: (cleanedTo) =>
        checkpoints.between(async () => {
          const request = { kind: "replace", id, piece, changed, kept, cleanedTo } as const
          const { figures } = await thread.request<"replace">(request)
          if (figures === undefined) return undefined
          partitions.compacted(figures, piece.end)
          return changed.reduce((bytes, batch) => bytes + batch.length, 0)
        }),
      abort: async () => {}
    }
  }
}
