/**
 * The end of a queue log that lies in memory: what was appended lately, in the order of offsets, up to what is not committed yet.
 *
 * Names are looked up in an index that is made as far as somebody has asked for it: what is appended and trimmed without a reader
 * that skips much costs nothing there.
 *
 * Invariants
 *  - Offsets rise; entries from `#uncommitted` on are not committed.
 *  - An entry's ordinal, its place counted from the first that ever was here, does not change while it is here.
 */
import { assert } from "../assert.ts"
import type { Message } from "../ingress/Message.ts"
import type { TicketStream } from "../journal/Journal.ts"
import type { QueueMatcher } from "./QueueMatcher.ts"
import type { QueueRow } from "./queue-rows.ts"

/** A message in memory. */
export class QueueEntry implements QueueRow {
  readonly message: Message
  readonly offset: number
  readonly size: number
  readonly appendedAtMs: number
  /** 0 = committed before it was read from the store. */
  readonly ticket: number
  constructor(message: Message, offset: number, size: number, appendedAtMs: number, ticket: number) {
    this.message = message
    this.offset = offset
    this.size = size
    this.appendedAtMs = appendedAtMs
    this.ticket = ticket
  }
}

/** Entries that one scan looks at without an index, at most: a few hundred microseconds. */
export const SCAN_ENTRIES_MAX = 4_096
/** So few are looked at rather than found by name. */
const SCAN_ENTRIES_FEW = 64
/** More names than these are not merged: the scan asks for all of them at once. */
export const MERGED_NAMES_MAX = 64
/** Entries that are gone and still take a place, at most, beside as many as are there. */
const GONE_MAX = 1_024

/** Says whether to go on; where not, the entry counts as not visited. */
export type EntryVisitor = (entry: QueueEntry) => boolean

/** Whether the scan saw all there was. */
export const SCANNED_ALL = -1

/** Offsets that were given to messages which are lost. */
export interface LostOffsets {
  readonly from: number
  end: number
}

/** Ordinals of the entries of one name. */
interface NameList {
  readonly ordinals: Array<number>
  head: number
}

export class ResidentQueue {
  /** Sum of the sizes. */
  bytes = 0
  /** Sum of the sizes of what was lost since the start. */
  lostBytes = 0
  #entries: Array<QueueEntry> = []
  #head = 0
  /** Ordinal of the entry at index 0 of the array. */
  #base = 0
  /** Index of the first entry that is not committed. */
  #uncommitted = 0
  #byName = new Map<string, NameList>()
  /** Ordinal up to which entries stand in the index by name. */
  #namedTo = 0

  get length(): number {
    return this.#entries.length - this.#head
  }

  get first(): QueueEntry | undefined {
    return this.#entries[this.#head]
  }

  get last(): QueueEntry | undefined {
    return this.length === 0 ? undefined : this.#entries[this.#entries.length - 1]
  }

  /** Names that stand in the index. */
  get nameCount(): number {
    return this.#byName.size
  }

  get hasUncommitted(): boolean {
    return this.#uncommitted < this.#entries.length
  }

  /** Adds an entry, with a ticket as one that is not committed. */
  push(entry: QueueEntry): void {
    this.#entries.push(entry)
    this.bytes += entry.size
    if (entry.ticket === 0) this.#uncommitted = this.#entries.length
  }

  /** The committed entries with offsets from `from` on, at most `max`. */
  committedFrom(from: number, max: number): ReadonlyArray<QueueEntry> {
    const start = this.#find(from)
    return this.#entries.slice(start, Math.min(this.#uncommitted, start + max))
  }

  /**
   * Takes the entries whose tickets have ended as committed, or out where they failed; returns the offset of the last that is
   * committed now, or -1, and adds what was lost to `lost`.
   */
  settle(tickets: TicketStream, lost: Array<LostOffsets>): number {
    const entries = this.#entries
    const { committed } = tickets
    let settled = -1
    let read = this.#uncommitted
    let kept = read
    for (; read < entries.length; read++) {
      const entry = entries[read]
      if (entry === undefined || entry.ticket > committed) break
      if (tickets.takeOutcome(entry.ticket) === 0) {
        settled = entry.offset
        if (kept !== read) entries[kept] = entry
        kept += 1
      } else {
        this.bytes -= entry.size
        this.lostBytes += entry.size
        const last = lost.at(-1)
        if (last?.end === entry.offset) last.end = entry.offset + 1
        else lost.push({ from: entry.offset, end: entry.offset + 1 })
      }
    }
    this.#uncommitted = kept
    if (kept !== read) {
      entries.splice(kept, read - kept)
      this.#forgetNames()
    }
    return settled
  }

