/**
 * Ends that many values have alike, kept once: what follows an id in a million records is mostly one of a few texts.
 *
 * What makes up most of several values, of those that have no tail yet, becomes one. A value keeps the number of its tail; one that no
 * value has any more makes room for another.
 *
 * Invariants
 *  - The bytes of a number stay the same as long as a value has it.
 *  - Finding the tail of a value compares it with {@link TAILS_MAX} and {@link CANDIDATES} others at most.
 */

/** Different tails at a time. */
export const TAILS_MAX = 15
/** A shorter one is not worth its number. */
export const TAIL_BYTES_MIN = 32
const TAIL_BYTES_MAX = 1_024
/** Values that others are compared with. */
const CANDIDATES = 4
/** So many more must end as a candidate does: with fewer a tail would often have a byte of what differs. */
const ALIKE_MIN = 3

interface Candidate {
  bytes: Uint8Array
  alike: number
}

export class CommonTails {
  /** By their numbers; there is none of 0. */
  readonly #tails: Array<Uint8Array | undefined> = [undefined]
  /** How many values have each. */
  readonly #counts: Array<number> = [0]
  #last = 0
  readonly #candidates: Array<Candidate> = []
  #oldest = 0

  /** The bytes of a number that a value has. */
  bytesOf(number: number): Uint8Array {
    return this.#tails[number] ?? NOTHING
  }

  /** The number of the tail of `bytes[start, end)`, which has it until it is released; 0 = it has none. */
  take(bytes: Uint8Array, start: number, end: number): number {
    const number = this.#find(bytes, start, end)
    if (number > 0) {
      this.#last = number
      this.#counts[number] = (this.#counts[number] ?? 0) + 1
    }
    return number
  }

  /** A value of this number is gone. */
  release(number: number): void {
    if (number === 0) return
    const count = (this.#counts[number] ?? 0) - 1
    this.#counts[number] = count
    if (count === 0) this.#tails[number] = undefined
  }

  #find(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < TAIL_BYTES_MIN) return 0
    if (this.#fits(this.#last, bytes, start, end)) return this.#last
    for (let number = 1; number < this.#tails.length; number++) if (this.#fits(number, bytes, start, end)) return number
    return this.#learn(bytes, start, end)
  }

  #fits(number: number, bytes: Uint8Array, start: number, end: number): boolean {
    const tail = this.#tails[number]
    if (tail === undefined || tail.length > end - start) return false
    return alikeAtEnd(tail, bytes, start, end) === tail.length
  }

  /** Looks whether the value ends as others did; returns the number of what becomes a tail by it. */
  #learn(bytes: Uint8Array, start: number, end: number): number {
    let best: Candidate | undefined
    // Less than most of a value is what different kinds of values end with.
    let bestLength = Math.max(TAIL_BYTES_MIN, Math.ceil(((end - start) * 3) / 4)) - 1
    for (const candidate of this.#candidates) {
      const length = alikeAtEnd(candidate.bytes, bytes, start, end)
      if (length <= bestLength) continue
      best = candidate
      bestLength = length
    }
    if (best === undefined) {
      const added = { bytes: bytes.slice(Math.max(start, end - TAIL_BYTES_MAX), end), alike: 0 }
      this.#candidates[this.#oldest] = added
      this.#oldest = (this.#oldest + 1) % CANDIDATES
      return 0
    }
    if (bestLength < best.bytes.length) best.bytes = best.bytes.slice(best.bytes.length - bestLength)
    best.alike += 1
    return best.alike < ALIKE_MIN ? 0 : this.#make(best)
  }

  #make(candidate: Candidate): number {
    let number = this.#tails.indexOf(undefined, 1)
    if (number < 0) number = this.#tails.length
    if (number > TAILS_MAX) return 0
    this.#tails[number] = candidate.bytes
    this.#counts[number] = 0
    this.#candidates.splice(this.#candidates.indexOf(candidate), 1)
    this.#oldest = 0
    return number
  }
}

const NOTHING = new Uint8Array(0)

/** How many bytes at the end of `bytes[start, end)` are those at the end of `tail`. */
function alikeAtEnd(tail: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  const most = Math.min(tail.length, end - start)
  const offset = end - tail.length
  let at = tail.length
  for (const first = tail.length - most; at > first; at--) if (tail[at - 1] !== bytes[offset + at - 1]) break
  return tail.length - at
}
