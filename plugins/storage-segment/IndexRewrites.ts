/**
 * Writes the files of indexes anew that were found missing or damaged, from what their segments were just found to hold: one after the
 * other, in the runtime's pool, behind the reads that found them.
 *
 * Invariants
 *  - Nothing is written but the very bytes of which the manifest has the checksum. A checkpoint adds behind them, so both may write at once.
 *  - Of a segment that the manifest does not name any more as it was read, nothing is written.
 *  - An index file is never what an answer rests on: where it cannot be written it is made anew at each load, as before.
 */
import { crc32c, FileError, type LogShape } from "../../core/mod.ts"
import type { BatchScan } from "./BatchScan.ts"
import type { Segment } from "./Segment.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import { encodeRuns, INDEX_ENTRY_BYTES } from "./segment-format.ts"

const AREA = "storage-segment"
/** Lines that are told; of further ones nothing is said. */
const TOLD_MAX = 1_000

export class IndexRewrites {
  /** Times that an index was made anew in memory, and files that were written anew, since the start. */
  rebuilt = 0
  rewritten = 0
  readonly #files: SegmentFiles
  readonly #log: LogShape
  readonly #isNamed: (id: number, segment: Segment) => boolean
  readonly #told = new Set<string>()
  /** Settled when nothing is being written. */
  #writing: Promise<void> = Promise.resolve()

  /** `isNamed` says whether the manifest names that very segment now. */
  constructor(files: SegmentFiles, log: LogShape, isNamed: (id: number, segment: Segment) => boolean) {
    this.#files = files
    this.#log = log
    this.#isNamed = isNamed
  }

  /** The index at `path` was made anew by `scan`, which has seen all of the segment; its file follows. */
  want(path: string, id: number, segment: Segment, scan: BatchScan): void {
    this.rebuilt += 1
    this.#tell(path, "an index is missing or damaged, and made anew from its segment", {})
    const entries = indexEntries(segment, scan)
    if (entries !== undefined) this.#writing = this.#writing.then(() => this.#write(path, id, segment, entries))
  }

  /** Settled when all that was wanted is written, or could not be. */
  whenIdle(): Promise<void> {
    return this.#writing
  }

  async #write(path: string, id: number, segment: Segment, entries: Uint8Array): Promise<void> {
    // Between this look and the opening nothing else happens: a file that is removed is not made again.
    if (!this.#isNamed(id, segment)) return
    try {
      await this.#files.use(path, "create", (file) => file.write(entries, 0, entries.length, 0))
      this.rewritten += 1
    } catch (error) {
      this.#files.drop(path)
      if (!(error instanceof FileError)) throw error
      this.#tell(path, "an index cannot be written anew; it is made from its segment at each load", {
        reason: error.reason
      })
    }
  }

  #tell(path: string, message: string, fields: object): void {
    const line = `${path}: ${message}`
    if (this.#told.has(line) || this.#told.size >= TOLD_MAX) return
    this.#told.add(line)
    this.#log.warn(AREA, message, { path, ...fields })
  }
}

/** The bytes of a segment's index as its batches have it; undefined where these are not the ones that the segment speaks of. */
export function indexEntries(segment: Segment, scan: BatchScan): Uint8Array | undefined {
  if (segment.isSealed) scan.runs.close()
  const entries = encodeRuns(scan.runs.runs)
  const isMeant = entries.length === segment.indexEntries * INDEX_ENTRY_BYTES
  return isMeant && crc32c(entries, 0, entries.length) === segment.indexCrc ? entries : undefined
}
