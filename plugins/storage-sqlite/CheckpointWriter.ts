/**
 * Puts checkpoints into the database: the pieces go to the storage thread a part at a time, and then the commit, which makes one
 * transaction of them.
 */
import {
  ByteWriter,
  type Checkpoint,
  type CheckpointTarget,
  type ClockShape,
  decodeWrites,
  type PartitionFigures,
  type RetentionTally,
  type Timer,
  writePiece
} from "../../core/mod.ts"
import type { SqliteKeyValueStore } from "./SqliteKeyValueStore.ts"
import type { StoreThread } from "./StoreThread.ts"

/** Bytes of a part; the loop turns between two of them. */
const PART_BYTES = 262_144
/** Between two sweeps, so that others get at the database. */
const SWEEP_PAUSE_MS = 20

export class CheckpointWriter implements CheckpointTarget {
  /** Rows that checkpoints wrote or removed, since the start. */
  rows = 0
  readonly #thread: StoreThread
  readonly #store: SqliteKeyValueStore
  readonly #clock: ClockShape
  readonly #retention: RetentionTally
  #sweepTimer: Timer | undefined
  #isSweepDue = false
  #isStopped = false

  constructor(thread: StoreThread, store: SqliteKeyValueStore, clock: ClockShape, retention: RetentionTally) {
    this.#thread = thread
    this.#store = store
    this.#clock = clock
    this.#retention = retention
  }

  get residentBytes(): number {
    return this.#store.residentBytes
  }

  get isDirty(): boolean {
    return this.#store.isDirty
  }

  replayed(_kind: number, bytes: Uint8Array, start: number, end: number): void {
    this.#store.apply(decodeWrites(bytes, start, end))
  }

  freeze(): void {
    this.#store.freeze()
  }

  async put({ operations, trims, deletions, ...state }: Checkpoint): Promise<ReadonlyArray<PartitionFigures>> {
    await this.#sendPieces(operations)
    const answer = await this.#thread.request<"commit">({ kind: "commit", state, trims, deletions })
    this.rows += answer.rows
    this.#store.putAway(answer.keys)
    this.#retention.add(answer.deleted)
    if (answer.isSweepDue) this.#sweep()
    return answer.figures
  }

  /** Sweeps no more. */
  stop(): void {
    this.#isStopped = true
    this.#sweepTimer?.cancel()
  }

  /** Sends the pieces, a part a turn of the loop. */
  #sendPieces(operations: Checkpoint["operations"]): Promise<void> {
    const pieces = this.#store.pieces()
    let at = 0
    return new Promise((resolve) => {
      const next = (): void => {
        const writer = new ByteWriter()
        let isLast = false
        while (writer.length < PART_BYTES && !isLast) {
          const start = writer.length
          writer.uint32(0)
          const operation = operations[at]
          if (operation !== undefined) {
            at += 1
            writePiece(writer, operation)
          } else if (!pieces.next(writer)) {
            writer.length = start
            isLast = true
            continue
          }
          writer.setUint32(start, writer.length - start - 4)
        }
        if (writer.length > 0) this.#thread.part(writer.bytes.slice(0, writer.length))
        if (isLast) resolve()
        else this.#clock.immediate(next)
      }
      next()
    })
  }

  #sweep(): void {
    this.#isSweepDue = true
    this.#sweepTimer ??= this.#clock.after(SWEEP_PAUSE_MS, () => {
      this.#sweepTimer = undefined
      if (this.#isStopped || !this.#isSweepDue) return
      this.#thread.ask<"sweep">({ kind: "sweep" }, (answer) => {
        this.#isSweepDue = answer?.isSweepDue === true
        if (this.#isSweepDue) this.#sweep()
      })
    })
  }
}
