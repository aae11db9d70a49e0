/**
 * The segments that a running journal writes to: one is active, one may be prepared ahead, files that are no longer needed are used
 * again.
 *
 * Invariants
 *  - A file gets the name of a segment when its header is synced, and is used as one when that name is.
 *  - The header of a file that was a segment is rewritten only when its old name is durably gone: no crash shows an old name with a
 *    new header.
 *  - Each use of a file has a mark of its own: entries of a former use are none.
 *  - A new file is filled with zeros before it is used, so that a full disk is met here and not within an entry. Only the first one
 *    of a start is not, for nobody wants to wait for it.
 */
import { join } from "node:path"
import { Effect } from "effect"
import type { ClockShape } from "../platform/Clock.ts"
import { FileError, type FilesShape, type OpenFile } from "../platform/Files.ts"
import type { RandomShape } from "../platform/Random.ts"
import type { JournalPosition } from "./disk-journal-parts.ts"
import { MARK_BYTES } from "./entry-format.ts"
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentName, spareName } from "./segment-format.ts"

/** Files without a use that are kept, so that the next segments cost no new space. */
const SPARES_MAX = 2
/** Bytes of zeros that are written at a time: what the loop is held up by. */
const FILL_BYTES = 262_144
const ZEROS = new Uint8Array(FILL_BYTES)

/** A segment of this run, or one that recovery left as it was. */
export interface Segment {
  readonly number: number
  readonly pathname: string
  readonly mark: Uint8Array
  /** Open while something may be written or synced. */
  file: OpenFile | undefined
  sizeBytes: number
  /** Where the next entry goes. */
  position: number
  /** What stands before here is synced. */
  syncedPosition: number
  /** Of the last entry in it; 0 = none yet. */
  lastIndex: number
  /** A write or a sync of it has failed: it is not used again. */
  isSuspect: boolean
  /** A former run wrote it, which ended before it was full as like as not. */
  readonly isRecovered: boolean
}

export interface SegmentsParts {
  readonly directory: string
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly segmentBytes: number
  /** A segment is prepared, or could not be: told once for each {@link Segments.prepare}. */
  readonly prepared: (error: FileError | undefined) => void
}

