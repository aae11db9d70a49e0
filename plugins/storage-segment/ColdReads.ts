/**
 * Reads of segments from the disk: in pieces that all who read nearby share, off the loop.
 *
 * A window is the runs of an index that begin in one stretch of {@link WINDOW_BYTES}. It is read as a whole, kept for a while, and each
 * of its runs is compared with its checksums once, when the first reader gets something of it.
 *
 * Invariants
 *  - A batch that does not fit its checksum is never given to anybody.
 *  - Windows take at most `bytesMax` (one more while it is being used); their bytes never change.
 */
import { endOffsetOf, recordBatch } from "../../core/mod.ts"
import type { Segment } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import type { SegmentIndex } from "./SegmentIndex.ts"
import { BATCH_HEADER_BYTES, logName } from "./segment-format.ts"

const WINDOW_BYTES = 262_144

/** Bytes `[position, position + bytes.length)` of a segment's file. */
export interface Window {
  readonly pathname: string
  readonly position: number
  readonly bytes: Uint8Array
  /** Runs by their positions, and up to where their batches have been checked. */
  readonly checked: Map<number, number>
}

export class ColdReads {
  /** Bytes in memory; reads of files and their bytes since the start. */
  bytes = 0
  reads = 0
  readBytes = 0
  readonly #files: SegmentFiles
  readonly #bytesMax: number
  readonly #windows = new Map<string, Window>()
  readonly #reading = new Map<string, Promise<Window>>()
  /** Rises when something is forgotten: what was being read by then is not kept. */
  #generation = 0

  constructor(files: SegmentFiles, bytesMax: number) {
    this.#files = files
    this.#bytesMax = bytesMax
  }

  /** The window that holds run `run` whole. Rejects with `FileError` or `SegmentFault`. */
  window(id: number, segment: Segment, index: SegmentIndex, run: number): Promise<Window> {
    const place = Math.floor(index.position(run) / WINDOW_BYTES)
    const found = this.#window(id, segment, index, run)
    // Who reads on from the window before will want the next one, too.
    const next = (place + 1) * WINDOW_BYTES
    if (next < index.end && this.#windows.has(`${prefixOf(id, segment)}${place - 1}`)) {
      const ahead = index.runOfPosition(next)
      if (index.position(ahead) >= next) this.#window(id, segment, index, ahead).catch(() => {})
    }
    return found
  }

  #window(id: number, segment: Segment, index: SegmentIndex, run: number): Promise<Window> {
    const place = Math.floor(index.position(run) / WINDOW_BYTES)
    const key = `${prefixOf(id, segment)}${place}`
    const known = this.#windows.get(key)
    if (known !== undefined && holds(known, index, run)) {
      this.#windows.delete(key)
      this.#windows.set(key, known)
      return Promise.resolve(known)
    }
    const [from, to] = boundsOf(index, place)
    const generation = this.#generation
    const sharedKey = `${key}/${from}/${to}/${generation}`
    const underWay = this.#reading.get(sharedKey)
    if (underWay !== undefined) return underWay
    const reading = this.#read(id, segment, from, to)
      .then((window) => (generation === this.#generation ? this.#keep(key, window) : window))
      .finally(() => this.#reading.delete(sharedKey))
    this.#reading.set(sharedKey, reading)
    return reading
  }

  /** What is kept of a segment goes: it was cut, or is gone. */
  forget(id: number, segment: Segment): void {
    this.#generation += 1
    const prefix = prefixOf(id, segment)
    for (const key of [...this.#windows.keys()]) if (key.startsWith(prefix)) this.#drop(key)
  }

  async #read(id: number, segment: Segment, from: number, to: number): Promise<Window> {
    const pathname = this.#files.pathOf(id, logName(segment))
    const bytes = new Uint8Array(to - from)
    const count = await this.#files.use(pathname, "read", (file) => file.read(bytes, 0, bytes.length, from))
    this.reads += 1
    this.readBytes += count
    if (count < bytes.length) throw new SegmentFault(pathname, from + count, "the file ends here, and should go on")
    return { pathname, position: from, bytes, checked: new Map() }
  }

  #keep(key: string, window: Window): Window {
    this.#drop(key)
    this.#windows.set(key, window)
    this.bytes += window.bytes.length
    for (const oldest of this.#windows.keys()) {
      if (this.bytes <= this.#bytesMax || oldest === key) break
      this.#drop(oldest)
    }
    return window
  }

  #drop(key: string): void {
    const window = this.#windows.get(key)
    if (window === undefined) return
    this.#windows.delete(key)
    this.bytes -= window.bytes.length
  }
}

/** Of the windows of a segment: a compacted one that begins where the former did is another. */
function prefixOf(id: number, { base, generation = 0 }: Segment): string {
  return `${id}/${base}.${generation}/`
}

/** One that was read before the segment grew may end too early; an index that was made anew has other runs. */
function holds({ position, bytes }: Window, index: SegmentIndex, run: number): boolean {
  return position <= index.position(run) && position + bytes.length >= index.endOf(run)
}

/** From the first run that begins in that stretch to the end of the last one that does. */
function boundsOf(index: SegmentIndex, place: number): readonly [from: number, to: number] {
  let first = index.runOfPosition(place * WINDOW_BYTES)
  if (index.position(first) < place * WINDOW_BYTES) first += 1
  const last = index.runOfPosition((place + 1) * WINDOW_BYTES - 1)
  return [index.position(first), index.endOf(last)]
}

/** Where in the window a run ends; that of a segment which grows may go on behind. */
export function endWithin(window: Window, index: SegmentIndex, run: number): number {
  return Math.min(index.endOf(run) - window.position, window.bytes.length)
}

/**
 * Up to where in the window the batches of a run are as they were written: each fits its checksum, and its offsets, which that does not
 * cover, lie between those around it. Where this is not the run's end the batch there is damaged.
 */
export function intactUntil(window: Window, segment: Segment, index: SegmentIndex, run: number): number {
  const { bytes } = window
  const position = index.position(run)
  const end = endWithin(window, index, run)
  let at = (window.checked.get(position) ?? position) - window.position
  while (at < end) {
    const size = recordBatch.batchSize(bytes, at, end)
    if (size <= 0 || recordBatch.checkBatch(bytes, at, at + size) !== 0) break
    const base = segment.base + index.relativeOffset(run)
    if (window.position + at === position && recordBatch.baseOffset(bytes, at) !== base) break
    if (endOffsetOf(bytes, at) > offsetBehind(window, segment, index, run, at + size)) break
    at += size
  }
  window.checked.set(position, window.position + at)
  return at
}

/** The offset at which the batch that ends at `at` of the window has to end, at most. */
function offsetBehind(window: Window, segment: Segment, index: SegmentIndex, run: number, at: number): number {
  const position = window.position + at
  if (position === segment.bytes) return segment.end
  if (at + BATCH_HEADER_BYTES <= endWithin(window, index, run)) return recordBatch.baseOffset(window.bytes, at)
  if (position === index.position(run + 1)) return segment.base + index.relativeOffset(run + 1)
  return Number.MAX_SAFE_INTEGER
}

/** The damage at `at` of a window. */
export function damageAt({ pathname, position }: Window, at: number): SegmentFault {
  return new SegmentFault(pathname, position + at, "the batch does not fit its checksum, or not its place")
}
