/** A partition whose log is cut: its segments as the manifest will name them. Their files stay as they are. */
import { BatchScan, scanLater } from "./BatchScan.ts"
import type { Positions } from "./Positions.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { faultOf, type SegmentFault } from "./SegmentFault.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import { HEADER_BYTES } from "./segment-format.ts"
import { segmentOf } from "./segment-of.ts"

export interface ShortenedParts {
  readonly files: SegmentFiles
  readonly positions: Positions
  readonly pathOf: (id: number, segment: Segment) => string
  /** Is told of what is damaged. */
  readonly damaged: (fault: SegmentFault) => void
}

/** The partition with a log that ends at `end`. Rejects with `FileError` where the file of a segment cannot be read now. */
export async function shortened(parts: ShortenedParts, before: StoredPartition, end: number): Promise<StoredPartition> {
  const { id, segments } = before
  const logStart = Math.min(before.logStart, end)
  const kept: Array<Segment> = []
  for (const segment of segments) {
    if (segment.end <= end) kept.push(segment)
    else if (segment.base < end && logStart < end) {
      const left = await cutSegment(parts, id, segment, end)
      if (left !== undefined) kept.push(left)
    }
  }
  const startPosition = kept[0]?.base === segments[0]?.base ? before.startPosition : HEADER_BYTES
  const { cleanedTo = 0, ...rest } = before
  const compacted = Math.min(cleanedTo, end)
  const cleaned = compacted === 0 ? {} : { cleanedTo: compacted }
  return { ...rest, ...cleaned, logStart, logEnd: end, segments: logStart < end ? kept : [], startPosition }
}

/** The batches of a segment that end up to `end`; undefined where none does: of one that was deleted a part may lie before. */
async function cutSegment(
  parts: ShortenedParts,
  id: number,
  segment: Segment,
  end: number
): Promise<Segment | undefined> {
  const { files, positions, pathOf, damaged } = parts
  const pathname = pathOf(id, segment)
  try {
    const { position, base: next } = positions.endingBehind(id, segment, end)
    if (position === HEADER_BYTES) return undefined
    const bounds = { base: segment.base, end: next, bytes: position }
    const scan = await files.use(pathname, "read", (file) => scanLater(file, new BatchScan(bounds, pathname)))
    return segmentOf({ ...segment, isSealed: false }, scan, end)
  } catch (error) {
    const fault = faultOf(error, pathname)
    if (fault === undefined) throw error
    damaged(fault)
    // What of it can be read ends there; nothing is added to it any more.
    return { ...segment, end, isSealed: true }
  }
}