  /** Drops the first entry, which is committed. */
  shift(): void {
    const entry = this.#entries[this.#head]
    assert(
      entry !== undefined && this.#head < this.#uncommitted,
      "only what is committed leaves the memory of a queue log"
    )
    this.bytes -= entry.size
    if (this.#base + this.#head < this.#namedTo) this.#unname(entry)
    this.#head += 1
    if (this.#head < GONE_MAX || this.#head < this.length) return
    this.#entries = this.#entries.slice(this.#head)
    this.#base += this.#head
    this.#uncommitted -= this.#head
    this.#head = 0
  }

  /**
   * Visits what matches from `position` on, in order, until the visitor says no or enough has been looked at: the offset to go on
   * from, or {@link SCANNED_ALL}.
   */
  scan(position: number, matcher: QueueMatcher, visit: EntryVisitor): number {
    const entries = this.#entries
    const start = this.#find(position)
    const { names } = matcher
    if (matcher.isNamesOnly && names.length <= MERGED_NAMES_MAX && entries.length - start > SCAN_ENTRIES_FEW) {
      return this.#scanNames(start, matcher, visit)
    }
    const end = Math.min(entries.length, start + SCAN_ENTRIES_MAX)
    for (let index = start; index < end; index++) {
      const entry = entries[index]
      if (entry !== undefined && matcher.matches(entry.message) && !visit(entry)) return entry.offset
    }
    return entries[end]?.offset ?? SCANNED_ALL
  }

  #scanNames(start: number, { tenant, names }: QueueMatcher, visit: EntryVisitor): number {
    this.#nameAll()
    const lists: Array<ReadonlyArray<number>> = []
    const cursors: Array<number> = []
    for (const name of names) {
      const list = this.#byName.get(`${tenant}/${name}`)
      if (list === undefined) continue
      lists.push(list.ordinals)
      cursors.push(lowerBound(list.ordinals, list.head, this.#base + start))
    }
    for (;;) {
      let chosen = -1
      let ordinal = Number.POSITIVE_INFINITY
      for (let index = 0; index < lists.length; index++) {
        const candidate = lists[index]?.[cursors[index] ?? 0] ?? Number.POSITIVE_INFINITY
        if (candidate >= ordinal) continue
        ordinal = candidate
        chosen = index
      }
      if (chosen < 0) return SCANNED_ALL
      const entry = this.#entries[ordinal - this.#base]
      assert(entry !== undefined, "a name leads to an entry that is there")
      if (!visit(entry)) return entry.offset
      cursors[chosen] = (cursors[chosen] ?? 0) + 1
    }
  }

  /** Index of the first entry at or after `offset`. */
  #find(offset: number): number {
    const entries = this.#entries
    let low = this.#head
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((entries[middle]?.offset ?? 0) < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #nameAll(): void {
    const entries = this.#entries
    for (let index = Math.max(this.#head, this.#namedTo - this.#base); index < entries.length; index++) {
      const message = entries[index]?.message
      if (message === undefined) continue
      const key = keyOf(message)
      const list = this.#byName.get(key)
      if (list === undefined) this.#byName.set(key, { ordinals: [this.#base + index], head: 0 })
      else list.ordinals.push(this.#base + index)
    }
    this.#namedTo = this.#base + entries.length
  }

  #unname({ message }: QueueEntry): void {
    const key = keyOf(message)
    const list = this.#byName.get(key)
    assert(list !== undefined, "what is named can be found by name")
    list.head += 1
    if (list.head === list.ordinals.length) this.#byName.delete(key)
    else if (list.head >= GONE_MAX && list.head * 2 >= list.ordinals.length) {
      list.ordinals.splice(0, list.head)
      list.head = 0
    }
  }

  /** After entries were taken out of the middle, ordinals are others. */
  #forgetNames(): void {
    this.#byName = new Map()
    this.#namedTo = this.#base + this.#head
  }
}

function keyOf(message: Message): string {
  return `${message.tenant}/${message.name}`
}

/** Index of the first number at or above `least` in rising numbers, from `start` on. */
function lowerBound(numbers: ReadonlyArray<number>, start: number, least: number): number {
  let low = start
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((numbers[middle] ?? 0) < least) low = middle + 1
    else high = middle
  }
  return low
}