export class Segments {
  /** What may hold entries that somebody needs, oldest first; the last is the active one. */
  readonly live: Array<Segment> = []
  active: Segment | undefined
  /** The journal's; set before the first segment is prepared. */
  journalId: Uint8Array = new Uint8Array(0)
  nextNumber = 1
  /** While positive nothing is recycled: somebody copies the files. */
  #holds = 0
  readonly #parts: SegmentsParts
  /** Paths of files to be used again, which have the name of a spare one. */
  readonly #spares: Array<string> = []
  #next: Segment | undefined
  #preparing: Promise<void> | undefined
  #removing: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(parts: SegmentsParts) {
    this.#parts = parts
  }

  get isPrepared(): boolean {
    return this.#next !== undefined
  }

  get isPreparing(): boolean {
    return this.#preparing !== undefined
  }

  /** Bytes of all live segments. */
  get liveBytes(): number {
    let bytes = 0
    for (const { sizeBytes } of this.live) bytes += sizeBytes
    return bytes
  }

  /** Bytes of the files that are in use, or about to be; and of those that wait to be used again. */
  get fileBytes(): { readonly usedBytes: number; readonly freeBytes: number } {
    const usedBytes = this.liveBytes + (this.#next?.sizeBytes ?? 0)
    return { usedBytes, freeBytes: this.#spares.length * this.#parts.segmentBytes }
  }

  /**
   * What of that counts as backlog: of a segment that recovery left no more than its entries, so that a node which is killed again and
   * again does not refuse for files that are nearly empty.
   */
  get backlogBytes(): number {
    let bytes = 0
    for (const { isRecovered, position, sizeBytes } of this.live) bytes += isRecovered ? position : sizeBytes
    return bytes
  }

  /** Takes over a file that has the name of a spare one. */
  adoptSpare(pathname: string): void {
    if (this.#spares.length < SPARES_MAX) this.#spares.push(pathname)
    else this.#remove(pathname)
  }

  /** Begins to prepare the next segment, unless one is prepared or being so. */
  prepare(fill: boolean): void {
    if (this.#next !== undefined || this.#preparing !== undefined || this.#isClosed) return
    const done = (error: FileError | undefined): void => {
      this.#preparing = undefined
      this.#parts.prepared(error)
    }
    this.#preparing = this.#make(fill).then(
      (segment) => {
        this.#next = segment
        done(undefined)
      },
      (error: unknown) => {
        if (!(error instanceof FileError)) throw error
        done(error)
      }
    )
  }

  /** Makes the prepared segment the active one, with room for an entry of `bytes`. Throws FileError where there is no space. */
  take(bytes: number): Segment | undefined {
    const segment = this.#next
    if (segment?.file === undefined) return undefined
    const needed = SEGMENT_HEADER_BYTES + bytes
    if (segment.sizeBytes < needed) {
      segment.file.truncateUnsafe(needed)
      segment.sizeBytes = needed
    }
    this.#next = undefined
    this.active = segment
    this.live.push(segment)
    return segment
  }

  /** Closes the file of a segment to which nothing is written any more. */
  retire(segment: Segment): void {
    if (this.active === segment) this.active = undefined
    segment.file?.close()
    segment.file = undefined
  }

  /** Keeps all segments as they are until what this returns is called, which then calls `released`. */
  hold(released: () => void): () => void {
    this.#holds += 1
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holds -= 1
      released()
    }
  }

  /** Which bytes of which live segments are synced, oldest first. */
  synced(): JournalPosition["segments"] {
    return this.live.map(({ pathname, syncedPosition }) => ({ pathname, start: 0, end: syncedPosition }))
  }

  /** Gives back the oldest segments whose entries all have been applied up to `index`. Returns how many. */
  recycle(index: number): number {
    let count = 0
    while (this.#holds === 0) {
      const [oldest] = this.live
      // The last one stays until there is another: a journal without a file is one that was lost.
      if (this.live.length === 1) break
      if (oldest === undefined || oldest.file !== undefined || oldest.lastIndex > index) break
      this.live.shift()
      count += 1
      if (oldest.isSuspect) this.#remove(oldest.pathname)
      else this.discard(oldest.pathname, oldest.number)
    }
    return count
  }

  /** Makes a segment that holds nothing a spare file, or removes it. */
  discard(pathname: string, number: number): void {
    if (this.#spares.length >= SPARES_MAX) {
      this.#remove(pathname)
      return
    }
    const spare = join(this.#parts.directory, spareName(number))
    try {
      this.#parts.files.renameUnsafe(pathname, spare)
      this.#spares.push(spare)
    } catch (error) {
      // It keeps its name, and is discarded by the next start.
      if (!(error instanceof FileError)) throw error
    }
  }

  /** Waits for what is under way and closes all files. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#preparing
    await this.#removing
    for (const segment of this.live) this.retire(segment)
    if (this.#next !== undefined) this.retire(this.#next)
    this.#next = undefined
  }

  #remove(pathname: string): void {
    // A file that cannot be removed is found by the next start.
    const removed = Effect.ignore(this.#parts.files.remove(pathname))
    this.#removing = this.#removing.then(() => Effect.runPromise(removed))
  }

  async #make(fill: boolean): Promise<Segment> {
    const { directory, files, random, segmentBytes } = this.#parts
    const number = this.nextNumber++
    const mark = new Uint8Array(MARK_BYTES)
    random.fill(mark, 0, MARK_BYTES)
    const spare = this.#spares.pop()
    if (spare !== undefined) await Effect.runPromise(files.syncDirectory(directory))
    const from = spare ?? join(directory, spareName(number))
    const pathname = join(directory, segmentName(number))
    let file: OpenFile | undefined
    try {
      file = files.openUnsafe(from, "create")
      const size = file.sizeUnsafe()
      if (size !== segmentBytes) file.truncateUnsafe(segmentBytes)
      if (fill && size < segmentBytes) await this.#fill(file, size, segmentBytes)
      const header = encodeSegmentHeader({ number, journalId: this.journalId, mark })
      file.writeUnsafe(header, 0, header.length, 0)
      await file.sync()
      files.renameUnsafe(from, pathname)
      await Effect.runPromise(files.syncDirectory(directory))
      // Under its own name, which is what a failure tells.
      file.close()
      file = files.openUnsafe(pathname, "write")
      const position = SEGMENT_HEADER_BYTES
      const state = { position, syncedPosition: position, lastIndex: 0, isSuspect: false, isRecovered: false }
      return { number, pathname, mark, file, sizeBytes: segmentBytes, ...state }
    } catch (error) {
      file?.close()
      // What is left of it takes space that others may need, and after a failure nothing in it can be trusted.
      this.#remove(from)
      this.#remove(pathname)
      throw error
    }
  }

  /** Writes zeros over `[from, to)`, a piece at a time. */
  async #fill(file: OpenFile, from: number, to: number): Promise<void> {
    for (let at = from; at < to && !this.#isClosed; at += FILL_BYTES) {
      file.writeUnsafe(ZEROS, 0, Math.min(FILL_BYTES, to - at), at)
      await new Promise<void>((resolve) => this.#parts.clock.immediate(resolve))
    }
  }
}
