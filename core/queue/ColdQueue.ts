/**
 * The part of a queue log that lies in the store alone: read by name where the reader's filters are names, else row by row.
 *
 * Readers of the same region share what is read, and a bounded cache; one call reads a bounded number of rows.
 *
 * Invariant: every row below the end that a caller names is committed, and changes no more but that it goes.
 */
import type { KeyValue, KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { type Page, PageCache } from "./PageCache.ts"
import type { QueueReadLimits } from "./QueueLogs.ts"
import type { QueueMatcher } from "./QueueMatcher.ts"
import { decodeNameValue, decodeRow, messageKey, nameKey, offsetOfKey, type QueueRow } from "./queue-rows.ts"
import { MERGED_NAMES_MAX } from "./ResidentQueue.ts"

/** Rows of messages that are read together. */
const PAGE_ROWS = 64
/** Rows by name that are read together. */
const NAME_PAGE_ROWS = 256
/** Bytes that are asked for at once, about. */
const READ_BYTES = 1_048_576
/** Memory for pages of rows, of names and for single rows, each. */
const CACHE_BYTES_MAX = 8_388_608
/** Pages that one call looks at. */
const PAGES_PER_CALL = 16
/** Rows that are not wanted and are read along with wanted ones rather than asking again. */
const SKIPPED_ROWS_MAX = 3
/** Their bytes, about, in one reading; where they are more, nothing is read along. */
const SKIPPED_BYTES_MAX = 65_536
/** What a kept row takes beside its message, about. */
const KEPT_BYTES = 128

/** A place where a message of a name lies. */
interface NamePlace {
  readonly offset: number
  readonly size: number
}

/** What one call has found. */
export interface ColdRead {
  readonly rows: ReadonlyArray<QueueRow>
  /** Everything that matches below it has been found. */
  readonly next: number
}

export interface ColdCount {
  readonly messages: number
  readonly bytes: number
  readonly next: number
}

const encoder = new TextEncoder()

/** A row's key for the page cache does not matter where there is one series. */
const ALL_ROWS = ""

export class ColdQueue {
  readonly #number: number
  readonly #store: KeyValueStoreShape
  readonly #pages = new PageCache<QueueRow>(PAGE_ROWS, CACHE_BYTES_MAX)
  readonly #names = new PageCache<NamePlace>(NAME_PAGE_ROWS, CACHE_BYTES_MAX)
  readonly #rows = new PageCache<QueueRow>(1, CACHE_BYTES_MAX)

  /** Reads the rows of log `number`. */
  constructor(number: number, store: KeyValueStoreShape) {
    this.#number = number
    this.#store = store
  }

  /** Memory that the caches take, about. */
  get cachedBytes(): number {
    return this.#pages.bytes + this.#names.bytes + this.#rows.bytes
  }

  /** What matches from `position` on and below `end`. Rejects with `StorageError`, or `UnknownRow`. */
  async read(position: number, end: number, matcher: QueueMatcher, limits: QueueReadLimits): Promise<ColdRead> {
    if (isByName(matcher)) return this.#readNames(position, end, matcher, limits)
    const rows: Array<QueueRow> = []
    let bytes = 0
    let next = position
    for (let pages = 0; pages < PAGES_PER_CALL && next < end; pages++) {
      const page = await this.#pages.at(ALL_ROWS, next, end, this.#loadRows)
      for (const row of page.items) {
        const { queueOffset } = row.message
        if (queueOffset < next || !matcher.matches(row.message)) continue
        if (isFull(rows.length, bytes, row.size, limits)) return { rows, next: queueOffset }
        rows.push(row)
        bytes += row.size
      }
      next = page.next
      // Of the next page nothing would be taken, and where rows are large it is no small matter to read it.
      if (isFull(rows.length, bytes, 1, limits)) break
    }
    return { rows, next }
  }

  /** Counts what {@link ColdQueue.read} would find, up to `messagesMax`. */
  async count(position: number, end: number, matcher: QueueMatcher, messagesMax: number): Promise<ColdCount> {
    let messages = 0
    let bytes = 0
    let next = position
    for (let pages = 0; pages < PAGES_PER_CALL && next < end && messages < messagesMax; pages++) {
      const places = isByName(matcher)
        ? await this.#places(next, end, matcher)
        : await this.#placesOfRows(next, end, matcher)
      for (const { offset, size } of places.items) {
        if (messages === messagesMax) return { messages, bytes, next: offset }
        messages += 1
        bytes += size
      }
      next = places.next
    }
    return { messages, bytes, next }
  }

  /** The rows from `start` on and below `end`, a bounded number of them, not kept; `next` is where the rest begins. */
  async rowsFrom(start: number, end: number): Promise<ColdRead> {
    const rows = await this.#load(start, end, 16 * PAGE_ROWS)
    const last = rows.at(-1)
    return { rows, next: last === undefined ? end : last.message.queueOffset + 1 }
  }

  async #readNames(position: number, end: number, matcher: QueueMatcher, limits: QueueReadLimits): Promise<ColdRead> {
    const { items, next } = await this.#places(position, end, matcher)
    const wanted: Array<NamePlace> = []
    let bytes = 0
    let stopped = next
    for (const place of items) {
      if (isFull(wanted.length, bytes, place.size, limits)) {
        stopped = place.offset
        break
      }
      wanted.push(place)
      bytes += place.size
    }
    const rows: Array<QueueRow> = []
    for (const { items: found } of await Promise.all(this.#single(wanted))) rows.push(...found)
    return { rows, next: stopped }
  }

  /** Each wanted place as a page of its own; what lies close together is read together. */
  #single(wanted: ReadonlyArray<NamePlace>): ReadonlyArray<Promise<Page<QueueRow>>> {
    const pages: Array<Promise<Page<QueueRow>>> = []
    const offsetOf = (index: number): number => wanted[index]?.offset ?? 0
    for (let from = 0; from < wanted.length; ) {
      let to = from + 1
      while (to < wanted.length && offsetOf(to) - offsetOf(to - 1) <= 1 + SKIPPED_ROWS_MAX) to += 1
      const together = wanted.slice(from, to)
      let run: Promise<ReadonlyMap<number, QueueRow>> | undefined
      const load = async (start: number): Promise<Page<QueueRow>> => {
        run ??= this.#loadAll(together)
        const row = (await run).get(start)
        const bytes = KEPT_BYTES + (row?.size ?? 0)
        return { items: row === undefined ? [] : [row], next: start + 1, bytes }
      }
      const end = offsetOf(to - 1) + 1
      for (; from < to; from++) pages.push(this.#rows.at(ALL_ROWS, offsetOf(from), end, load))
    }
    return pages
  }

  /** Where messages of any of the names lie, in order, as far as the pages of all of them tell. */
  async #places(
    position: number,
    end: number,
    { tenant, names }: QueueMatcher
  ): Promise<Omit<Page<NamePlace>, "bytes">> {
    const pages = await Promise.all(
      names.map((name) =>
        this.#names.at(`${tenant}/${name}/`, position, end, (start, before) =>
          this.#loadName(tenant, name, start, before)
        )
      )
    )
    const next = Math.min(end, ...pages.map((page) => page.next))
    const items = pages
      .flatMap((page) => page.items.filter(({ offset }) => offset >= position && offset < next))
      .sort((left, right) => left.offset - right.offset)
    return { items, next }
  }

  async #placesOfRows(position: number, end: number, matcher: QueueMatcher): Promise<Omit<Page<NamePlace>, "bytes">> {
    const { items, next } = await this.#pages.at(ALL_ROWS, position, end, this.#loadRows)
    const wanted = items.filter(({ message }) => message.queueOffset >= position && matcher.matches(message))
    return { items: wanted.map(({ message, size }) => ({ offset: message.queueOffset, size })), next }
  }

  async #loadName(tenant: number, name: string, start: number, end: number): Promise<Page<NamePlace>> {
    const bytes = encoder.encode(name)
    const rows = await this.#store.rangeLater(
      nameKey(tenant, bytes, 0, bytes.length, start),
      nameKey(tenant, bytes, 0, bytes.length, end),
      NAME_PAGE_ROWS,
      READ_BYTES
    )
    const items = rows.map(({ key, value }) => ({ offset: offsetOfKey(key), size: decodeNameValue(value) }))
    const last = items.at(-1)
    const isCut = last !== undefined && items.length === NAME_PAGE_ROWS
    return { items, next: isCut ? last.offset + 1 : end, bytes: KEPT_BYTES + 2 * bytes.length + 48 * items.length }
  }

  readonly #loadRows = async (start: number, end: number): Promise<Page<QueueRow>> => {
    const items = await this.#load(start, end, PAGE_ROWS)
    let bytes = KEPT_BYTES
    for (const { size } of items) bytes += size + KEPT_BYTES
    const last = items.at(-1)
    // Fewer than were asked for may mean that their bytes were too many: only none means that there are none.
    return { items, next: last === undefined ? end : last.message.queueOffset + 1, bytes }
  }

  async #load(start: number, end: number, limit: number, bytesMax = READ_BYTES): Promise<ReadonlyArray<QueueRow>> {
    // Never more than there can be: a store may have to look at one more row to know that it is the end.
    const rowsMax = Math.min(limit, end - start)
    const rows = await this.#store.rangeLater(messageKey(start), messageKey(end), rowsMax, bytesMax)
    return rows.map(({ key, value }: KeyValue) => decodeRow(this.#number, offsetOfKey(key), value))
  }

  /** The rows at the places, which lie close together, by their offsets. */
  async #loadAll(places: ReadonlyArray<NamePlace>): Promise<ReadonlyMap<number, QueueRow>> {
    const wanted = new Set<number>()
    let bytes = SKIPPED_BYTES_MAX
    for (const { offset, size } of places) {
      wanted.add(offset)
      bytes += size
    }
    const end = (places.at(-1)?.offset ?? 0) + 1
    const found = new Map<number, QueueRow>()
    let skipped = 0
    let next = 0
    for (const { offset } of places) {
      if (offset < next) continue
      // Nobody knows before how large it is what lies between: where that was much, each is read by itself.
      const isApart = skipped > SKIPPED_BYTES_MAX
      const rows = await this.#load(offset, isApart ? offset + 1 : end, NAME_PAGE_ROWS, Math.min(bytes, READ_BYTES))
      for (const row of rows) {
        const { queueOffset } = row.message
        if (wanted.has(queueOffset)) found.set(queueOffset, row)
        else skipped += row.size
        next = queueOffset + 1
      }
    }
    return found
  }
}

function isByName({ isNamesOnly, names }: QueueMatcher): boolean {
  return isNamesOnly && names.length <= MERGED_NAMES_MAX
}

/** Whether one more message of `size` bytes is too much; the first never is. */
export function isFull(messages: number, bytes: number, size: number, limits: QueueReadLimits): boolean {
  return messages > 0 && (messages >= limits.messagesMax || bytes + size > limits.bytesMax)
}
