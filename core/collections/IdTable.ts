/**
 * Ids found by the hash of what they stand for, which the owner keeps and compares: a hash table that grows in small steps.
 *
 * The first bits of a hash choose a segment, its last bits the place in it. A full segment is divided in two, and nothing else is touched:
 * that an id is added never takes longer than dividing one segment (extendible hashing: Fagin et al. 1979; leave: its pages on disk).
 *
 * Invariants
 *  - At most 13 sixteenths of a segment are taken, so that a probe is short, and at least half where there are many.
 *  - A table that becomes empty is small again.
 * The hashes must be seeded where clients choose the keys.
 */
import { assert } from "../assert.ts"

const SLOTS_MIN = 8
/** A segment doubles up to so many slots; then it has the next two sizes, and is divided when it is full. */
const SLOTS_DOUBLED = 1024
const SLOTS_HALF = 1536
const SLOTS_MAX = 2048
/** Beyond so many segments they grow instead: many millions of ids, or keys of one hash. */
const DEPTH_MAX = 16

/**
 * Ids whose hashes begin with the same bits. To look for one: in slot {@link Segment.first} and each {@link Segment.next},
 * `words[2 * slot]` is a hash and `words[2 * slot + 1]` one more than its id, 0 = nothing more.
 */
export class Segment {
  words: Int32Array
  slots: number
  count = 0
  /** How many first bits of the hashes are the same. */
  depth: number

  constructor(slots: number, depth: number) {
    this.words = new Int32Array(2 * slots)
    this.slots = slots
    this.depth = depth
  }

  get isFull(): boolean {
    return 16 * (this.count + 1) > 13 * this.slots
  }

  /** Where the ids with a hash begin. */
  first(hash: number): number {
    return ((hash & 0xffff) * this.slots) >>> 16
  }

  next(slot: number): number {
    return slot + 1 === this.slots ? 0 : slot + 1
  }

  put(hash: number, id: number): void {
    const { words } = this
    let slot = this.first(hash)
    while (words[2 * slot + 1] !== 0) slot = this.next(slot)
    words[2 * slot] = hash
    words[2 * slot + 1] = id + 1
    this.count += 1
  }

  /** Takes an id out and moves back what would stand behind a gap. */
  take(hash: number, id: number): void {
    const { words } = this
    let gap = this.first(hash)
    while (words[2 * gap + 1] !== id + 1) {
      assert(words[2 * gap + 1] !== 0, "an id is removed by the hash that it was added with")
      gap = this.next(gap)
    }
    for (let slot = this.next(gap); words[2 * slot + 1] !== 0; slot = this.next(slot)) {
      if (this.#steps(this.first(words[2 * slot]!), slot) < this.#steps(gap, slot)) continue
      words[2 * gap] = words[2 * slot]!
      words[2 * gap + 1] = words[2 * slot + 1]!
      gap = slot
    }
    words[2 * gap] = 0
    words[2 * gap + 1] = 0
    this.count -= 1
  }

  /** From one slot on to another one. */
  #steps(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.slots
  }

  grow(slots: number): void {
    assert(slots <= 65_536, "so many ids have hashes of their own")
    const before = this.words
    this.words = new Int32Array(2 * slots)
    this.slots = slots
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
      const { slots } = segment
      if (slots < SLOTS_MAX || segment.depth === DEPTH_MAX) {
        segment.grow(slots === SLOTS_DOUBLED ? SLOTS_HALF : slots === SLOTS_HALF ? SLOTS_MAX : 2 * slots)
        this.#slotCount += segment.slots - slots
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
    if (this.#count > 0 || this.#slotCount === SLOTS_MIN) return
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
    const zero = new Segment(SLOTS_HALF, depth)
    const one = new Segment(SLOTS_HALF, depth)
    const { words } = segment
    for (let slot = 0; slot < words.length; slot += 2) {
      if (words[slot + 1] === 0) continue
      const half = (words[slot]! & bit) === 0 ? zero : one
      // All of them may be on one side.
      if (half.isFull) half.grow(SLOTS_MAX)
      half.put(words[slot]!, words[slot + 1]! - 1)
    }
    this.#slotCount += zero.slots + one.slots - segment.slots
    // All places of the directory that led to it, the first half of them to one new segment, the others to the other.
    const places = 1 << (this.#depth - segment.depth)
    const first = ((hash >>> 1) >>> (31 - this.#depth)) & ~(places - 1)
    for (let place = 0; place < places; place++) {
      this.#segments[first + place] = place < places / 2 ? zero : one
    }
  }
}
