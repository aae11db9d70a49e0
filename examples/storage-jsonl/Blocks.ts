/**
 * A sparse index: where in the file blocks of lines begin, and what they hold, one entry for some 64 KiB. It is made anew from the
 * lines when the file is opened.
 *
 * Invariant: blocks rise in offset and position; each begins with the line of a batch.
 */
import type { Partition, PartitionLimits } from "manifold"

/** A block is ended by the first line that begins beyond so many bytes of it. */
const BLOCK_BYTES = 65_536

export interface Block {
  /** Base offset of its first batch. */
  readonly offset: number
  /** Where that batch's line begins in the file. */
  position: number
  /** The latest timestamp (ms) of its records. */
  maxTimestamp: number
  /** When its last batch was appended, ms since 1970. */
  lastAt: number
}

export class Blocks {
  #blocks: Array<Block> = []

  get list(): ReadonlyArray<Block> {
    return this.#blocks
  }

  add(offset: number, position: number, maxTimestamp: number, at: number): void {
    const newest = this.#blocks.at(-1)
    if (newest !== undefined && position - newest.position < BLOCK_BYTES) {
      newest.maxTimestamp = Math.max(newest.maxTimestamp, maxTimestamp)
      newest.lastAt = at
    } else {
      this.#blocks.push({ offset, position, maxTimestamp, lastAt: at })
    }
  }

  /** The place in the list of the block that holds `offset`: the last one that does not begin behind it; -1 = there is none. */
  find(offset: number): number {
    let low = 0
    let high = this.#blocks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const block = this.#blocks[middle]
      if (block !== undefined && block.offset <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /**
   * The first block of `log` that may stay under `limits`, undefined where all may. The newest one may always, and so may what is not
   * committed. `size` is where the file ends.
   */
  firstWithin(
    { sizeBytesMax, recordsMax, ageMsMax }: PartitionLimits,
    nowMs: number,
    log: Partition,
    size: number
  ): Block | undefined {
    const oldestMs = ageMsMax === 0 ? Number.NEGATIVE_INFINITY : nowMs - ageMsMax
    let first: Block | undefined
    for (let next = 1; next < this.#blocks.length; next++) {
      const oldest = this.#blocks[next - 1]
      const after = this.#blocks[next]
      if (oldest === undefined || after === undefined || after.offset > log.highWatermark) break
      const sizeBytes = Math.min(size - oldest.position, log.sizeBytes)
      const records = log.logEndOffset - Math.max(oldest.offset, log.logStartOffset)
      if (sizeBytes <= sizeBytesMax && records <= recordsMax && oldest.lastAt >= oldestMs) break
      first = after
    }
    return first
  }

  /** Forgets the oldest `count` blocks. */
  dropFirst(count: number): void {
    if (count > 0) this.#blocks = this.#blocks.slice(count)
  }

  /** Forgets every block that begins at or behind `position`. A block cut in its middle keeps its latest timestamp: searches look. */
  cut(position: number): void {
    this.#blocks = this.#blocks.filter((block) => block.position < position)
  }

  /** The file was rewritten without its beginning: everything lies `bytes` further back, the oldest block at `first` at the earliest. */
  shift(bytes: number, first: number): void {
    for (const block of this.#blocks) block.position = Math.max(block.position + bytes, first)
  }
}
