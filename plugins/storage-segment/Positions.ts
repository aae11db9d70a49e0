/** Finds the place of a batch within a segment's file by its offset, on the loop: for who deletes, cuts or counts, once in a while. */
import { endOffsetOf, recordBatch } from "../../core/mod.ts"
import type { Indexes } from "./Indexes.ts"
import type { Segment } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import { BATCH_HEADER_BYTES, HEADER_BYTES, logName } from "./segment-format.ts"

/** A batch as its header tells, or the end of what was looked through. */
export interface Place {
  readonly position: number
  /** Its base offset; that of the segment's end where there is none. */
  readonly base: number
}

export class Positions {
  readonly #files: SegmentFiles
  readonly #indexes: Indexes

  constructor(files: SegmentFiles, indexes: Indexes) {
    this.#files = files
    this.#indexes = indexes
  }

  /** The first batch of a segment that ends behind `offset`. Throws `FileError` or `SegmentFault`. */
  endingBehind(id: number, segment: Segment, offset: number): Place {
    return this.#find(id, segment, offset, (_base, next) => next > offset)
  }

  /** The first batch of a segment that begins at `offset` or behind it. Throws the same. */
  beginningFrom(id: number, segment: Segment, offset: number): Place {
    return this.#find(id, segment, offset, (base) => base >= offset)
  }

  #find(id: number, segment: Segment, offset: number, isMeant: (base: number, next: number) => boolean): Place {
    const { base, bytes } = segment
    if (offset <= base) return { position: HEADER_BYTES, base }
    if (offset >= segment.end) return { position: bytes, base: segment.end }
    const index = this.#indexes.loadUnsafe(id, segment)
    const pathname = this.#files.pathOf(id, logName(segment))
    return this.#files.useUnsafe(pathname, (file) => {
      const header = new Uint8Array(BATCH_HEADER_BYTES)
      for (let at = index.position(index.runOfOffset(offset - base)); at < bytes; ) {
        const size =
          file.readUnsafe(header, 0, BATCH_HEADER_BYTES, at) < BATCH_HEADER_BYTES
            ? 0
            : recordBatch.batchLength(header, 0) + recordBatch.LENGTH_OVERHEAD
        if (size < BATCH_HEADER_BYTES) throw new SegmentFault(pathname, at, "no batch begins where one has to")
        const first = recordBatch.baseOffset(header, 0)
        if (isMeant(first, endOffsetOf(header, 0))) return { position: at, base: first }
        at += size
      }
      return { position: bytes, base: segment.end }
    })
  }
}
