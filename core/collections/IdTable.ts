/**
 * Ids found by the hash of what they stand for, which the owner keeps and compares: a hash table that grows in small steps.
 *
 * The first bits of a hash choose a segment, its last bits the place in it. A full segment is divided in two, and nothing else is touched:
 * that an id is added never takes longer than dividing one segment (extendible hashing: Fagin et al. 1979; leave: its pages on disk).
 *
 * Invariants
 *  - At most three quarters of a segment are taken, so that a probe is short.
 *  - A table that becomes empty gives up its segments.
 * The hashes must be seeded where clients choose the keys.
 */
import { assert } from "../assert.ts"

const SLOTS_MIN = 8
/** Slots of a segment that is divided when it is full; 16 KiB. */
const SLOTS_MAX = 2048
/** Beyond so many segments they grow instead: many millions of ids, or keys of one hash. */
const DEPTH_MAX = 16

/**
 * Ids whose hashes begin with the same bits. To look for one: from slot `hash & mask` on, `words[2 * slot]` is a hash and
 * `words[2 * slot + 1]` one more than its id, 0 = nothing more.
 */
export class Segment {
  words: Int32Array
  mask: number
  count = 0
  /** How many first bits of the hashes are the same. */
  depth: number

  constructor(slots: number, depth: number) {
    this.words = new Int32Array(2 * slots)
    this.mask = slots - 1
    this.depth = depth
  }

  get isFull(): boolean {
    return 4 * (this.count + 1) > 3 * (this.mask + 1)
  }

  put(hash: number, id: number): void {
    const { words, mask } = this
    let slot = hash & mask
    while (words[2 * slot + 1] !== 0) slot = (slot + 1) & mask
    words[2 * slot] = hash
    words[2 * slot + 1] = id + 1
    this.count += 1
  }

  /** Takes an id out and moves back what would stand behind a gap. */
  take(hash: number, id: number): void {
    const { words, mask } = this
    let gap = hash & mask
    while (words[2 * gap + 1] !== id + 1) {
      assert(words[2 * gap + 1] !== 0, "an id is removed by the hash that it was added with")
      gap = (gap + 1) & mask
    }
    for (let slot = (gap + 1) & mask; words[2 * slot + 1] !== 0; slot = (slot + 1) & mask) {
      const home = words[2 * slot]! & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      words[2 * gap] = words[2 * slot]!
      words[2 * gap + 1] = words[2 * slot + 1]!
      gap = slot
    }
    words[2 * gap] = 0
    words[2 * gap + 1] = 0
    this.count -= 1
  }

  double(): void {
    const before = this.words
    this.words = new Int32Array(2 * before.length)
    this.mask = before.length - 1
    this.count = 0
    for (let slot = 0; slot < before.length; slot += 2) {
      if (before[slot + 1] !== 0) this.put(before[slot]!, before[slot + 1]! - 1)
    }
  }
}

export class IdTable {
  /** By the first bits of a hash. */
  #segments: Array<Segment> = [new Segment(SLOTS_MIN, 0)]
  #depth = 0
  #count = 0
  #slotCount = SLOTS_MIN

  get count(): number {
    return this.#count
  }

  get sizeBytes(): number {
    return 8 * (this.#slotCount + this.#segments.length)
  }

  /** Where an id with this hash is, if it is anywhere. */
  segment(hash: number): Segment {
    return this.#segments[(hash >>> 1) >>> (31 - this.#depth)]!
  }

  /** Adds an id that is not there; `hash` has 32 bits. */
  add(hash: number, id: number): void {
    let segment = this.segment(hash)
    while (segment.isFull) {
      if (segment.mask + 1 < SLOTS_MAX || segment.depth === DEPTH_MAX) {
        this.#slotCount += segment.mask + 1
        segment.double()
      } else this.#divide(segment, hash)
      segment = this.segment(hash)
    }
    segment.put(hash, id)
    this.#count += 1
  }

  /** Removes an id that is there. */
  remove(hash: number, id: number): void {
    this.segment(hash).take(hash, id)
    this.#count -= 1
    if (this.#count > 0 || this.#depth === 0) return
    this.#segments = [new Segment(SLOTS_MIN, 0)]
    this.#depth = 0
    this.#slotCount = SLOTS_MIN
  }

  /** Divides the segment of `hash` by the next bit of the hashes. */
  #divide(segment: Segment, hash: number): void {
    if (segment.depth === this.#depth) {
      this.#segments = this.#segments.flatMap((each) => [each, each])
      this.#depth += 1
    }
    const depth = segment.depth + 1
    const bit = 1 << (32 - depth)
    const zero = new Segment(SLOTS_MAX, depth)
    const one = new Segment(SLOTS_MAX, depth)
    const { words } = segment
    for (let slot = 0; slot < words.length; slot += 2) {
      if (words[slot + 1] === 0) continue
      const half = (words[slot]! & bit) === 0 ? zero : one
      half.put(words[slot]!, words[slot + 1]! - 1)
    }
    this.#slotCount += SLOTS_MAX
    // All places of the directory that led to it, the first half of them to one new segment, the others to the other.
    const places = 1 << (this.#depth - segment.depth)
    const first = ((hash >>> 1) >>> (31 - this.#depth)) & ~(places - 1)
    for (let place = 0; place < places; place++) {
      this.#segments[first + place] = place < places / 2 ? zero : one
    }
  }
}
