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
  /** The ends of the chain of those that are kept, in the order of their last use. */
  #oldest: Batch | undefined
  #newest: Batch | undefined

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  add(batch: Batch): void {
    if (batch.isHot) return
    batch.isHot = true
    this.#append(batch)
    this.bytes += batch.bytes.length + BATCH_BYTES
    for (let oldest = this.#oldest; oldest !== undefined && this.bytes > this.#bytesMax; oldest = this.#oldest) {
      this.remove(oldest)
      oldest.partition.evicted(oldest)
    }
  }

  /** It was read. */
  touch(batch: Batch): void {
    if (!batch.isHot || batch === this.#newest) return
    this.#unlink(batch)
    this.#append(batch)
  }

  remove(batch: Batch): void {
    if (!batch.isHot) return
    batch.isHot = false
    this.#unlink(batch)
    this.bytes -= batch.bytes.length + BATCH_BYTES
  }

  #append(batch: Batch): void {
    batch.older = this.#newest
    if (this.#newest === undefined) this.#oldest = batch
    else this.#newest.newer = batch
    this.#newest = batch
  }

  #unlink(batch: Batch): void {
    const { older, newer } = batch
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    batch.older = undefined
    batch.newer = undefined
  }
}
