/**
 * A segment that a compaction writes beside those that it is to replace. Nobody knows of it until the manifest names it; a file that it
 * never names is removed, by {@link CompactedSegment.abort} or before the next compaction.
 *
 * Memory: the pieces that wait to be written, {@link WRITE_BYTES} and one batch.
 */
import {
  copyBytes,
  crc32c,
  endOffsetOf,
  type FileError,
  type OpenFile,
  type PartitionKey,
  recordBatch
} from "../../core/mod.ts"
import { BatchFacts, RunBuilder } from "./BatchScan.ts"
import type { Segment } from "./Segment.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import { encodeFooter, encodeHeader, encodeRuns, HEADER_BYTES, indexName, logName } from "./segment-format.ts"

/** Bytes that are written at a time. */
const WRITE_BYTES = 1_048_576

export interface CompactedSegmentOptions {
  readonly id: number
  readonly key: PartitionKey
  readonly generation: number
  /** When what it replaces was appended. */
  readonly firstAppendedMs: number
  readonly lastAppendedMs: number
}

export class CompactedSegment {
  /** Bytes that were given to the disk. */
  writtenBytes = 0
  readonly #files: SegmentFiles
  readonly #options: CompactedSegmentOptions
  readonly #facts = new BatchFacts()
  #runs = new RunBuilder(HEADER_BYTES, 0)
  /** Of the first batch; negative = there is none yet. */
  #base = -1
  #end = 0
  #bytes = HEADER_BYTES
  #pending: Array<Uint8Array> = []
  #pendingBytes = 0
  /** Up to where the file is written. */
  #position = 0

  constructor(files: SegmentFiles, options: CompactedSegmentOptions) {
    this.#files = files
    this.#options = options
  }

  get isEmpty(): boolean {
    return this.#base < 0
  }

  /** Adds the next batch, the segment's from then on. Rejects with {@link FileError}. */
  async add(batch: Uint8Array): Promise<void> {
    const base = recordBatch.baseOffset(batch, 0)
    if (this.isEmpty) {
      this.#base = base
      this.#runs = new RunBuilder(HEADER_BYTES, 0)
      const { id, key } = this.#options
      this.#push(encodeHeader(id, key, base))
    }
    this.#runs.add(base - this.#base, batch.length, recordBatch.maxTimestamp(batch, 0))
    this.#facts.add(batch, 0)
    this.#end = endOffsetOf(batch, 0)
    this.#bytes += batch.length
    this.#push(batch)
    if (this.#pendingBytes >= WRITE_BYTES) await this.#flush()
  }

  /** Ends it, synced but for its index and its name; undefined where nothing was added. Rejects with {@link FileError}. */
  async finish(): Promise<Segment | undefined> {
    if (this.isEmpty) return undefined
    const { generation, firstAppendedMs, lastAppendedMs } = this.#options
    this.#runs.close()
    const entries = encodeRuns(this.#runs.runs)
    const segment: Segment = {
      base: this.#base,
      end: this.#end,
      bytes: this.#bytes,
      isSealed: true,
      ...this.#facts,
      firstAppendedMs,
      lastAppendedMs,
      indexEntries: this.#runs.runs.length,
      indexCrc: crc32c(entries, 0, entries.length),
      indexedBytes: this.#bytes,
      indexedEnd: this.#end,
      tailMaxTimestamp: 0,
      generation
    }
    this.#push(encodeFooter(segment))
    await this.#flush()
    const { id } = this.#options
    await this.#files.use(this.#pathname, "write", (file) => file.sync())
    await this.#files.use(this.#files.pathOf(id, indexName(segment)), "create", async (file) => {
      file.truncateUnsafe(0)
      await file.write(entries, 0, entries.length, 0)
    })
    this.writtenBytes += entries.length
    return segment
  }

  /** The name that its files have; undefined where there are none. */
  get name(): Pick<Segment, "base" | "generation"> | undefined {
    return this.isEmpty ? undefined : { base: this.#base, generation: this.#options.generation }
  }

  get #pathname(): string {
    return this.#files.pathOf(this.#options.id, logName({ base: this.#base, generation: this.#options.generation }))
  }

  #push(piece: Uint8Array): void {
    this.#pending.push(piece)
    this.#pendingBytes += piece.length
  }

  async #flush(): Promise<void> {
    const joined = new Uint8Array(this.#pendingBytes)
    let at = 0
    for (const piece of this.#pending) at = copyBytes(piece, 0, piece.length, joined, at)
    this.#pending = []
    this.#pendingBytes = 0
    const position = this.#position
    await this.#files.use(this.#pathname, position === 0 ? "create" : "write", async (file: OpenFile) => {
      // What a crash left under this name.
      if (position === 0) file.truncateUnsafe(0)
      await file.write(joined, 0, joined.length, position)
    })
    this.#position += joined.length
    this.writtenBytes += joined.length
  }
}
