/**
 * The last offset of each key within what a round of compaction takes in, by a hash of the key: 24 bytes a key in typed arrays, within a
 * bound.
 *
 * Source: SkimpyOffsetMap of Apache Kafka, which keeps MD5 and an offset in as many bytes.
 * Invariants
 *  - It holds at most {@link LOAD_MAX} of its slots. It takes at most `bytesMax` of memory, the old table beside the new one while it grows
 *    among them; one that {@link OffsetMap.put} is told to grow all the same takes more.
 *  - Offsets of a key only rise: what is put later is later in the log.
 */
import { HASH_WORDS, hashKey } from "./keyed-hash.ts"

export const SLOT_BYTES = 24
/** The share of slots that may be taken. */
const LOAD_MAX = 0.75
const SLOTS_MIN = 64
const NONE = -1

export interface OffsetMapOptions {
  readonly bytesMax: number
  /** How many keys there may be, about: so many slots are made at once, within the bound. */
  readonly keysExpected?: number
  /** `SECRET_WORDS` random words, other ones for each map. */
  readonly secret: Int32Array
}

export class OffsetMap {
  /** Keys that it holds. */
  size = 0
  readonly #bytesMax: number
  readonly #secret: Int32Array
  readonly #hash = new Int32Array(HASH_WORDS)
  #hashes: Int32Array
  #offsets: Float64Array
  #sizeMax = 0

  constructor({ bytesMax, keysExpected = 0, secret }: OffsetMapOptions) {
    this.#bytesMax = bytesMax
    this.#secret = secret
    let slots = SLOTS_MIN
    while (slots * LOAD_MAX < keysExpected && slots * 2 * SLOT_BYTES <= bytesMax) slots *= 2
    this.#hashes = new Int32Array(slots * HASH_WORDS)
    this.#offsets = new Float64Array(slots).fill(NONE)
    this.#sizeMax = Math.floor(slots * LOAD_MAX)
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#offsets.length * SLOT_BYTES
  }

  /**
   * Notes that the key `bytes[start, end)` has a record at `offset`; false where the key is new and has no room, and nothing was noted.
   * `isForced`: room is made beyond the bound.
   */
  put(bytes: Uint8Array, start: number, end: number, offset: number, isForced = false): boolean {
    hashKey(bytes, start, end, this.#secret, this.#hash)
    let slot = this.#find()
    if (this.#offsets[slot] === NONE) {
      if (this.size >= this.#sizeMax) {
        if (!this.#grow(isForced)) return false
        slot = this.#find()
      }
      const words = slot * HASH_WORDS
      for (let word = 0; word < HASH_WORDS; word++) this.#hashes[words + word] = this.#hash[word]!
      this.size += 1
    }
    this.#offsets[slot] = offset
    return true
  }

  /** The last offset of the key `bytes[start, end)`; negative where it has none here. */
  get(bytes: Uint8Array, start: number, end: number): number {
    hashKey(bytes, start, end, this.#secret, this.#hash)
    return this.#offsets[this.#find()]!
  }

  /** The slot of `#hash`, or the free one where it would go. */
  #find(): number {
    const hash = this.#hash
    const hashes = this.#hashes
    const offsets = this.#offsets
    const mask = offsets.length - 1
    for (let slot = hash[0]! & mask; ; slot = (slot + 1) & mask) {
      if (offsets[slot] === NONE) return slot
      const words = slot * HASH_WORDS
      if (
        hashes[words] === hash[0] &&
        hashes[words + 1] === hash[1] &&
        hashes[words + 2] === hash[2] &&
        hashes[words + 3] === hash[3]
      ) {
        return slot
      }
    }
  }

  #grow(isForced: boolean): boolean {
    const slots = this.#offsets.length * 2
    if (!isForced && (slots + this.#offsets.length) * SLOT_BYTES > this.#bytesMax) return false
    const hashes = this.#hashes
    const offsets = this.#offsets
    const wanted = this.#hash.slice()
    this.#hashes = new Int32Array(slots * HASH_WORDS)
    this.#offsets = new Float64Array(slots).fill(NONE)
    this.#sizeMax = Math.floor(slots * LOAD_MAX)
    for (let from = 0; from < offsets.length; from++) {
      if (offsets[from] === NONE) continue
      this.#hash.set(hashes.subarray(from * HASH_WORDS, (from + 1) * HASH_WORDS))
      const slot = this.#find()
      this.#hashes.set(this.#hash, slot * HASH_WORDS)
      this.#offsets[slot] = offsets[from]!
    }
    this.#hash.set(wanted)
    return true
  }
}
