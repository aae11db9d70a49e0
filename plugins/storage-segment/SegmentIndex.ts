/**
 * Where the runs of batches of one segment lie, in typed arrays: 20 bytes for each 16 KiB of batches.
 *
 * Invariant: runs follow each other without a gap, from the header on; the last one may be open, and is what the index's file has not yet.
 */
import { crc32c } from "../../core/mod.ts"
import type { Segment } from "./Segment.ts"
import { decodeRun, HEADER_BYTES, INDEX_ENTRY_BYTES, INDEX_RUN_BYTES, type IndexRun } from "./segment-format.ts"

/** What an entry takes in memory. */
const ENTRY_BYTES = 20

export class SegmentIndex {
  length = 0
  #offsets = new Uint32Array(16)
  #positions = new Uint32Array(16)
  #ends = new Uint32Array(16)
  #timestamps = new Float64Array(16)

  /** Bytes of memory. */
  get bytes(): number {
    return this.#offsets.length * ENTRY_BYTES
  }

  /** Where the last run ends. */
  get end(): number {
    return this.length === 0 ? HEADER_BYTES : (this.#ends[this.length - 1] ?? HEADER_BYTES)
  }

  /** Adds the run behind the last one; small ones become one, as far as they are the size of one. */
  push({ relativeOffset, position, end, maxTimestamp }: IndexRun): void {
    const last = this.length - 1
    if (last >= 0 && end - this.position(last) <= INDEX_RUN_BYTES) {
      this.#ends[last] = end
      this.#timestamps[last] = Math.max(this.maxTimestamp(last), maxTimestamp)
      return
    }
    if (this.length === this.#offsets.length) this.#grow()
    this.#offsets[this.length] = relativeOffset
    this.#positions[this.length] = position
    this.#ends[this.length] = end
    this.#timestamps[this.length] = maxTimestamp
    this.length += 1
  }

  /** Of the run's first batch, counted from the segment's. */
  relativeOffset(run: number): number {
    return this.#offsets[run] ?? 0
  }

  /** Where the run begins; negative where there is none. */
  position(run: number): number {
    if (run >= this.length) return -1
    return this.#positions[run] ?? 0
  }

  endOf(run: number): number {
    return this.#ends[run] ?? 0
  }

  maxTimestamp(run: number): number {
    return this.#timestamps[run] ?? 0
  }

  /** The last run that begins at or before that offset, counted from the segment's. */
  runOfOffset(relativeOffset: number): number {
    return lastAtMost(this.#offsets, this.length, relativeOffset)
  }

  /** The run that holds that byte. */
  runOfPosition(position: number): number {
    return lastAtMost(this.#positions, this.length, position)
  }

  #grow(): void {
    const size = this.#offsets.length * 2
    this.#offsets = grown(this.#offsets, new Uint32Array(size))
    this.#positions = grown(this.#positions, new Uint32Array(size))
    this.#ends = grown(this.#ends, new Uint32Array(size))
    this.#timestamps = grown(this.#timestamps, new Float64Array(size))
  }
}

function grown<Values extends Uint32Array | Float64Array>(from: Values, to: Values): Values {
  to.set(from)
  return to
}

function lastAtMost(values: Uint32Array, length: number, wanted: number): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((values[middle] ?? 0) <= wanted) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

/**
 * The index of a segment from the bytes of its file, with the open run behind them; undefined where these do not cover what the segment
 * says that they do.
 */
export function indexFrom(bytes: Uint8Array, segment: Segment): SegmentIndex | undefined {
  const index = new SegmentIndex()
  const size = segment.indexEntries * INDEX_ENTRY_BYTES
  if (bytes.length < size || crc32c(bytes, 0, size) !== segment.indexCrc) return undefined
  for (let entry = 0; entry < segment.indexEntries; entry++) {
    const run = decodeRun(bytes, entry * INDEX_ENTRY_BYTES)
    if (run === undefined || run.position !== index.end || run.end <= run.position) return undefined
    index.push(run)
  }
  return index.end === segment.indexedBytes ? withTail(index, segment) : undefined
}

/** Adds what lies behind the index's file as a run of its own. */
function withTail(index: SegmentIndex, segment: Segment): SegmentIndex {
  if (segment.bytes > segment.indexedBytes) {
    index.push({
      relativeOffset: segment.indexedEnd - segment.base,
      position: segment.indexedBytes,
      end: segment.bytes,
      maxTimestamp: segment.tailMaxTimestamp
    })
  }
  return index
}
