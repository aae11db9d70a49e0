/**
 * Batches that are stored and in memory, too: what was written a moment ago is read most.
 *
 * Invariant: the least recently used go first, so that all of them take at most `bytesMax`.
 */
import type { Batch } from "./Batch.ts"

/** What a batch takes beside its bytes, about. */
const BATCH_BYTES = 200

export class HotBatches {
  bytes = 0
  readonly #bytesMax: number
  /** In the order of their last use. */
  readonly #batches = new Set<Batch>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  add(batch: Batch): void {
    if (this.#batches.has(batch)) return
    this.#batches.add(batch)
    this.bytes += batch.bytes.length + BATCH_BYTES
    for (const oldest of this.#batches) {
      if (this.bytes <= this.#bytesMax) break
      this.remove(oldest)
      oldest.partition.evicted(oldest)
    }
  }

  /** It was read. */
  touch(batch: Batch): void {
    if (this.#batches.delete(batch)) this.#batches.add(batch)
  }

  remove(batch: Batch): void {
    if (this.#batches.delete(batch)) this.bytes -= batch.bytes.length + BATCH_BYTES
  }
}
