/**
 * The accounts of a shared subscription: each message to exactly one member, whichever that is.
 *
 * Invariants
 *  - A delivery is counted once: the first at any member; every further one, at whichever member, is a duplicate.
 *  - What one member gets from one publisher rises: a lower sequence number than its last is reordered (and counts).
 */
import { GAP_MAX, Ledger } from "./Ledger.ts"

/** Bits a publisher begins with; they double. */
const BITS_MIN = 65_536

export class GroupLedger extends Ledger {
  /** First arrivals by member. */
  readonly deliveredTo: Float64Array
  /** A bit for each sequence number that has come, by publisher. */
  readonly #seen: Uint8Array[]
  /** The lowest sequence number that is in order, by member and publisher. */
  readonly #rising: Float64Array

  constructor(publishers: number, members: number) {
    super(publishers, members)
    this.deliveredTo = new Float64Array(members)
    this.#seen = Array.from({ length: publishers }, () => new Uint8Array(BITS_MIN / 8))
    this.#rising = new Float64Array(publishers * members)
  }

  /** Nothing is expected of one member alone. */
  override expect(): void {}

  override fanOf(): number {
    return 1
  }

  override record(member: number, publisher: number, sequence: number): void {
    if (publisher >= this.publishers || sequence - (this.deliveredOf[publisher] as number) > GAP_MAX) {
      this.stray++
      return
    }
    const bits = this.#bitsOf(publisher, sequence)
    const byte = bits[sequence >> 3] as number
    const bit = 1 << (sequence & 7)
    if ((byte & bit) !== 0) {
      this.duplicates++
      return
    }
    bits[sequence >> 3] = byte | bit
    this.count(publisher)
    this.deliveredTo[member] = (this.deliveredTo[member] as number) + 1
    const at = member * this.publishers + publisher
    if (sequence < (this.#rising[at] as number)) this.reordered++
    else this.#rising[at] = sequence + 1
  }

  #bitsOf(publisher: number, sequence: number): Uint8Array {
    const bits = this.#seen[publisher] as Uint8Array
    if (sequence >> 3 < bits.length) return bits
    const wider = new Uint8Array(2 ** Math.ceil(Math.log2((sequence >> 3) + 1)))
    wider.set(bits)
    this.#seen[publisher] = wider
    return wider
  }
}
