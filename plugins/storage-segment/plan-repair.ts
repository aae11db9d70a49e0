/**
 * What is to be done about one partition: which files are written anew from its batches, what goes out of its log, and how the manifest
 * names it then. Reads alone.
 *
 * Invariants
 *  - Batches that are whole stay in the log, but for those behind a place where it is cut.
 *  - An offset whose records are lost is given again only under a leader epoch that nobody has seen.
 */
import type { FilesShape, RepairRequest } from "../../core/mod.ts"
import { BatchScan, scanLater } from "./BatchScan.ts"
import { nameOf, type PartitionFindings } from "./examine-partition.ts"
import type { SegmentFindings } from "./examine-segment.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { HEADER_BYTES } from "./segment-format.ts"
import { segmentOf } from "./segment-of.ts"

export const TRUNCATE_OR_QUARANTINE = "--truncate or --quarantine"

/** What is written anew from a segment's batches. */
export interface Rewrite {
  readonly segment: Segment
  readonly what: "header" | "footer" | "index"
  readonly pathname: string
  readonly fault: string
}

export interface PartitionPlan {
  readonly before: StoredPartition
  /** As the manifest has to name it; the same as `before` where it does already. */
  readonly after: StoredPartition
  /** Segments that leave the log with their files, newest first. */
  readonly moved: ReadonlyArray<SegmentFindings>
  /** The segment that is cut, as it was: a copy of all of it is kept. */
  readonly cut: SegmentFindings | undefined
  readonly rewrites: ReadonlyArray<Rewrite>
  /** What cannot be done without being told so. */
  readonly left: ReadonlyArray<SegmentFindings>
  /** What happens to the log and the manifest, half a sentence each. */
  readonly changes: ReadonlyArray<string>
}

/** `nextEpoch` gives a leader epoch that was never given out. Rejects with `FileError`. */
export async function planRepair(
  files: FilesShape,
  found: PartitionFindings,
  broken: RepairRequest["broken"],
  nextEpoch: () => number
): Promise<PartitionPlan> {
  const { partition: before } = found
  const isBroken = (segment: SegmentFindings): boolean =>
    segment.broken !== undefined || segment.unreadable !== undefined
  const left = found.segments.filter(isBroken)
  const choice = left.length === 0 ? "leave" : broken
  const { kept, moved, cut } = parted(found, choice, isBroken)
  const segments: Array<Segment> = []
  for (const each of kept) segments.push(each === cut ? await cutSegment(files, each) : (each.truth ?? each.segment))
  const bounds = boundsOf(before, segments, kept.at(-1) !== cut && kept.at(-1) === found.segments.at(-1))
  const isShorter = bounds.logEnd < before.logEnd
  const leaderEpoch = isShorter ? nextEpoch() : found.leaderEpoch
  const startPosition = startOf(found, kept[0], choice === "leave")
  const after = { ...before, ...bounds, leaderEpoch, segments, startPosition }
  const changes = [...found.lies, ...kept.flatMap(({ lies }) => lies), ...lossesOf(before, after, moved, cut)]
  const rewrites = kept.flatMap((each, at) =>
    choice === "leave" && isBroken(each) ? [] : rewritesOf(each, segments[at] ?? each.segment, each === cut)
  )
  const isSame = changes.length === 0 && moved.length === 0 && cut === undefined
  return { before, after: isSame ? before : after, moved, cut, rewrites, left: choice === "leave" ? left : [], changes }
}

/** Which segments stay, the last of them perhaps cut, and which go, newest first. */
function parted(
  { segments, partition }: PartitionFindings,
  choice: RepairRequest["broken"],
  isBroken: (segment: SegmentFindings) => boolean
): Pick<PartitionPlan, "moved" | "cut"> & { readonly kept: ReadonlyArray<SegmentFindings> } {
  if (choice === "leave") return { kept: segments, moved: [], cut: undefined }
  if (choice === "quarantine") {
    const moved = segments.filter(isBroken).toReversed()
    return { kept: segments.filter((segment) => !isBroken(segment)), moved, cut: undefined }
  }
  const at = segments.findIndex(isBroken)
  const first = segments[at]
  const position = first?.broken?.position ?? HEADER_BYTES
  // What is left of one that is cut before the log's start is no part of the log.
  const isCut = position > HEADER_BYTES && (first?.broken?.offset ?? 0) > partition.logStart
  const end = isCut ? at + 1 : at
  const kept = segments.slice(0, end).filter(({ segment }) => segment.end > partition.logStart)
  return { kept, moved: segments.slice(end).toReversed(), cut: isCut ? first : undefined }
}

