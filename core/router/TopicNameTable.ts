/**
 * A bounded table from topic names, as bytes, to entries: what a hot name needs, found without a string or an allocation.
 *
 * Invariants
 *  - At most `capacity` names and `keyBytesMax` bytes of names are kept, so whatever clients send the memory is bounded.
 *  - A name is found within {@link PROBES_MAX} slots of its hash, or not at all: where these are full one of their names makes
 *    room. The hash is seeded ({@link hashBytes}), so that a client cannot make others' names be evicted.
 *  - What makes room is chosen by CLOCK: the hand passes over a name that was looked up since it came by last. A name counts
 *    as looked up from its first lookup on, so that names which are used once do not push out those in use.
 */
import { assert } from "../assert.ts"
import { hashBytes, hashMultiplier } from "./seeded-hash.ts"

/** Slots that a lookup reads at most. */
export const PROBES_MAX = 32
/** Bytes of one name. */
const KEY_BYTES_MAX = 65_535

const SLOT_WORDS = 2
const SLOT_HASH = 0
/** The record's number plus one; 0 = empty. */
const SLOT_RECORD = 1
const SLOTS_MIN = 64
const KEY_WORDS_MIN = 1024

const RECORD_WORDS = 4
/** Where the key's words begin. */
const POSITION = 0
/** Bytes of the key. */
const LENGTH = 1
const HASH = 2
/** 1 = looked up since the hand came by. */
const USED = 3

export interface TopicNameTableOptions<E> {
  /** Names kept at most. */
  readonly capacity: number
  /** From a source of chance. */
  readonly seed: number
  /** Bytes of names kept at most, each name rounded up to four; 64 KiB or more. Else 128 a name of the capacity, 256 KiB or more. */
  readonly keyBytesMax?: number
  /** Told of each entry that makes room for another; the table must not be changed meanwhile. */
  readonly onEvict?: (entry: E) => void
}

export class TopicNameTable<E extends object> {
  readonly #capacity: number
  readonly #keyBytesMax: number
  readonly #seed: number
  readonly #multiplier: number
  readonly #onEvict: (entry: E) => void
  #slots = new Int32Array(SLOTS_MIN * SLOT_WORDS)
  #records = new Int32Array(SLOTS_MIN * RECORD_WORDS)
  /** By record; undefined = a free record. */
  readonly #entries: Array<E | undefined> = []
  readonly #freeRecords: Array<number> = []
  /** Four bytes a word, as {@link wordAt} reads them: comparing words takes half the time of comparing bytes. */
  #keys = new Int32Array(KEY_WORDS_MIN)
  #keysEnd = 0
  /** Bytes of the names that are kept. */
  #keyBytes = 0
  #size = 0
  #hand = 0
  /** The record that was shown last. */
  #visited = 0

