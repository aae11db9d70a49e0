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
import { recordBatch } from "../../core/mod.ts"
import type { Segment } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import type { SegmentIndex } from "./SegmentIndex.ts"
import { logName } from "./segment-format.ts"

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
    const found = this.#window(id, segment, index, place, index.endOf(run))
    // Who reads on from the window before will want the next one, too.
    const next = (place + 1) * WINDOW_BYTES
    if (next < index.end && this.#windows.has(`${id}/${segment.base}/${place - 1}`)) {
      const ahead = index.runOfPosition(next)
      if (index.position(ahead) >= next) {
        this.#window(id, segment, index, place + 1, index.endOf(ahead)).catch(() => {})
      }
    }
    return found
  }

  /** The window of a stretch, as far as `end` at least. */
  #window(id: number, segment: Segment, index: SegmentIndex, place: number, end: number): Promise<Window> {
    const key = `${id}/${segment.base}/${place}`
    const known = this.#windows.get(key)
    // One that was read before the segment grew may end too early.
    if (known !== undefined && known.position + known.bytes.length >= end) {
      this.#windows.delete(key)
      this.#windows.set(key, known)
      return Promise.resolve(known)
    }
    const [from, to] = boundsOf(index, place)
    const generation = this.#generation
    const sharedKey = `${key}/${to}/${generation}`
    const underWay = this.#reading.get(sharedKey)
    if (underWay !== undefined) return underWay
    const reading = this.#read(id, segment, from, to)
      .then((window) => (generation === this.#generation ? this.#keep(key, window) : window))
      .finally(() => this.#reading.delete(sharedKey))
    this.#reading.set(sharedKey, reading)
    return reading
  }

  /** What is kept of a segment goes: it was cut, or is gone. */
  forget(id: number, base: number): void {
    this.#generation += 1
    for (const key of [...this.#windows.keys()]) if (key.startsWith(`${id}/${base}/`)) this.#drop(key)
  }

  async #read(id: number, segment: Segment, from: number, to: number): Promise<Window> {
    const pathname = this.#files.pathOf(id, logName(segment.base))
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

/** From the first run that begins in that stretch to the end of the last one that does. */
function boundsOf(index: SegmentIndex, place: number): readonly [from: number, to: number] {
  let first = index.runOfPosition(place * WINDOW_BYTES)
  if (index.position(first) < place * WINDOW_BYTES) first += 1
  const last = index.runOfPosition((place + 1) * WINDOW_BYTES - 1)
  return [index.position(first), index.endOf(last)]
}

/** Compares the batches of a run with their checksums, unless that was done. Throws {@link SegmentFault}. */
export function checkRun(window: Window, index: SegmentIndex, run: number): void {
  const position = index.position(run)
  const end = index.endOf(run) - window.position
  // A run may have grown since.
  for (let at = (window.checked.get(position) ?? position) - window.position; at < end; ) {
    const size = recordBatch.batchSize(window.bytes, at, end)
    if (size <= 0 || recordBatch.checkBatch(window.bytes, at, at + size) !== 0) {
      throw new SegmentFault(window.pathname, window.position + at, "the batch does not fit its checksum")
    }
    at += size
  }
  window.checked.set(position, index.endOf(run))
}
