/**
 * Which keys may be in the database: a Bloom filter, so that a key that came and went between two checkpoints is never looked for there.
 *
 * Invariants
 *  - What was added is never denied; what was not may be confirmed, for one key in a hundred while no more than `capacity` were added.
 *  - Before {@link KeyFilter.complete} nothing is denied.
 */

const BITS_PER_KEY = 10
const HASHES = 7

export class KeyFilter {
  readonly capacity: number
  added = 0
  #isComplete = false
  readonly #words: Uint32Array
  readonly #bits: number

  constructor(capacity: number) {
    this.capacity = capacity
    const words = Math.ceil((capacity * BITS_PER_KEY) / 32)
    this.#words = new Uint32Array(words)
    this.#bits = words * 32
  }

  get sizeBytes(): number {
    return this.#words.byteLength
  }

  get isFull(): boolean {
    return this.added > this.capacity
  }

  /** Every key of the database has been added. */
  complete(): void {
    this.#isComplete = true
  }

  add(key: Uint8Array): void {
    this.added += 1
    const words = this.#words
    let hash = hashOf(key, 0x811c9dc5)
    const step = hashOf(key, 0x9747b28c) | 1
    for (let count = 0; count < HASHES; count++) {
      const bit = (hash >>> 0) % this.#bits
      words[bit >>> 5] = (words[bit >>> 5] as number) | (1 << (bit & 31))
      hash = (hash + step) | 0
    }
  }

  mayHave(key: Uint8Array): boolean {
    if (!this.#isComplete) return true
    const words = this.#words
    let hash = hashOf(key, 0x811c9dc5)
    const step = hashOf(key, 0x9747b28c) | 1
    for (let count = 0; count < HASHES; count++) {
      const bit = (hash >>> 0) % this.#bits
      if (((words[bit >>> 5] as number) & (1 << (bit & 31))) === 0) return false
      hash = (hash + step) | 0
    }
    return true
  }
}

function hashOf(key: Uint8Array, seed: number): number {
  let hash = seed
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ (key[index] as number), 0x01000193)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
