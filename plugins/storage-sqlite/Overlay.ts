/**
 * Key-value writes in memory that lie over the database: what was applied since a checkpoint.
 *
 * Invariants
 *  - A key that stands in `entries` is newer than every range in `ranges`.
 *  - An entry without a value hides what lies below; there is none for a key that cannot lie below.
 */
import { KeyRanges } from "./KeyRanges.ts"
import { OrderedTable } from "./OrderedTable.ts"

export interface Entry {
  readonly key: Uint8Array
  /** Undefined = removed. */
  readonly value: Uint8Array | undefined
  /** Nothing of this key lies below, or a range hides it: its removal needs no entry, its row in the database is a new one. */
  readonly isNew: boolean
}

/** What an entry takes beside its key and value, about. */
const ENTRY_BYTES = 160

export class Overlay {
  readonly entries = new OrderedTable<Entry>()
  readonly ranges = new KeyRanges()
  /** Bytes that it takes, about. */
  bytes = 0
  /** Keys more than lie below, as far as that is known. */
  keys = 0

  get isEmpty(): boolean {
    return this.entries.size === 0 && this.ranges.size === 0
  }

  /** `mayLieBelow` says whether a key may lie in what this overlay covers. */
  put(name: string, key: Uint8Array, value: Uint8Array, mayLieBelow: (name: string, key: Uint8Array) => boolean): void {
    const known = this.entries.get(name)
    let isNew: boolean
    if (known !== undefined) {
      isNew = known.isNew
      this.#forget(known)
      if (known.value === undefined) this.keys += 1
    } else {
      isNew = this.ranges.covers(name) || !mayLieBelow(name, key)
      if (isNew) this.keys += 1
    }
    this.#set(name, { key, value, isNew })
  }

  remove(name: string, key: Uint8Array, mayLieBelow: (name: string, key: Uint8Array) => boolean): void {
    const known = this.entries.get(name)
    if (known !== undefined) {
      if (known.value === undefined) return
      this.#forget(known)
      this.keys -= 1
      if (known.isNew) this.entries.delete(name)
      else this.#set(name, { key, value: undefined, isNew: false })
      return
    }
    if (this.ranges.covers(name) || !mayLieBelow(name, key)) return
    this.keys -= 1
    this.#set(name, { key, value: undefined, isNew: false })
  }

  removeRange(start: string, end: string): void {
    if (start >= end) return
    this.entries.deleteRange(start, end, (entry) => {
      this.#forget(entry)
      if (entry.value !== undefined) this.keys -= 1
    })
    const before = this.ranges.size
    this.ranges.add(start, end)
    this.bytes += (this.ranges.size - before) * ENTRY_BYTES
  }

  #set(name: string, entry: Entry): void {
    this.entries.set(name, entry)
    this.bytes += sizeOf(entry)
  }

  #forget(entry: Entry): void {
    this.bytes -= sizeOf(entry)
  }
}

function sizeOf({ key, value }: Entry): number {
  return ENTRY_BYTES + key.length + (value === undefined ? 0 : value.length)
}
