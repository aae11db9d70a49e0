/**
 * The indexes of segments that are in memory, within a bound: the least recently used go first. One is read from its file, and made anew
 * from the segment where that file is missing or damaged; the file follows.
 */
import { FileError, type OpenFile } from "../../core/mod.ts"
import { BatchScan, scanLater, scanUnsafe } from "./BatchScan.ts"
import type { IndexRewrites } from "./IndexRewrites.ts"
import type { Segment } from "./Segment.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import { indexFrom, SegmentIndex } from "./SegmentIndex.ts"
import { type IndexRun, indexName, logName } from "./segment-format.ts"

const NOTHING = new Uint8Array(0)

export class Indexes {
  /** Bytes in memory. */
  bytes = 0
  readonly rewrites: IndexRewrites
  readonly #files: SegmentFiles
  readonly #bytesMax: number
  /** In the order of their last use. */
  readonly #indexes = new Map<Segment, SegmentIndex>()
  readonly #loading = new Map<Segment, Promise<SegmentIndex>>()

  constructor(files: SegmentFiles, rewrites: IndexRewrites, bytesMax: number) {
    this.#files = files
    this.rewrites = rewrites
    this.#bytesMax = bytesMax
  }

  /** The index of a segment. Rejects with `FileError` or `SegmentFault`. */
  load(id: number, segment: Segment): Promise<SegmentIndex> {
    const known = this.#used(segment)
    if (known !== undefined) return Promise.resolve(known)
    const underWay = this.#loading.get(segment)
    if (underWay !== undefined) return underWay
    const loading = this.#load(id, segment).finally(() => this.#loading.delete(segment))
    this.#loading.set(segment, loading)
    return loading
  }

  /** The same on the loop. Throws `FileError` or `SegmentFault`. */
  loadUnsafe(id: number, segment: Segment): SegmentIndex {
    const known = this.#used(segment)
    if (known !== undefined) return known
    const pathname = this.#files.pathOf(id, indexName(segment))
    const index = indexFrom(this.#bytesUnsafe(pathname), segment)
    if (index !== undefined) return this.#keep(segment, index)
    const log = this.#files.pathOf(id, logName(segment))
    const scan = this.#files.useUnsafe(log, (file) => scanUnsafe(file, new BatchScan(segment, log)))
    this.rewrites.want(pathname, id, segment, scan)
    return this.#keep(segment, indexOf(scan))
  }

  /** A segment has grown: these runs stand behind what its index had. */
  grown(before: Segment, after: Segment, runs: ReadonlyArray<IndexRun>): void {
    const index = this.#indexes.get(before)
    if (index === undefined) return
    this.forget(before)
    for (const run of runs) index.push(run)
    this.#keep(after, index)
  }

  /** A segment is gone. */
  forget(segment: Segment): void {
    const index = this.#indexes.get(segment)
    if (index === undefined) return
    this.#indexes.delete(segment)
    this.bytes -= index.bytes
  }

  async #load(id: number, segment: Segment): Promise<SegmentIndex> {
    const pathname = this.#files.pathOf(id, indexName(segment))
    const index = indexFrom(await this.#bytesLater(pathname), segment)
    if (index !== undefined) return this.#keep(segment, index)
    const log = this.#files.pathOf(id, logName(segment))
    const scan = await this.#files.use(log, "read", (file) => scanLater(file, new BatchScan(segment, log)))
    // One that went with its segment is not told.
    this.rewrites.want(pathname, id, segment, scan)
    return this.#keep(segment, indexOf(scan))
  }

  /** The bytes of an index's file; none where it cannot be read. */
  async #bytesLater(pathname: string): Promise<Uint8Array> {
    try {
      return await this.#files.use(pathname, "read", async (file) => {
        const bytes = new Uint8Array(file.sizeUnsafe())
        return bytes.subarray(0, await file.read(bytes, 0, bytes.length, 0))
      })
    } catch (error) {
      return nothingWhere(error)
    }
  }

  #bytesUnsafe(pathname: string): Uint8Array {
    try {
      return this.#files.useUnsafe(pathname, wholeUnsafe)
    } catch (error) {
      return nothingWhere(error)
    }
  }

  #used(segment: Segment): SegmentIndex | undefined {
    const known = this.#indexes.get(segment)
    if (known === undefined) return undefined
    this.#indexes.delete(segment)
    this.#indexes.set(segment, known)
    return known
  }

  #keep(segment: Segment, index: SegmentIndex): SegmentIndex {
    this.forget(segment)
    this.#indexes.set(segment, index)
    this.bytes += index.bytes
    for (const [oldest] of this.#indexes) {
      if (this.bytes <= this.#bytesMax || oldest === segment) break
      this.forget(oldest)
    }
    return index
  }
}

function wholeUnsafe(file: OpenFile): Uint8Array {
  const bytes = new Uint8Array(file.sizeUnsafe())
  return bytes.subarray(0, file.readUnsafe(bytes, 0, bytes.length, 0))
}

function nothingWhere(error: unknown): Uint8Array {
  if (error instanceof FileError) return NOTHING
  throw error
}

function indexOf(scan: BatchScan): SegmentIndex {
  const index = new SegmentIndex()
  scan.runs.close()
  for (const run of scan.runs.runs) index.push(run)
  return index
}
