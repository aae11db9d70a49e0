/**
 * Brings entries to the disk: writes those that wait in one call, syncs one at a time, goes on in the next segment when one is full.
 *
 * Invariants
 *  - Entries are written and synced in the order in which they were added.
 *  - After a write or a sync that failed nothing more is written, until {@link EntryWriter.restart} begins a new segment. A failure is
 *    told when no sync is under way: what a sync that began before it has covered is told first.
 */
import { assert } from "../assert.ts"
import type { ClockShape, Timer } from "../platform/Clock.ts"
import { FileError, type FilesShape } from "../platform/Files.ts"
import type { RandomShape } from "../platform/Random.ts"
import type { Entry } from "./EntryBatch.ts"
import { type Checksum, finishEntry } from "./entry-format.ts"
import { type Segment, Segments } from "./Segments.ts"
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts"

/** More than this is synced at once, whatever it asked for: it is held in memory until then. */
const UNSYNCED_BYTES_MAX = 8_388_608
/** After a segment could not be prepared ahead of its use. */
const PREPARE_AGAIN_MS = 1_000

export interface EntryWriterParts {
  readonly directory: string
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly segmentBytes: number
  readonly flushIntervalMs: number
  readonly checksum: Checksum
  readonly events: EntryWriterEvents
}

/** What is told of entries; the arrays are the caller's own only until it returns. */
export interface EntryWriterEvents {
  /** These are the operating system's. Told before a sync of them begins. */
  written(entries: ReadonlyArray<Entry>): void
  /** These are synced. Told from a promise, and before anything else is written. */
  synced(entries: ReadonlyArray<Entry>): void
  /** Nothing is written any more: see {@link EntryWriter.abandon}. */
  failed(error: FileError): void
}

interface SyncTarget {
  readonly segment: Segment
  readonly position: number
}

export class EntryWriter {
  readonly segments: Segments
  /** The last entry that the disk is known to have; what it has above is void after a failure. */
  lastSynced = 0
  bytes = 0
  writes = 0
  syncs = 0
  /** How long the last sync took. */
  lastSyncMs = 0
  readonly #parts: EntryWriterParts
  /** Closed and not written. */
  #waiting: Array<Entry> = []
  #waitingBytes = 0
  #hasHybridWaiting = false
  /** Written and not synced. */
  #unsynced: Array<Entry> = []
  #unsyncedBytes = 0
  #hasPersistentUnsynced = false
  #lastWritten = 0
  /** Entries up to this one are to be synced although nothing in them asks for it. */
  #wanted = 0
  #dirty: Array<Segment> = []
  #isSyncing = false
  #flushTimer: Timer | undefined
  #failure: FileError | undefined
  #prepareAgainMs = 0
  /** No segment has been begun since the last {@link EntryWriter.restart}. */
  #isRestarting = false

  constructor(parts: EntryWriterParts) {
    this.#parts = parts
    const { directory, files, clock, random, segmentBytes } = parts
    const prepared = (error: FileError | undefined): void => this.#prepared(error)
    this.segments = new Segments({ directory, files, clock, random, segmentBytes, prepared })
  }

  /** Bytes that wait to be written. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Bytes that are written and not synced. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes
  }

  /** The last entry that is not synced, and of those that are not written; undefined where there is none. */
  get lastPending(): Entry | undefined {
    return this.#waiting.at(-1) ?? this.#unsynced.at(-1)
  }

  get lastWaiting(): Entry | undefined {
    return this.#waiting.at(-1)
  }

  /** Takes an entry; its batch must stay as it is until the entry is synced or abandoned. */
  add(entry: Entry): void {
    this.#waiting.push(entry)
    this.#waitingBytes += entry.end - entry.start
    if (entry.hasHybrid && !entry.isHandedOver) this.#hasHybridWaiting = true
  }

  /** Asks for a sync of entries up to `index`. */
  want(index: number): void {
    this.#wanted = Math.max(this.#wanted, index)
  }