/** A log that loses all keeps its end, so that no offset is given twice; else it lies between the segments that are left. */
function boundsOf(
  { logStart, logEnd }: StoredPartition,
  segments: ReadonlyArray<Segment>,
  hasLast: boolean
): { readonly logStart: number; readonly logEnd: number } {
  const [first] = segments
  const last = segments.at(-1)
  if (first === undefined || last === undefined) return { logStart: hasLast ? logStart : logEnd, logEnd }
  return { logStart: Math.max(logStart, first.base), logEnd: hasLast ? logEnd : last.end }
}

function startOf(found: PartitionFindings, first: SegmentFindings | undefined, isLeft: boolean): number {
  if (first === undefined) return HEADER_BYTES
  if (first !== found.segments[0]) return HEADER_BYTES
  return isLeft || first.broken === undefined ? found.startPosition : first.startPosition
}

/** The whole batches of a segment before its first broken one. */
async function cutSegment(files: FilesShape, { segment, pathname, broken }: SegmentFindings): Promise<Segment> {
  const { position: bytes, offset: end } = broken ?? { position: segment.bytes, offset: segment.end }
  const file = files.openUnsafe(pathname, "read")
  try {
    const scan = await scanLater(file, new BatchScan({ base: segment.base, end, bytes }, pathname))
    return segmentOf({ ...segment, isSealed: false }, scan, end)
  } finally {
    file.close()
  }
}

function rewritesOf(found: SegmentFindings, segment: Segment, isCut: boolean): ReadonlyArray<Rewrite> {
  const { pathname, indexPathname, header, footer, index } = found
  const rewrites: Array<Rewrite> = []
  if (header !== undefined) rewrites.push({ segment, what: "header", pathname, fault: header })
  if (footer !== undefined && segment.isSealed) rewrites.push({ segment, what: "footer", pathname, fault: footer })
  const isOther = found.truth !== undefined && found.truth.indexCrc !== found.segment.indexCrc
  const fault = index ?? (isCut ? "its segment is cut" : isOther ? "the manifest spoke of another one" : undefined)
  if (fault !== undefined) rewrites.push({ segment, what: "index", pathname: indexPathname, fault })
  return rewrites
}

/** Which offsets go, half a sentence for each place. */
function lossesOf(
  before: StoredPartition,
  after: StoredPartition,
  moved: ReadonlyArray<SegmentFindings>,
  cut: SegmentFindings | undefined
): ReadonlyArray<string> {
  if (moved.length === 0 && cut === undefined) return []
  const name = nameOf(before)
  const gone = (from: number, to: number): string => `offsets ${from} to ${to - 1} are gone`
  if (after.segments.length === 0) {
    const from = Math.min(before.logStart, before.logEnd - 1)
    return [`${name} keeps nothing, and goes on at offset ${after.logEnd}: ${gone(from, before.logEnd)}`]
  }
  const losses: Array<string> = []
  if (after.logStart > before.logStart) {
    losses.push(`${name} begins at offset ${after.logStart}: ${gone(before.logStart, after.logStart)}`)
  }
  for (const [at, { base }] of after.segments.entries()) {
    const end = after.segments[at - 1]?.end ?? base
    const isNew = moved.some(({ segment }) => segment.base >= end && segment.base < base)
    if (isNew) losses.push(`${name} has a gap: ${gone(end, base)}`)
  }
  if (after.logEnd < before.logEnd) {
    losses.push(`${name} ends at offset ${after.logEnd}: ${gone(after.logEnd, before.logEnd)}`)
  }
  return losses
}
