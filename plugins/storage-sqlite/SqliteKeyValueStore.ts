/**
 * Key-value state of a shard: what was applied since the last checkpoint lies in memory, the rest in the database.
 *
 * Two layers lie over the database: the one that takes writes, and, while a checkpoint is under way, the one that it puts away. A layer
 * goes when the checkpoint's answer comes; answers come in order, so that who merges a page of rows has every layer above it.
 *
 * Invariant: what lies below the layers never shows through where a layer says otherwise, be the checkpoint in it or not.
 */
import {
  ByteReader,
  type ByteWriter,
  type KeyValue,
  type KeyValueStoreShape,
  type KeyValueWrite
} from "../../core/mod.ts"
import type { SqliteDatabase, SqliteStatement } from "../../core/platform/mod.ts"
import type { RangeAnswer } from "./database/messages.ts"
import { writePut, writeRangeRemoved, writeRemoved } from "./database/operations.ts"
import { KeyFilter } from "./KeyFilter.ts"
import { mergeRange } from "./merge-range.ts"
import { bytesOfName, nameOf, type TableCursor } from "./OrderedTable.ts"
import { type Entry, Overlay } from "./Overlay.ts"
import { type StoreThread, storageError } from "./StoreThread.ts"

/** Rows that are read at once on the loop. */
const PAGE_ROWS = 128
const KEYS_PER_SCAN = 4_096
const RETRY_BYTES_MIN = 65_536
const FILTER_KEYS_MIN = 65_536

export class SqliteKeyValueStore implements KeyValueStoreShape {
  readonly #thread: StoreThread
  readonly #get: SqliteStatement
  readonly #range: SqliteStatement
  #active = new Overlay()
  #frozen: Overlay | undefined
  #layers: ReadonlyArray<Overlay> = [this.#active]
  /** Keys in the database. */
  #keys: number
  #filter: KeyFilter
  /** One that is being filled and takes the place of `#filter`. */
  #nextFilter: KeyFilter | undefined
  readonly #isBelowActive = (name: string, key: Uint8Array): boolean => {
    const frozen = this.#frozen
    if (frozen !== undefined) {
      const entry = frozen.entries.get(name)
      if (entry !== undefined) return entry.value !== undefined
      if (frozen.ranges.covers(name)) return false
    }
    return this.#filter.mayHave(key)
  }

  /** `reading` is a connection of this thread to the database that `thread` writes, which holds `keys` keys. */
  constructor(thread: StoreThread, reading: SqliteDatabase, keys: number) {
    this.#thread = thread
    this.#get = reading.prepare("SELECT value FROM key_value WHERE key = ?")
    this.#range = reading.prepare("SELECT key, value FROM key_value WHERE key >= ? AND key < ? ORDER BY key LIMIT ?")
    this.#keys = keys
    this.#filter = new KeyFilter(Math.max(FILTER_KEYS_MIN, keys * 2))
    if (keys === 0) this.#filter.complete()
    else this.#fill(this.#filter)
  }

  get size(): number {
    return Math.max(0, this.#keys + this.#active.keys + (this.#frozen?.keys ?? 0))
  }

  /** Bytes of memory that writes take which are not put away, about. */
  get residentBytes(): number {
    return this.#active.bytes + (this.#frozen?.bytes ?? 0)
  }

  get filterBytes(): number {
    return this.#filter.sizeBytes
  }

  /** There is something to put away. */
  get isDirty(): boolean {
    return !this.#active.isEmpty || this.#frozen !== undefined
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const name = nameOf(key)
    for (const { entries, ranges } of this.#layers) {
      const entry = entries.get(name)
      if (entry !== undefined) return entry.value
      if (ranges.covers(name)) return undefined
    }
    if (!this.#filter.mayHave(key)) return undefined
    const value = this.#get.get(key)?.["value"]
    return value instanceof Uint8Array ? value : undefined
  }

  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue> {
    const found: Array<KeyValue> = []
    const endName = nameOf(end)
    let from: string | undefined = nameOf(start)
    while (from !== undefined && found.length < limit) {
      const wanted = Math.min(PAGE_ROWS, limit - found.length)
      const rows = this.#range.all(bytesOfName(from), end, wanted).map(keyValueOf)
      const page = mergeRange(
        { rows, isLast: rows.length < wanted, refusedBytes: 0 },
        this.#layers,
        from,
        endName,
        limit - found.length,
        Number.POSITIVE_INFINITY
      )
      found.push(...page.found)
      from = page.next
    }
    return found
  }

  rangeLater(start: Uint8Array, end: Uint8Array, limit: number, bytesMax: number): Promise<ReadonlyArray<KeyValue>> {
    if (limit <= 0) return Promise.resolve([])
    const endName = nameOf(end)
    return new Promise((resolve, reject) => {
      const ask = (from: string, rowsMax: number, rowBytesMax: number): void => {
        this.#thread.ask<"range">(
          { kind: "range", start: bytesOfName(from), end: end.slice(), limit: rowsMax, bytesMax: rowBytesMax },
          (answer, failure) => {
            if (answer === undefined) {
              reject(storageError(failure))
              return
            }
            // Merged before the next answer is looked at, which may take a layer away.
            const { found, next } = mergeRange(
              { rows: rowsOf(answer), isLast: answer.isLast, refusedBytes: answer.refusedBytes },
              this.#layers,
              from,
              endName,
              limit,
              bytesMax
            )
            if (next === undefined) resolve(found)
            else if (found.length === 0) ask(next, limit, bytesMax)
            // So many rows are hidden that the page is short. Asked for anew, so that all of it is of one moment.
            else ask(from, rowsMax * 2, Math.max(RETRY_BYTES_MIN, rowBytesMax * 2))
          }
        )
      }
      ask(nameOf(start), limit, bytesMax)
    })
  }

  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    const active = this.#active
    for (let index = 0; index < writes.length; index++) {
      const write = writes[index]
      if (write === undefined) continue
      const { key, value, end } = write
      const name = nameOf(key)
      if (end !== undefined) active.removeRange(name, nameOf(end))
      else if (value === undefined) active.remove(name, key, this.#isBelowActive)
      else active.put(name, key, value, this.#isBelowActive)
    }
  }

  /** What was applied up to now is to be put away; what comes goes to a layer of its own. Not while there is a frozen one. */
  freeze(): void {
    this.#frozen = this.#active
    this.#active = new Overlay()
    this.#layers = [this.#active, this.#frozen]
  }

  /** What was frozen, as pieces of a checkpoint. */
  pieces(): KeyValuePieces {
    return new KeyValuePieces(this.#frozen ?? new Overlay(), (key) => {
      this.#filter.add(key)
      this.#nextFilter?.add(key)
    })
  }

  /** What was frozen lies in the database, which holds `keys` keys now. */
  putAway(keys: number): void {
    this.#keys = keys
    this.#frozen = undefined
    this.#layers = [this.#active]
    if (!this.#filter.isFull || this.#nextFilter !== undefined) return
    this.#nextFilter = new KeyFilter(Math.max(FILTER_KEYS_MIN, keys * 2))
    this.#fill(this.#nextFilter)
  }

  /** Adds the keys of the database, page by page, while the store is used. */
  #fill(filter: KeyFilter): void {
    const ask = (start: Uint8Array): void => {
      this.#thread.ask<"keys">({ kind: "keys", start, limit: KEYS_PER_SCAN }, (answer) => {
        // Without it nothing is denied: no harm but work.
        if (answer === undefined) return
        const reader = new ByteReader().reset(answer.bytes, 0, answer.bytes.length)
        let last = start
        for (let count = 0; count < answer.count; count++) {
          const from = reader.blockStart()
          last = answer.bytes.subarray(from, reader.position)
          filter.add(last)
        }
        if (!answer.isLast) {
          ask(Uint8Array.of(...last, 0))
          return
        }
        filter.complete()
        this.#filter = filter
        this.#nextFilter = undefined
      })
    }
    ask(new Uint8Array(0))
  }
}