  constructor(options: TopicNameTableOptions<E>) {
    this.#capacity = options.capacity
    this.#keyBytesMax = options.keyBytesMax ?? Math.max(262_144, options.capacity * 128)
    assert(this.#capacity >= 1, "a table of topic names holds one at least")
    assert(this.#keyBytesMax > KEY_BYTES_MAX, "a table of topic names has room for the longest")
    this.#seed = options.seed
    this.#multiplier = hashMultiplier(options.seed)
    this.#onEvict = options.onEvict ?? (() => {})
  }

  get size(): number {
    return this.#size
  }

  /** Bytes of the table's buffers. */
  get sizeBytes(): number {
    return this.#slots.byteLength + this.#records.byteLength + this.#keys.byteLength
  }

  /** The entry of the name `bytes[start, end)`. */
  lookup(bytes: Uint8Array, start: number, end: number): E | undefined {
    const record = this.#find(bytes, start, end, hashBytes(bytes, start, end, this.#seed, this.#multiplier))
    if (record < 0) return undefined
    this.#records[record * RECORD_WORDS + USED] = 1
    return this.#entries[record]
  }

  /** Sets the entry of a name; its bytes (65,535 at most) are copied. */
  insert(bytes: Uint8Array, start: number, end: number, entry: E): void {
    assert(end - start <= KEY_BYTES_MAX, "a topic name was checked before it is kept")
    const hash = hashBytes(bytes, start, end, this.#seed, this.#multiplier)
    const found = this.#find(bytes, start, end, hash)
    if (found >= 0) {
      this.#entries[found] = entry
      return
    }
    while (this.#size >= this.#capacity || this.#keyBytes + 4 * wordsOf(end - start) > this.#keyBytesMax) {
      this.#evictByClock()
    }
    if ((this.#size + 1) * 2 * SLOT_WORDS > this.#slots.length) this.#growSlots()
    const slot = this.#makeRoom(hash)
    const record = this.#takeRecord(entry)
    this.#slots[slot * SLOT_WORDS + SLOT_HASH] = hash
    this.#slots[slot * SLOT_WORDS + SLOT_RECORD] = record + 1
    this.#storeKey(record, bytes, start, end)
    this.#records[record * RECORD_WORDS + HASH] = hash
    this.#records[record * RECORD_WORDS + USED] = 0
    this.#size += 1
  }

  /** Removes a name; false where it was not there. Not told to `onEvict`. */
  delete(bytes: Uint8Array, start: number, end: number): boolean {
    const record = this.#find(bytes, start, end, hashBytes(bytes, start, end, this.#seed, this.#multiplier))
    if (record < 0) return false
    this.#unlink(record)
    this.#freeRecord(record)
    return true
  }

  /** Shows the next `count` entries, or all where there are no more, in turn and round and round; the table must not be changed. */
  visitNext(count: number, visit: (entry: E) => void): void {
    const { length } = this.#entries
    for (let left = Math.min(count, length); left > 0; left--) {
      this.#visited = this.#visited + 1 < length ? this.#visited + 1 : 0
      const entry = this.#entries[this.#visited]
      if (entry !== undefined) visit(entry)
    }
  }

  /** Removes all names. Not told to `onEvict`. */
  clear(): void {
    this.#slots = new Int32Array(SLOTS_MIN * SLOT_WORDS)
    this.#records = new Int32Array(SLOTS_MIN * RECORD_WORDS)
    this.#entries.length = 0
    this.#freeRecords.length = 0
    this.#keys = new Int32Array(KEY_WORDS_MIN)
    this.#keysEnd = 0
    this.#keyBytes = 0
    this.#size = 0
    this.#hand = 0
  }

  #find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots
    const mask = slots.length / SLOT_WORDS - 1
    let slot = hash & mask
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const record = slots[slot * SLOT_WORDS + SLOT_RECORD]! - 1
      if (record < 0) return -1
      if (slots[slot * SLOT_WORDS + SLOT_HASH] === hash && this.#equals(record, bytes, start, end)) return record
      slot = (slot + 1) & mask
    }
    return -1
  }

  #equals(record: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#records[record * RECORD_WORDS + LENGTH] !== end - start) return false
    const keys = this.#keys
    let word = this.#records[record * RECORD_WORDS + POSITION]!
    let position = start
    for (const last = end - 4; position <= last; position += 4) {
      const found = bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16)
      if (keys[word++] !== (found | (bytes[position + 3]! << 24))) return false
    }
    return position === end || keys[word] === wordAt(bytes, position, end)
  }

  /** A slot within reach of the hash: an empty one, or that of a name which is evicted for it. */
  #makeRoom(hash: number): number {
    const free = emptySlot(this.#slots, hash)
    if (free >= 0) return free
    const mask = this.#slots.length / SLOT_WORDS - 1
    let chosen = hash & mask
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = (hash + probe) & mask
      const record = this.#slots[slot * SLOT_WORDS + SLOT_RECORD]! - 1
      if (this.#records[record * RECORD_WORDS + USED] === 0) {
        chosen = slot
        break
      }
    }
    // The slot is filled again at once: no gap arises that would have to be closed.
    this.#evict(this.#slots[chosen * SLOT_WORDS + SLOT_RECORD]! - 1)
    return chosen
  }

  #evictByClock(): void {
    assert(this.#size > 0, "what is evicted is there")
    for (;;) {
      const record = this.#hand
      this.#hand = record + 1 < this.#entries.length ? record + 1 : 0
      if (this.#entries[record] === undefined) continue
      if (this.#records[record * RECORD_WORDS + USED] === 0) {
        this.#unlink(record)
        this.#evict(record)
        return
      }
      this.#records[record * RECORD_WORDS + USED] = 0
    }
  }

  /** Frees a record whose slot is taken care of, and tells of it. */
  #evict(record: number): void {
    const entry = this.#entries[record]
    this.#freeRecord(record)
    if (entry !== undefined) this.#onEvict(entry)
  }

  #takeRecord(entry: E): number {
    const free = this.#freeRecords.pop()
    if (free !== undefined) {
      this.#entries[free] = entry
      return free
    }
    const record = this.#entries.push(entry) - 1
    if (this.#entries.length * RECORD_WORDS > this.#records.length) this.#records = grown(this.#records)
    return record
  }

  #freeRecord(record: number): void {
    this.#entries[record] = undefined
    this.#freeRecords.push(record)
    this.#keyBytes -= 4 * wordsOf(this.#records[record * RECORD_WORDS + LENGTH]!)
    this.#size -= 1
  }

