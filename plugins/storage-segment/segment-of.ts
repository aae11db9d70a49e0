/** A segment as its batches have it. */
import { crc32c } from "../../core/mod.ts"
import type { BatchScan } from "./BatchScan.ts"
import type { Segment } from "./Segment.ts"
import { encodeRuns } from "./segment-format.ts"

/**
 * What the manifest has to say of a segment of which `scan` has seen all batches that count, and whose log goes on at `end`. Whether it
 * is sealed, and when it was appended to, is taken from `segment`: batches do not know that.
 */
export function segmentOf(segment: Segment, scan: BatchScan, end: number): Segment {
  const { runs, facts } = scan
  if (segment.isSealed) runs.close()
  const entries = encodeRuns(runs.runs)
  const isOpen = runs.end > runs.position
  return {
    ...segment,
    end,
    bytes: scan.position,
    ...facts,
    indexEntries: runs.runs.length,
    indexCrc: crc32c(entries, 0, entries.length),
    indexedBytes: runs.position,
    indexedEnd: isOpen ? segment.base + runs.relativeOffset : end,
    tailMaxTimestamp: isOpen ? runs.maxTimestamp : 0
  }
}