/** The operations that put a layer away: ranges first, for entries are newer. */
export class KeyValuePieces {
  readonly #overlay: Overlay
  readonly #cursor: TableCursor<Entry>
  readonly #added: (key: Uint8Array) => void
  #range = 0

  constructor(overlay: Overlay, added: (key: Uint8Array) => void) {
    this.#overlay = overlay
    this.#cursor = overlay.entries.cursor("")
    this.#added = added
  }

  /** Appends the next operation; false where there is none. */
  next(writer: ByteWriter): boolean {
    const { starts, ends } = this.#overlay.ranges
    if (this.#range < starts.length) {
      const start = bytesOfName(starts[this.#range] ?? "")
      const end = bytesOfName(ends[this.#range] ?? "")
      this.#range += 1
      writeRangeRemoved(writer, start, end)
      return true
    }
    const entry = this.#cursor.value
    if (entry === undefined) return false
    this.#cursor.next()
    if (entry.value === undefined) writeRemoved(writer, entry.key)
    else {
      this.#added(entry.key)
      writePut(writer, entry.key, entry.value, entry.isNew)
    }
    return true
  }
}

function keyValueOf(row: Readonly<Record<string, unknown>>): KeyValue {
  const { key, value } = row
  return {
    key: key instanceof Uint8Array ? key : new Uint8Array(0),
    value: value instanceof Uint8Array ? value : new Uint8Array(0)
  }
}

function rowsOf({ bytes, count }: RangeAnswer): ReadonlyArray<KeyValue> {
  const reader = new ByteReader().reset(bytes, 0, bytes.length)
  const rows: Array<KeyValue> = []
  for (let index = 0; index < count; index++) {
    const key = reader.blockCopy()
    rows.push({ key, value: reader.blockCopy() })
  }
  return rows
}
