/**
 * Compares a partition with what the manifest says of it and of its segments, and the manifest with itself.
 *
 * A manifest whose checksums are right may still not tell the truth: by a fault of a program, or where it is another store's.
 */
import { type ExamineParts, examineSegment, type SegmentFindings } from "./examine-segment.ts"
import type { ManifestContent } from "./Manifest.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { HEADER_BYTES } from "./segment-format.ts"

export interface PartitionFindings {
  readonly partition: StoredPartition
  readonly segments: ReadonlyArray<SegmentFindings>
  /** What cannot be right in the manifest, half a sentence each. */
  readonly lies: ReadonlyArray<string>
  /** The leader epoch and the log's start as its batches have them; what the manifest says where that is right. */
  readonly leaderEpoch: number
  readonly startPosition: number
}

/** Reads all of a partition. Rejects with `FileError` where a file cannot be read for a reason that is none of its own. */
export async function examinePartition(parts: ExamineParts, partition: StoredPartition): Promise<PartitionFindings> {
  const segments: Array<SegmentFindings> = []
  let epoch = -1
  for (const segment of partition.segments) {
    const found = await examineSegment(parts, partition, segment, epoch)
    segments.push(found)
    epoch = found.lastEpoch
  }
  const lies: Array<string> = []
  const name = nameOf(partition)
  const leaderEpoch = segments.some(({ broken }) => broken !== undefined)
    ? partition.leaderEpoch
    : Math.max(epoch, partition.leaderEpoch)
  if (leaderEpoch !== partition.leaderEpoch) {
    lies.push(`${name} has leader epoch ${partition.leaderEpoch} there, and ${leaderEpoch} by its batches`)
  }
  const [first] = segments
  const isKnown = first !== undefined && first.broken === undefined && first.unreadable === undefined
  const startPosition = isKnown ? first.startPosition : partition.startPosition
  if (startPosition !== partition.startPosition) {
    lies.push(`${name} begins at byte ${partition.startPosition} there, and at ${startPosition} by its batches`)
  }
  return { partition, segments, lies, leaderEpoch, startPosition }
}

/** What the manifest says against itself, half a sentence each. */
export function contradictions({ partitions, state }: ManifestContent): ReadonlyArray<string> {
  const found: Array<string> = []
  const keys = new Map<string, number>()
  if (state.epochLast > state.epochLimit) {
    found.push(`leader epoch ${state.epochLast} was given out, and none above ${state.epochLimit} may have been`)
  }
  for (const partition of partitions.values()) {
    const { id, key, leaderEpoch } = partition
    const name = nameOf(partition)
    if (id >= state.nextId) found.push(`${name} has number ${id}, and the next one is ${state.nextId}`)
    if (leaderEpoch > state.epochLimit) {
      found.push(`${name} has leader epoch ${leaderEpoch}, and none above ${state.epochLimit} was ever given out`)
    }
    const place = `${key.tenant}/${key.topicId}/${key.partition}`
    const other = keys.get(place)
    if (other !== undefined) found.push(`${name} has two numbers, ${other} and ${id}`)
    keys.set(place, id)
    const fault = faultOfSegments(partition)
    if (fault !== undefined) found.push(`${name}: ${fault}`)
  }
  return found
}

function faultOfSegments({ logStart, logEnd, segments, startPosition }: StoredPartition): string | undefined {
  if (logStart > logEnd) return `it begins at offset ${logStart} and ends at ${logEnd}`
  let end = 0
  for (const segment of segments) {
    if (segment.base < end || segment.end <= segment.base) {
      return `a segment has offsets ${segment.base} to ${segment.end}, and the one before it ends at ${end}`
    }
    end = segment.end
  }
  const [first] = segments
  if (first === undefined) return undefined
  if (end > logEnd) return `its last segment ends at offset ${end}, and the log at ${logEnd}`
  if (first.end <= logStart) return `its first segment ends at offset ${first.end}, and the log begins at ${logStart}`
  if (startPosition >= HEADER_BYTES && startPosition < first.bytes) return undefined
  return `it begins at byte ${startPosition} of a segment that has ${first.bytes}`
}

/**
 * Offsets between the log's start and its end that no segment has: a mode lost them, or a repair took them away. A line each. What is
 * missing where the log is compacted is as it should be.
 */
export function gapsOf(partition: StoredPartition): ReadonlyArray<string> {
  const { logStart, logEnd, segments, cleanedTo = 0 } = partition
  const gaps: Array<string> = []
  if (segments.length === 0) return gaps
  let next = logStart
  for (const { base, end, records, generation } of [
    ...segments,
    { base: logEnd, end: logEnd, records: 0 }
  ] as ReadonlyArray<Pick<Segment, "base" | "end" | "records" | "generation">>) {
    const name = nameOf(partition)
    if (base > next && next >= cleanedTo) gaps.push(`${name}: offsets ${next} to ${base - 1} are missing`)
    if (generation === undefined && records < end - base) {
      gaps.push(`${name}: ${end - base - records} of the offsets ${base} to ${end - 1} are missing`)
    }
    next = end
  }
  return gaps
}

export function nameOf({ key: { topicId, partition } }: StoredPartition): string {
  return `${JSON.stringify(topicId)}/${partition}`
}