  #storeKey(record: number, bytes: Uint8Array, start: number, end: number): void {
    const words = wordsOf(end - start)
    this.#records[record * RECORD_WORDS + LENGTH] = 0
    if (this.#keysEnd + words > this.#keys.length) this.#moveKeys(words)
    let word = this.#keysEnd
    this.#records[record * RECORD_WORDS + POSITION] = word
    this.#records[record * RECORD_WORDS + LENGTH] = end - start
    for (let position = start; position < end; position += 4) this.#keys[word++] = wordAt(bytes, position, end)
    this.#keysEnd = word
    this.#keyBytes += 4 * words
  }

  /** Moves the kept names together into a buffer of which a quarter is free behind them and `words` more. */
  #moveKeys(words: number): void {
    let capacity = this.#keys.length
    while ((this.#keyBytes / 4 + words) * 4 > capacity * 3) capacity *= 2
    const keys = new Int32Array(capacity)
    let end = 0
    for (let record = 0; record < this.#entries.length; record++) {
      if (this.#entries[record] === undefined) continue
      const start = this.#records[record * RECORD_WORDS + POSITION]!
      const key = this.#keys.subarray(start, start + wordsOf(this.#records[record * RECORD_WORDS + LENGTH]!))
      keys.set(key, end)
      this.#records[record * RECORD_WORDS + POSITION] = end
      end += key.length
    }
    this.#keys = keys
    this.#keysEnd = end
  }

  #growSlots(): void {
    const slots = new Int32Array(this.#slots.length * 2)
    this.#slots = slots
    for (let record = 0; record < this.#entries.length; record++) {
      if (this.#entries[record] === undefined) continue
      const hash = this.#records[record * RECORD_WORDS + HASH]!
      const slot = emptySlot(slots, hash)
      if (slot < 0) {
        this.#evict(record)
        continue
      }
      slots[slot * SLOT_WORDS + SLOT_HASH] = hash
      slots[slot * SLOT_WORDS + SLOT_RECORD] = record + 1
    }
  }

  /** Empties a record's slot and moves back what would stand behind a gap. */
  #unlink(record: number): void {
    const slots = this.#slots
    const mask = slots.length / SLOT_WORDS - 1
    let gap = this.#records[record * RECORD_WORDS + HASH]! & mask
    while (slots[gap * SLOT_WORDS + SLOT_RECORD] !== record + 1) gap = (gap + 1) & mask
    for (let slot = (gap + 1) & mask; slots[slot * SLOT_WORDS + SLOT_RECORD] !== 0; slot = (slot + 1) & mask) {
      const hash = slots[slot * SLOT_WORDS + SLOT_HASH]!
      if (((slot - hash) & mask) < ((slot - gap) & mask)) continue
      slots[gap * SLOT_WORDS + SLOT_HASH] = hash
      slots[gap * SLOT_WORDS + SLOT_RECORD] = slots[slot * SLOT_WORDS + SLOT_RECORD]!
      gap = slot
    }
    slots[gap * SLOT_WORDS + SLOT_RECORD] = 0
  }
}

function wordsOf(bytes: number): number {
  return (bytes + 3) >>> 2
}

/** The word of the four bytes at `position`, low byte first, or of those that are left. */
function wordAt(bytes: Uint8Array, position: number, end: number): number {
  let word = bytes[position]!
  if (position + 1 < end) word |= bytes[position + 1]! << 8
  if (position + 2 < end) word |= bytes[position + 2]! << 16
  if (position + 3 < end) word |= bytes[position + 3]! << 24
  return word
}

/** The first empty slot within {@link PROBES_MAX} of the hash; -1 where none is. */
function emptySlot(slots: Int32Array, hash: number): number {
  const mask = slots.length / SLOT_WORDS - 1
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    const slot = (hash + probe) & mask
    if (slots[slot * SLOT_WORDS + SLOT_RECORD] === 0) return slot
  }
  return -1
}

/** The words in a buffer that is longer by half, in words a multiple of 16. */
function grown(words: Int32Array): Int32Array<ArrayBuffer> {
  const longer = new Int32Array((words.length + (words.length >>> 1) + 15) & ~15)
  longer.set(words)
  return longer
}
