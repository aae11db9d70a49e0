/**
 * The newest batches of a partition in memory, in the stored form, so that whoever reads at the end reads no disk.
 *
 * Batches lie one after the other in chunks. A chunk is written once, front to back, and never again: what was handed out stays as it
 * is for whoever holds it.
 */
import { copyBytes, recordBatch } from "manifold"

/** The first chunk; each next one is twice as large up to the bound of the tail's half. */
const CHUNK_BYTES_MIN = 4_096

interface Chunk {
  readonly bytes: Uint8Array
  used: number
}

export class Tail {
  /** Oldest first; two at most, of which the newer one is written to. */
  #chunks: Array<Chunk> = []
  #chunkBytes = CHUNK_BYTES_MIN
  readonly #chunkBytesMax: number

  /** Holds about `bytesMax` bytes, or one batch that is larger. */
  constructor(bytesMax: number) {
    this.#chunkBytesMax = bytesMax / 2
  }

  /** Copies the batch `bytes[start, end)`, gives it its offset and epoch, and returns where it lies. */
  append(bytes: Uint8Array, start: number, end: number, offset: number, epoch: number): Uint8Array {
    const chunk = this.#room(end - start)
    const at = chunk.used
    chunk.used = copyBytes(bytes, start, end, chunk.bytes, at)
    recordBatch.writeBaseOffset(chunk.bytes, at, offset)
    recordBatch.writeLeaderEpoch(chunk.bytes, at, epoch)
    return chunk.bytes.subarray(at, chunk.used)
  }

  /** Batches from the one that holds `offset` on, below `end`, at most `maxBytes`, at least one; undefined where it is not here. */
  read(offset: number, end: number, maxBytes: number): Uint8Array | undefined {
    for (const { bytes, used } of this.#chunks) {
      let start = 0
      while (start < used && nextOffset(bytes, start) <= offset) start += sizeAt(bytes, start)
      if (start === used) continue
      // The oldest batch here begins later: what is asked for lies in the file alone.
      if (recordBatch.baseOffset(bytes, start) > offset) return undefined
      let stop = start + sizeAt(bytes, start)
      while (stop < used && nextOffset(bytes, stop) <= end && stop + sizeAt(bytes, stop) - start <= maxBytes) {
        stop += sizeAt(bytes, stop)
      }
      return bytes.subarray(start, stop)
    }
    return undefined
  }

  /** Takes back the batch that was appended last. */
  undo(batch: Uint8Array): void {
    const newest = this.#chunks.at(-1)
    if (newest !== undefined) newest.used -= batch.length
  }

  clear(): void {
    this.#chunks = []
  }

  #room(length: number): Chunk {
    const newest = this.#chunks.at(-1)
    if (newest !== undefined && newest.bytes.length - newest.used >= length) return newest
    const chunk = { bytes: new Uint8Array(Math.max(length, this.#chunkBytes)), used: 0 }
    this.#chunkBytes = Math.min(this.#chunkBytes * 2, this.#chunkBytesMax)
    this.#chunks = newest === undefined ? [chunk] : [newest, chunk]
    return chunk
  }
}

function sizeAt(bytes: Uint8Array, start: number): number {
  return recordBatch.batchLength(bytes, start) + recordBatch.LENGTH_OVERHEAD
}

/** One past the offset of the batch's last record. */
export function nextOffset(batch: Uint8Array, start: number): number {
  return recordBatch.baseOffset(batch, start) + recordBatch.lastOffsetDelta(batch, start) + 1
}
