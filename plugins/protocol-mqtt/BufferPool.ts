/**
 * Buffers that are used for a turn and wanted again in the next: one list for each power of two.
 *
 * Invariants
 *  - Every buffer has one of the lengths 4 KiB, 8 KiB ... 1 MiB, or is none of the pool's; what it holds is whatever it held before.
 *  - The pool keeps no more than {@link POOLED_BYTES_MAX}; the rest is left to the collector.
 */

export const BUFFER_BYTES_MIN = 4_096
/** A larger one is made anew each time: it is for a client that takes less than it is sent. */
const BUFFER_BYTES_MAX = 1_048_576
const POOLED_BYTES_MAX = 8_388_608

export class BufferPool {
  /** By how often {@link BUFFER_BYTES_MIN} is doubled. */
  readonly #free: ReadonlyArray<Array<Uint8Array>> = Array.from({ length: classOf(BUFFER_BYTES_MAX) + 1 }, () => [])
  #pooledBytes = 0

  /** Bytes of the buffers that wait to be taken. */
  get pooledBytes(): number {
    return this.#pooledBytes
  }

  /** A buffer of the least length that holds `count` bytes. The caller's own until it gives it back. */
  take(count: number): Uint8Array {
    const place = classOf(count)
    const pooled = this.#free[place]?.pop()
    if (pooled === undefined) return new Uint8Array(BUFFER_BYTES_MIN * 2 ** place)
    this.#pooledBytes -= pooled.length
    return pooled
  }

  /** Takes back a buffer that {@link BufferPool.take} gave; nobody looks at it any more. */
  give(buffer: Uint8Array): void {
    const { length } = buffer
    if (length > BUFFER_BYTES_MAX) return
    const place = classOf(length)
    // Small ones are wanted in every turn: they are not kept out by large ones of a time that is over.
    for (let larger = this.#free.length - 1; larger > place && this.#pooledBytes + length > POOLED_BYTES_MAX; ) {
      const dropped = this.#free[larger]?.pop()
      if (dropped === undefined) larger -= 1
      else this.#pooledBytes -= dropped.length
    }
    if (this.#pooledBytes + length > POOLED_BYTES_MAX) return
    this.#pooledBytes += length
    this.#free[place]?.push(buffer)
  }
}

function classOf(count: number): number {
  return count <= BUFFER_BYTES_MIN ? 0 : 32 - Math.clz32((count - 1) >>> 12)
}
