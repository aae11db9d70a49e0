/**
 * Very many topics without an object for each: name and id lie in pages of bytes, what they have alike is kept once. One costs what its
 * name takes, 22 bytes, and about 12 by which its id is found; what {@link TopicTable.topicAt} gives is made anew.
 *
 * A record: 4 bytes number of the kind, 16 id, 2 length of the name, the name in UTF-8. It lies within one page and begins at a multiple of
 * 8 bytes; which one is the topic's place. Room that a topic leaves goes to the next of its size.
 *
 * Topics that are or were bound to a filter, with a log of another id, or with an id that is no UUID are few, and kept as the objects they are.
 *
 * Invariant: a place stands for one topic as long as that is there.
 */
import { assert } from "../assert.ts"
import { IdTable } from "../collections/IdTable.ts"
import { textHash } from "../collections/text-hash.ts"
import { copyBytes } from "../copy-bytes.ts"
import { textOfBytes } from "../text-of-bytes.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import { isPlain, type TopicKind, TopicKinds } from "./TopicKinds.ts"
import { putUuid, UUID_BYTES, uuidAt } from "./topic-uuid.ts"

const PAGE_SHIFT = 13
/** Multiples of 8 bytes of a page. */
const PAGE_UNITS = 1 << PAGE_SHIFT
const MASK = PAGE_UNITS - 1
const ID_AT = 4
const LENGTH_AT = ID_AT + UUID_BYTES
const NAME_AT = LENGTH_AT + 2
const NAME_BYTES_MAX = 8 * PAGE_UNITS - NAME_AT
/** In place of a kind: the topic is kept as an object; there is none any more. */
const OBJECT = 0xffff_fffe
const FREE = 0xffff_ffff

const encoder = new TextEncoder()

interface Page {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Multiples of 8 bytes that are taken. */
  end: number
}

export class TopicTable {
  readonly #pages: Array<Page> = []
  readonly #ids = new IdTable()
  readonly #kinds = new TopicKinds()
  readonly #objects = new Map<number, TopicInfo>()
  /** Places that are free, by their size. */
  readonly #free: Array<Array<number> | undefined> = []
  /** The name that is looked for. */
  #name = new Uint8Array(256)
  #nameLength = 0
  readonly #id = new Uint8Array(UUID_BYTES)

  get size(): number {
    return this.#ids.count
  }

