/**
 * The records of batches that were compressed a moment ago, as they were before: whoever reads at the end of a log does not inflate what
 * this process has just compressed. Shared by all logs of a thread.
 *
 * Invariants
 *  - A batch is found by its bytes, not by its place: what is given is what these bytes inflate to, whichever log they are in, and
 *    whatever was cut or made anew meanwhile.
 *  - At most {@link SEALED_BYTES_MAX} bytes are held; the oldest go first. What is evicted stays valid for who reads it.
 */
import { crc, RECORDS_POSITION } from "./record-batch.ts"

/** Bytes of records, compressed and not, that are held for the logs of one thread. */
export const SEALED_BYTES_MAX = 4 * 1024 * 1024
/** What an entry costs beside its bytes, about. */
const ENTRY_BYTES = 256

interface Sealed {
  readonly packed: Uint8Array
  readonly records: Uint8Array
}

export class SealedBatches {
  /** Bytes that are held. */
  bytes = 0
  readonly #sizeMax: number
  /** By the batch's CRC, the oldest first. */
  readonly #byCrc = new Map<number, Sealed>()

  constructor(sizeMax: number = SEALED_BYTES_MAX) {
    this.#sizeMax = sizeMax
  }

  /** Keeps `records`, of which `packed` was made (copied), for the batch with this CRC; `records` is never written to from now on. */
  add(checksum: number, packed: Uint8Array, records: Uint8Array): void {
    this.#drop(checksum)
    // A copy: what a runtime gives may lie in a buffer that is far larger.
    const sealed = { packed: new Uint8Array(packed), records }
    this.#byCrc.set(checksum, sealed)
    this.bytes += sizeOf(sealed)
    for (const oldest of this.#byCrc.keys()) {
      if (this.bytes <= this.#sizeMax) break
      this.#drop(oldest)
    }
  }

  /**
   * The records of the batch `bytes[start, end)`, at least {@link RECORDS_POSITION} bytes, not to be written to; undefined where they are
   * not held.
   */
  find(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const sealed = this.#byCrc.get(crc(bytes, start))
    if (sealed === undefined || sealed.packed.length !== end - start - RECORDS_POSITION) return undefined
    const isSame = Buffer.compare(sealed.packed, bytes.subarray(start + RECORDS_POSITION, end)) === 0
    return isSame ? sealed.records : undefined
  }

  #drop(checksum: number): void {
    const sealed = this.#byCrc.get(checksum)
    if (sealed === undefined) return
    this.#byCrc.delete(checksum)
    this.bytes -= sizeOf(sealed)
  }
}

function sizeOf({ packed, records }: Sealed): number {
  return packed.length + records.length + ENTRY_BYTES
}

/** Those of this thread. */
export const sealedBatches = new SealedBatches()
