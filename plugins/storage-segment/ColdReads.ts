/**
 * Reads of segments from the disk: in pieces that all who read nearby share, off the loop.
 *
 * Invariants
 *  - Windows that are kept take at most `bytesMax` (one more while it is being used); their bytes do not change while they are kept or used.
 *  - Whoever is given a window has one use of it, which he ends.
 */
import type { Segment } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import type { SegmentIndex } from "./SegmentIndex.ts"
import { logName } from "./segment-format.ts"
import { Window } from "./Window.ts"

const WINDOW_BYTES = 262_144
/** Of a piece of memory that is used again: a window goes on to the end of its last run. */
const SPARE_BYTES = WINDOW_BYTES + 65_536
/** Smaller windows, and larger ones, have memory of their own. */
const SPARE_BYTES_MIN = WINDOW_BYTES / 2
/** Pieces that wait to be used again. */
const SPARES_MAX = 32

export class ColdReads {
  /** Bytes of memory that is kept; reads of files and their bytes since the start. */
  bytes = 0
  reads = 0
  readBytes = 0
  readonly #files: SegmentFiles
  readonly #isCurrent: (id: number, segment: Segment) => boolean
  readonly #bytesMax: number
  readonly #windows = new Map<string, Window>()
  readonly #reading = new Map<string, Promise<Window>>()
  readonly #spares: Array<ArrayBuffer> = []
  readonly #recycle = (memory: ArrayBuffer): void => {
    if (memory.byteLength === SPARE_BYTES && this.#spares.length < SPARES_MAX) this.#spares.push(memory)
  }
  /** Rises when something is forgotten: what was being read by then is not kept. */
  #generation = 0

  /** `isCurrent` tells whether that very segment is its partition's: one that was cut, or grew, is another. */
  constructor(files: SegmentFiles, isCurrent: (id: number, segment: Segment) => boolean, bytesMax: number) {
    this.#files = files
    this.#isCurrent = isCurrent
    this.#bytesMax = bytesMax
  }

  /** The window that holds run `run` whole, with one use of it. Rejects with `FileError` or `SegmentFault`. */
  async window(id: number, segment: Segment, index: SegmentIndex, run: number): Promise<Window> {
    const place = Math.floor(index.position(run) / WINDOW_BYTES)
    let found = this.#window(id, segment, index, run)
    // Who reads on from the window before will want the next one, too.
    const next = (place + 1) * WINDOW_BYTES
    if (next < index.end && this.#windows.has(`${prefixOf(id, segment)}${place - 1}`)) {
      const ahead = index.runOfPosition(next)
      if (index.position(ahead) >= next) this.#ahead(id, segment, index, ahead)
    }
    for (;;) {
      if (found instanceof Window) return found.use()
      const window = await found
      // Where others had their use of it before this one came to its turn it may hold something else.
      if (!window.isGone) return window.use()
      found = this.#window(id, segment, index, run)
    }
  }

  #ahead(id: number, segment: Segment, index: SegmentIndex, run: number): void {
    const reading = this.#window(id, segment, index, run)
    if (reading instanceof Window) return
    reading.then(
      (window) => window.settle(),
      () => {}
    )
  }

  #window(id: number, segment: Segment, index: SegmentIndex, run: number): Window | Promise<Window> {
    const place = Math.floor(index.position(run) / WINDOW_BYTES)
    const key = `${prefixOf(id, segment)}${place}`
    const known = this.#windows.get(key)
    if (known !== undefined && holds(known, index, run)) {
      this.#windows.delete(key)
      this.#windows.set(key, known)
      return known
    }
    const [from, to] = boundsOf(index, place)
    const generation = this.#generation
    const sharedKey = `${key}/${from}/${to}/${segment.headersCrc}/${generation}`
    const underWay = this.#reading.get(sharedKey)
    if (underWay !== undefined) return underWay
    const reading = this.#read(id, segment, from, to)
      .then((window) => {
        // Who came with a segment that was cut before he read may have got what is not its any more.
        const isWhole = generation === this.#generation && this.#isCurrent(id, segment)
        return isWhole ? this.#keep(key, window) : window
      })
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
    const bytes = this.#memoryOf(to - from)
    const count = await this.#files.use(pathname, "read", (file) => file.read(bytes, 0, bytes.length, from))
    this.reads += 1
    this.readBytes += count
    if (count < bytes.length) throw new SegmentFault(pathname, from + count, "the file ends here, and should go on")
    return new Window(pathname, from, bytes, this.#recycle)
  }

  #memoryOf(size: number): Uint8Array<ArrayBuffer> {
    if (size < SPARE_BYTES_MIN || size > SPARE_BYTES) return new Uint8Array(size)
    return new Uint8Array(this.#spares.pop() ?? new ArrayBuffer(SPARE_BYTES), 0, size)
  }

  #keep(key: string, window: Window): Window {
    this.#drop(key)
    this.#windows.set(key, window)
    window.isKept = true
    this.bytes += window.memoryBytes
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
    this.bytes -= window.memoryBytes
    window.isKept = false
    window.settle()
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