  /** From now on {@link TopicTable.compare} is about this name. */
  seek(name: string): void {
    // A UTF-16 code unit is 3 bytes at most.
    if (this.#name.length < 3 * name.length) this.#name = new Uint8Array(3 * name.length)
    this.#nameLength = encoder.encodeInto(name, this.#name).written
  }

  /** Below 0 where the name of a place comes before the one that is looked for, 0 where it is that; by their bytes. */
  compare(place: number): number {
    const { bytes, view } = this.#page(place)
    const at = 8 * (place & MASK)
    const name = this.#name
    const own = view.getUint16(at + LENGTH_AT)
    const common = Math.min(own, this.#nameLength)
    for (let index = 0; index < common; index++) {
      const difference = (bytes[at + NAME_AT + index] ?? 0) - (name[index] ?? 0)
      if (difference !== 0) return difference
    }
    return own - this.#nameLength
  }

  nameAt(place: number): string {
    const { bytes, view } = this.#page(place)
    const at = 8 * (place & MASK) + NAME_AT
    return textOfBytes(bytes, at, at + view.getUint16(at - 2))
  }

  topicAt(place: number): TopicInfo {
    const { bytes, view } = this.#page(place)
    const at = 8 * (place & MASK)
    const number = view.getUint32(at)
    if (number === OBJECT) return this.#objectAt(place)
    const { tenant, kind } = this.#kinds.of(number)
    const name = this.nameAt(place)
    const id = uuidAt(bytes, at + ID_AT)
    const { partitions, engine, mode, origin, retention, compression, configs, partitionBy } = kind
    // Objects of one shape and without room to grow: the usual ones.
    const isUsual = retention !== undefined && configs === undefined && partitionBy === undefined
    if (!isUsual) return { tenant, name, id, ...kind }
    if (compression === undefined) return { tenant, name, id, partitions, engine, mode, origin, retention }
    return { tenant, name, id, partitions, engine, mode, origin, retention, compression }
  }

  /** The place of the topic of this id; -1 = there is none. */
  placeOf(id: string): number {
    return putUuid(id, this.#id, 0) ? this.#placeOfBytes(this.#id, 0) : this.#placeOfText(id)
  }

  /** Takes in a topic whose id is not there; returns its place. */
  add(topic: TopicInfo): number {
    const { tenant, name, id } = topic
    const isUuid = putUuid(id, this.#id, 0)
    this.seek(name)
    if (isUuid && isPlain(topic)) {
      const { tenant: _tenant, name: _name, id: _id, ...kind } = topic
      return this.#add(this.#kinds.take(tenant, kind), this.#id, 0)
    }
    if (!isUuid) this.#id.fill(0)
    const place = this.#add(OBJECT, this.#id, 0, isUuid ? undefined : textHash(id))
    this.#objects.set(place, topic)
    return place
  }

  /**
   * Takes in a topic without an object: that of the name which was looked for last, its id the 16 bytes at `start`. Returns its place, or
   * -1 where there is one of this id.
   */
  addPlain(tenant: number, kind: TopicKind, bytes: Uint8Array, start: number): number {
    if (this.#placeOfBytes(bytes, start) >= 0) return -1
    return this.#add(this.#kinds.take(tenant, kind), bytes, start)
  }

  remove(place: number): void {
    const { bytes, view } = this.#page(place)
    const at = 8 * (place & MASK)
    const number = view.getUint32(at)
    const object = this.#objects.get(place)
    const isUuid = object === undefined || putUuid(object.id, this.#id, 0)
    this.#ids.remove(isUuid ? hashOf(bytes, at + ID_AT) : textHash(object.id) | 0, place)
    if (number === OBJECT) this.#objects.delete(place)
    else this.#kinds.release(number)
    view.setUint32(at, FREE)
    const units = unitsOf(view.getUint16(at + LENGTH_AT))
    const free = this.#free[units] ?? []
    this.#free[units] = free
    free.push(place)
  }

  /** All topics; they may come and go meanwhile. */
  *topics(): Generator<TopicInfo, void> {
    for (let number = 0; number < this.#pages.length; number++) {
      for (let unit = 0; unit < (this.#pages[number]?.end ?? 0); ) {
        const place = number * PAGE_UNITS + unit
        const { view } = this.#page(place)
        if (view.getUint32(8 * unit) !== FREE) yield this.topicAt(place)
        unit += unitsOf(view.getUint16(8 * unit + LENGTH_AT))
      }
    }
  }

  #add(kind: number, id: Uint8Array, start: number, hash: number = hashOf(id, start)): number {
    assert(this.#nameLength <= NAME_BYTES_MAX, "a topic's name has a bounded length")
    const place = this.#room(unitsOf(this.#nameLength))
    const { bytes, view } = this.#page(place)
    const at = 8 * (place & MASK)
    view.setUint32(at, kind)
    copyBytes(id, start, start + UUID_BYTES, bytes, at + ID_AT)
    view.setUint16(at + LENGTH_AT, this.#nameLength)
    copyBytes(this.#name, 0, this.#nameLength, bytes, at + NAME_AT)
    this.#ids.add(hash | 0, place)
    return place
  }

  #room(units: number): number {
    const free = this.#free[units]?.pop()
    if (free !== undefined) return free
    let page = this.#pages.at(-1)
    if (page === undefined || page.end + units > PAGE_UNITS) {
      const bytes = new Uint8Array(8 * PAGE_UNITS)
      page = { bytes, view: new DataView(bytes.buffer), end: 0 }
      this.#pages.push(page)
    }
    const place = (this.#pages.length - 1) * PAGE_UNITS + page.end
    page.end += units
    return place
  }

  #placeOfBytes(id: Uint8Array, start: number): number {
    const hash = hashOf(id, start)
    const segment = this.#ids.segment(hash)
    const { words } = segment
    for (let slot = segment.first(hash); ; slot = segment.next(slot)) {
      const place = (words[2 * slot + 1] ?? 0) - 1
      if (place < 0) return -1
      if (words[2 * slot] === hash && this.#hasId(place, id, start)) return place
    }
  }

  #placeOfText(id: string): number {
    const hash = textHash(id) | 0
    const segment = this.#ids.segment(hash)
    const { words } = segment
    for (let slot = segment.first(hash); ; slot = segment.next(slot)) {
      const place = (words[2 * slot + 1] ?? 0) - 1
      if (place < 0) return -1
      if (words[2 * slot] === hash && this.#objects.get(place)?.id === id) return place
    }
  }

  #hasId(place: number, id: Uint8Array, start: number): boolean {
    const { bytes } = this.#page(place)
    const at = 8 * (place & MASK) + ID_AT
    for (let index = 0; index < UUID_BYTES; index++) if (bytes[at + index] !== id[start + index]) return false
    return true
  }

  #objectAt(place: number): TopicInfo {
    const topic = this.#objects.get(place)
    assert(topic !== undefined, "a topic that is no record is an object")
    return topic
  }

  #page(place: number): Page {
    const page = this.#pages[place >>> PAGE_SHIFT]
    assert(page !== undefined, "a place lies in a page")
    return page
  }
}

/** Ids are made by chance or by a digest, and by no client: their first bytes are as good as a hash. */
function hashOf(id: Uint8Array, start: number): number {
  return ((id[start] ?? 0) << 24) | ((id[start + 1] ?? 0) << 16) | ((id[start + 2] ?? 0) << 8) | (id[start + 3] ?? 0)
}

/** Multiples of 8 bytes that a record takes. */
function unitsOf(nameBytes: number): number {
  return (NAME_AT + nameBytes + 7) >>> 3
}
