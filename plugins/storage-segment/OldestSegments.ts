/**
 * Segments that may be deleted for want of room, oldest first: all but the newest of each partition, by when their last batch came.
 *
 * A segment comes here when another one takes its place as the newest; so the order is that of time, and nothing has to be looked for
 * among partitions. At the start they are sorted once.
 *
 * Invariant: what has gone meanwhile is left out when it is met; of it no more stays here than there is of the rest, and a thousand.
 */
import type { Segment, StoredPartition } from "./Segment.ts"

const GONE_MAX = 1_024

export interface OldSegment {
  readonly id: number
  readonly segment: Segment
}

interface Entry {
  readonly id: number
  readonly base: number
  readonly appendedMs: number
}

interface Queue {
  entries: Array<Entry>
  head: number
  /** So many entries are looked through for those that have gone. */
  compactAt: number
}

export class OldestSegments {
  readonly #byTenant = new Map<number, Queue>()
  readonly #get: (id: number) => StoredPartition | undefined

  /** `get` gives a partition as it is now. */
  constructor(partitions: Iterable<StoredPartition>, get: (id: number) => StoredPartition | undefined) {
    this.#get = get
    for (const partition of partitions) this.#add(partition, -1)
    for (const { entries } of this.#byTenant.values()) {
      entries.sort((one, other) => one.appendedMs - other.appendedMs || one.base - other.base)
    }
  }

  /** Entries, those that have gone among them. */
  get size(): number {
    let size = 0
    for (const { entries } of this.#byTenant.values()) size += entries.length
    return size
  }

  /** A partition has changed: segments that were its newest, or came since, and are not so any more. */
  changed(before: StoredPartition | undefined, after: StoredPartition): void {
    this.#add(after, before?.segments.at(-1)?.base ?? -1)
    this.#addCompacted(before, after)
  }

  /** A compacted segment may begin at another offset than what it replaces: it takes its place in the order. */
  #addCompacted(before: StoredPartition | undefined, { id, key, segments }: StoredPartition): void {
    const queue = this.#byTenant.get(key.tenant)
    if (before === undefined || queue === undefined) return
    const known = new Set(before.segments.map(({ base }) => base))
    const bound = before.segments.at(-1)?.base ?? -1
    for (const { base, generation, lastAppendedMs: appendedMs } of segments.slice(0, -1)) {
      if (generation === undefined || base >= bound || known.has(base)) continue
      const at = queue.entries.findIndex((entry, index) => index >= queue.head && entry.appendedMs > appendedMs)
      queue.entries.splice(at < 0 ? queue.entries.length : at, 0, { id, base, appendedMs })
    }
  }

  /** Those of a tenant, or of all, oldest first. What goes is gone when the catalogue says so. */
  *walk(tenant: number | undefined): Iterable<OldSegment> {
    const queues = [...this.#byTenant].filter(([each]) => tenant === undefined || each === tenant)
    const walks = queues.map(([, queue]) => ({ queue, at: this.#settle(queue) }))
    for (;;) {
      let oldest: (typeof walks)[number] | undefined
      let appendedMs = Number.POSITIVE_INFINITY
      for (const walk of walks) {
        const entry = walk.queue.entries[walk.at]
        if (entry === undefined || entry.appendedMs >= appendedMs) continue
        appendedMs = entry.appendedMs
        oldest = walk
      }
      const entry = oldest?.queue.entries[oldest.at]
      if (oldest === undefined || entry === undefined) return
      oldest.at += 1
      const segment = this.#find(entry)
      if (segment !== undefined) yield { id: entry.id, segment }
    }
  }

  /** Segments of the partition from offset `from` on, but for its newest. */
  #add({ id, key, segments }: StoredPartition, from: number): void {
    let first = segments.length - 1
    while (first > 0 && (segments[first - 1]?.base ?? -1) >= from) first -= 1
    for (const { base, lastAppendedMs: appendedMs } of segments.slice(Math.max(0, first), -1)) {
      let queue = this.#byTenant.get(key.tenant)
      if (queue === undefined) this.#byTenant.set(key.tenant, (queue = { entries: [], head: 0, compactAt: GONE_MAX }))
      queue.entries.push({ id, base, appendedMs })
      if (queue.entries.length >= queue.compactAt) this.#compact(queue)
    }
  }

  #compact(queue: Queue): void {
    queue.entries = queue.entries.filter((entry) => this.#find(entry) !== undefined)
    queue.head = 0
    queue.compactAt = 2 * queue.entries.length + GONE_MAX
  }

  /** Leaves out what has gone at the old end; where the walk begins. */
  #settle(queue: Queue): number {
    for (let entry = queue.entries[queue.head]; entry !== undefined; entry = queue.entries[queue.head]) {
      if (this.#find(entry) !== undefined) break
      queue.head += 1
    }
    if (queue.head > GONE_MAX && queue.head * 2 > queue.entries.length) {
      queue.entries = queue.entries.slice(queue.head)
      queue.head = 0
    }
    return queue.head
  }

  /** The segment, where it is there and not the newest of its partition. */
  #find({ id, base }: Entry): Segment | undefined {
    const segments = this.#get(id)?.segments
    if (segments === undefined) return undefined
    let low = 0
    let high = segments.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((segments[middle]?.base ?? 0) < base) low = middle + 1
      else high = middle
    }
    const found = segments[low]
    return found?.base === base && low < segments.length - 1 ? found : undefined
  }
}
