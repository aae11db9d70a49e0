/**
 * A page of entries with their places beside them (a slotted page, as databases have them on disk).
 *
 * Invariants
 *  - Keys order by their UTF-8 bytes, each is there once.
 *  - A page holds at most {@link PAGE_BYTES}, or one entry that is larger.
 */
import { copyBytes } from "../copy-bytes.ts"
import { textOfBytes } from "../text-of-bytes.ts"

export const PAGE_BYTES = 16_384
export const FIRST_BYTES = 256
const FIRST_SLOTS = 8
/** Arrays come in multiples of this, so that memory is found again. */
const ROUND_BYTES = 1_024
export const HEAD_BYTES = 6
/** Of what is a value's own. */
export const VALUE_BYTES_MAX = 16_777_215

/**
 * Entries in the order of their keys: 2 bytes length of the key, 1 number of the tail that the value ends with (0 = none), 3 length of what
 * is before it, the key, the value without its tail.
 */
export class SlottedPage {
  bytes: Uint8Array
  /** Where each entry begins, in the order of keys. */
  slots = new Uint32Array(FIRST_SLOTS)
  count = 0
  /** Where the next entry goes, and how many bytes before it are of entries that are gone. */
  end = 0
  dead = 0

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity)
  }

  get live(): number {
    return this.end - this.dead
  }

  keyBytes(slot: number): number {
    const at = this.slots[slot] ?? 0
    return ((this.bytes[at] ?? 0) << 8) | (this.bytes[at + 1] ?? 0)
  }

  /** Which tail the value ends with. */
  tail(slot: number): number {
    return this.bytes[(this.slots[slot] ?? 0) + 2] ?? 0
  }

  /** Bytes of the value that are its own. */
  valueBytes(slot: number): number {
    const at = (this.slots[slot] ?? 0) + 3
    const { bytes } = this
    return ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
  }

  sizeOf(slot: number): number {
    return HEAD_BYTES + this.keyBytes(slot) + this.valueBytes(slot)
  }

  key(slot: number): string {
    const at = (this.slots[slot] ?? 0) + HEAD_BYTES
    return textOfBytes(this.bytes, at, at + this.keyBytes(slot))
  }

  /** Where the value begins. */
  valueStart(slot: number): number {
    return (this.slots[slot] ?? 0) + HEAD_BYTES + this.keyBytes(slot)
  }

  /** Below 0 where the slot's key comes before `key`, 0 where it is that. */
  compare(slot: number, key: Uint8Array, keyLength: number): number {
    const { bytes } = this
    const at = (this.slots[slot] ?? 0) + HEAD_BYTES
    const own = this.keyBytes(slot)
    const common = Math.min(own, keyLength)
    for (let index = 0; index < common; index++) {
      const difference = (bytes[at + index] ?? 0) - (key[index] ?? 0)
      if (difference !== 0) return difference
    }
    return own - keyLength
  }

  /** The first slot whose key is not before `key`. */
  lowerBound(key: Uint8Array, keyLength: number): number {
    let low = 0
    let high = this.count
    // What comes in order goes to the end.
    if (high > 0 && this.compare(high - 1, key, keyLength) < 0) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compare(middle, key, keyLength) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Whether an entry of so many bytes fits, after what is dead was squeezed out if need be. More of them come next where it is the last. */
  makeRoom(size: number, isLast: boolean): boolean {
    if (this.end + size <= this.bytes.length) return true
    const needed = this.live + size
    if (needed > PAGE_BYTES && this.count > 0) return false
    this.squeeze(withRoom(isLast && needed < PAGE_BYTES ? Math.min(PAGE_BYTES, 2 * needed) : needed))
    return true
  }

  /** Puts the key and `from[start, end)`, which its value is but for the tail, in front of a slot; there is room. */
  insert(
    slot: number,
    key: Uint8Array,
    keyLength: number,
    tail: number,
    from: Uint8Array,
    start: number,
    end: number
  ): void {
    const { bytes } = this
    const at = this.end
    const size = end - start
    bytes[at] = keyLength >>> 8
    bytes[at + 1] = keyLength
    bytes[at + 2] = tail
    bytes[at + 3] = size >>> 16
    bytes[at + 4] = size >>> 8
    bytes[at + 5] = size
    copyBytes(key, 0, keyLength, bytes, at + HEAD_BYTES)
    copyBytes(from, start, end, bytes, at + HEAD_BYTES + keyLength)
    this.end = at + HEAD_BYTES + keyLength + size
    if (this.count === this.slots.length) {
      const slots = new Uint32Array(2 * this.count)
      slots.set(this.slots)
      this.slots = slots
    }
    this.slots.copyWithin(slot + 1, slot, this.count)
    this.slots[slot] = at
    this.count += 1
  }

  remove(slot: number): void {
    this.dead += this.sizeOf(slot)
    this.slots.copyWithin(slot, slot + 1, this.count)
    this.count -= 1
  }

  /** Moves the entries from `slot` on into a page of their own. */
  splitAt(slot: number): SlottedPage {
    let moved = 0
    for (let each = slot; each < this.count; each++) moved += this.sizeOf(each)
    const right = new SlottedPage(withRoom(moved))
    right.take(this, slot, this.count)
    this.dead += moved
    this.count = slot
    this.squeeze(withRoom(this.live))
    return right
  }

  /** Appends entries of another page behind its own. */
  take(other: SlottedPage, from: number, to: number): void {
    const slots = new Uint32Array(Math.max(FIRST_SLOTS, this.count + to - from))
    slots.set(this.slots.subarray(0, this.count))
    this.slots = slots
    for (let slot = from; slot < to; slot++) {
      const at = other.slots[slot] ?? 0
      const size = other.sizeOf(slot)
      if (this.end + size > this.bytes.length) this.squeeze(Math.max(this.end + size, 2 * this.bytes.length))
      copyBytes(other.bytes, at, at + size, this.bytes, this.end)
      this.slots[this.count] = this.end
      this.end += size
      this.count += 1
    }
  }

  /** Into an array of so many bytes, without what is dead. */
  squeeze(capacity: number): void {
    const { bytes, slots } = this
    const squeezed = new Uint8Array(Math.max(capacity, this.live))
    if (this.dead === 0) {
      copyBytes(bytes, 0, this.end, squeezed, 0)
      this.bytes = squeezed
      return
    }
    let end = 0
    for (let slot = 0; slot < this.count; slot++) {
      const at = slots[slot] ?? 0
      const size = this.sizeOf(slot)
      copyBytes(bytes, at, at + size, squeezed, end)
      slots[slot] = end
      end += size
    }
    this.bytes = squeezed
    this.end = end
    this.dead = 0
  }
}

/** The size of an array for so many bytes: with an eighth for more to come, and no more than a page may hold but for one large entry. */
function withRoom(needed: number): number {
  if (needed > PAGE_BYTES) return needed
  return Math.min(PAGE_BYTES, Math.max(FIRST_BYTES, Math.ceil((needed * 1.125) / ROUND_BYTES) * ROUND_BYTES))
}