  /** Writes and syncs what is due. */
  flush(): void {
    if (this.#failure !== undefined) return
    if (this.#waiting.length > 0 && (!this.#isSyncing || this.#hasHybridWaiting)) this.#write()
    if (this.#failure === undefined) this.#syncIfDue()
  }

  /**
   * After a failure: gives back what is not synced, in order, and forgets it. Those of its operations that were told as written are
   * to be added again.
   */
  abandon(): ReadonlyArray<Entry> {
    assert(
      this.#failure !== undefined && !this.#isSyncing,
      "entries are abandoned after a failure, and when no sync is under way"
    )
    const abandoned = [...this.#unsynced, ...this.#waiting]
    const { active } = this.segments
    for (const segment of active === undefined ? this.#dirty : [...this.#dirty, active]) {
      segment.isSuspect = true
      this.segments.retire(segment)
    }
    this.#dirty = []
    this.#unsynced = []
    this.#unsyncedBytes = 0
    this.#hasPersistentUnsynced = false
    this.#waiting = []
    this.#waitingBytes = 0
    this.#hasHybridWaiting = false
    this.#flushTimer?.cancel()
    this.#flushTimer = undefined
    return abandoned
  }

  /**
   * Begins, or begins again, with a new segment: what is added next follows entry {@link EntryWriter.lastSynced}. Entries that are
   * added before the next flush lie in one batch, and are there together or not at all.
   */
  restart(): void {
    assert(this.segments.active === undefined && this.#waiting.length === 0, "a journal begins again in a new segment")
    this.#lastWritten = this.lastSynced
    this.#failure = undefined
    this.#isRestarting = true
  }

  /** Waits for what is under way and closes all files. */
  async close(): Promise<void> {
    this.#flushTimer?.cancel()
    this.#failure ??= new FileError({
      pathname: this.#parts.directory,
      code: "failed",
      reason: "the journal is closed"
    })
    await this.segments.close()
  }

  #write(): void {
    const written: Array<Entry> = []
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      const { active } = this.segments
      const count = active === undefined ? 0 : this.#fitting(active)
      if (active !== undefined && count > 0) this.#writeTo(active, count, written)
      else if (!this.#roll()) break
    }
    if (this.#failure !== undefined) {
      if (!this.#isSyncing) this.#parts.events.failed(this.#failure)
      return
    }
    this.#hasHybridWaiting &&= this.#waiting.length > 0
    this.#prepareAhead()
    if (written.length > 0) this.#parts.events.written(written)
  }

  /** How many of the entries that wait fit into what is left of a segment, and lie in one piece of memory. */
  #fitting(segment: Segment): number {
    const batch = this.#waiting[0]?.batch
    let room = segment.sizeBytes - segment.position
    let count = 0
    for (const entry of this.#waiting) {
      room -= entry.end - entry.start
      if (entry.batch !== batch || room < 0) break
      count += 1
    }
    return count
  }

  #writeTo(segment: Segment, count: number, written: Array<Entry>): void {
    const entries = this.#waiting.splice(0, count)
    const [first] = entries
    const last = entries.at(-1)
    if (first === undefined || last === undefined || segment.file === undefined) return
    const { bytes } = first.batch.writer
    let previous = this.#lastWritten
    for (const { start, end, index, operations } of entries) {
      finishEntry(bytes, start, end, segment.mark, index, previous, this.lastSynced, operations, this.#parts.checksum)
      previous = index
    }
    try {
      const { file, position } = segment
      // The first entry of a segment makes void what older files have beyond the one before it: it stands when those behind it do.
      const from = position === SEGMENT_HEADER_BYTES ? first.end : first.start
      if (from < last.end) file.writeUnsafe(bytes, from, last.end, position + from - first.start)
      if (from > first.start) file.writeUnsafe(bytes, first.start, from, position)
    } catch (error) {
      this.#waiting = [...entries, ...this.#waiting]
      this.#fail(error)
      return
    }
    const length = last.end - first.start
    if (this.#dirty.at(-1) !== segment) this.#dirty.push(segment)
    segment.position += length
    segment.lastIndex = last.index
    this.#lastWritten = last.index
    this.#waitingBytes -= length
    this.#unsyncedBytes += length
    this.bytes += length
    this.writes += 1
    for (const entry of entries) {
      this.#unsynced.push(entry)
      written.push(entry)
      if (entry.hasPersistent) this.#hasPersistentUnsynced = true
    }
  }

  /** Goes on in the next segment; false where it is not there yet. */
  #roll(): boolean {
    const [entry] = this.#waiting
    if (entry === undefined) return false
    if (!this.segments.isPrepared) {
      this.segments.prepare(this.segments.live.length > 0)
      return false
    }
    const before = this.segments.active
    try {
      // What is written again after a failure must be there as a whole before it makes void what it stands for.
      this.segments.take(this.#isRestarting ? this.#waitingBytes : entry.end - entry.start)
      this.#isRestarting = false
    } catch (error) {
      this.#fail(error)
      return false
    }
    if (before !== undefined && !this.#dirty.includes(before)) this.segments.retire(before)
    return true
  }

  /** A segment that is half full has its next one prepared. */
  #prepareAhead(): void {
    const { active } = this.segments
    if (active === undefined || active.position * 2 < active.sizeBytes || this.segments.isPrepared) return
    if (this.#parts.clock.monotonicMs() >= this.#prepareAgainMs) this.segments.prepare(true)
  }

  #prepared(error: FileError | undefined): void {
    if (error !== undefined) this.#prepareAgainMs = this.#parts.clock.monotonicMs() + PREPARE_AGAIN_MS
    if (this.#failure !== undefined) return
    if (error === undefined) {
      this.flush()
      return
    }
    const [entry] = this.#waiting
    const { active } = this.segments
    const isNeeded = entry !== undefined && (active === undefined || this.#fitting(active) === 0)
    if (!isNeeded) return
    this.#fail(error)
    if (!this.#isSyncing) this.#parts.events.failed(error)
  }

  #syncIfDue(): void {
    if (this.#isSyncing || this.#unsynced.length === 0) return
    const isDue =
      this.#hasPersistentUnsynced || this.#wanted > this.lastSynced || this.#unsyncedBytes > UNSYNCED_BYTES_MAX
    if (isDue) this.#sync()
    else this.#flushTimer ??= this.#parts.clock.after(this.#parts.flushIntervalMs, () => this.#flushLate())
  }

  #flushLate(): void {
    this.#flushTimer = undefined
    if (this.#failure === undefined && !this.#isSyncing && this.#unsynced.length > 0) this.#sync()
  }

  #sync(): void {
    this.#flushTimer?.cancel()
    this.#flushTimer = undefined
    this.#isSyncing = true
    const startedMs = this.#parts.clock.monotonicMs()
    const count = this.#unsynced.length
    const targets = this.#dirty.map((segment) => ({ segment, position: segment.position }))
    const [only] = targets
    const done = targets.length === 1 && only?.segment.file !== undefined ? only.segment.file.sync() : syncAll(targets)
    done.then(
      () => {
        this.lastSyncMs = this.#parts.clock.monotonicMs() - startedMs
        this.#synced(count, targets)
      },
      (error: unknown) => {
        this.#isSyncing = false
        this.#fail(error)
        if (this.#failure !== undefined) this.#parts.events.failed(this.#failure)
      }
    )
  }

  #synced(count: number, targets: ReadonlyArray<SyncTarget>): void {
    this.#isSyncing = false
    this.syncs += 1
    for (const { segment, position } of targets) {
      segment.syncedPosition = position
      if (segment !== this.segments.active && segment.position === position) this.segments.retire(segment)
    }
    this.#dirty = this.#dirty.filter(({ position, syncedPosition }) => position > syncedPosition)
    const entries = this.#unsynced.splice(0, count)
    this.lastSynced = entries.at(-1)?.index ?? this.lastSynced
    this.#hasPersistentUnsynced = false
    this.#unsyncedBytes = 0
    for (const { hasPersistent, start, end } of this.#unsynced) {
      this.#hasPersistentUnsynced ||= hasPersistent
      this.#unsyncedBytes += end - start
    }
    this.#parts.events.synced(entries)
    if (this.#failure !== undefined) this.#parts.events.failed(this.#failure)
    else this.flush()
  }

  #fail(error: unknown): void {
    if (!(error instanceof FileError)) throw error
    this.#failure ??= error
  }
}

/** Syncs several files one after the other. */
async function syncAll(targets: ReadonlyArray<SyncTarget>): Promise<void> {
  for (const { segment } of targets) await segment.file?.sync()
}
