/**
 * The records of a manifest's groups, written and read.
 *
 * Source: docs/formats/segment.md, "The manifest".
 */
import { ByteReader, type ByteWriter } from "../../core/mod.ts"
import type { ManifestChange, ManifestState } from "./Manifest.ts"
import { findSegment, type Segment, type StoredPartition } from "./Segment.ts"

/** That of groups without records of a compaction, and with them; both are read. */
export const VERSION = 1
export const VERSION_COMPACTED = 2

const PARTITION = 1
const SEGMENT = 2
const SEGMENTS_CUT = 3
const PARTITION_REMOVED = 4
const STATE = 5
const COMPACTED = 6
const COMPACTED_SEGMENT = 7

const NOTHING_REPLACED = { from: 0, below: 0 }

/** Writes a change as records; returns the version that its group has. */
export function writeChange(writer: ByteWriter, { changed, removed, state }: ManifestChange): number {
  let version = VERSION
  for (const id of removed) {
    writer.uint8(PARTITION_REMOVED)
    writer.uint53(id)
  }
  for (const { before, after, replaced = NOTHING_REPLACED } of changed) {
    writePartition(writer, after)
    const [first] = after.segments
    // Segments go from either end: what is not among those that follow, and lies outside of them, is gone.
    writer.uint8(SEGMENTS_CUT)
    writer.uint53(after.id)
    writer.uint53(first?.base ?? 0)
    writer.uint53(after.segments.at(-1)?.base ?? 0)
    writer.uint8(first === undefined ? 1 : 0)
    if (replaced !== NOTHING_REPLACED || after.cleanedTo !== before?.cleanedTo) {
      version = VERSION_COMPACTED
      writer.uint8(COMPACTED)
      writer.uint53(after.id)
      writer.uint53(replaced.from)
      writer.uint53(replaced.below)
      writer.uint53(after.cleanedTo ?? 0)
    }
    const known = new Set(before?.segments)
    for (const segment of after.segments) {
      if (known.has(segment)) continue
      if (segment.generation !== undefined) version = VERSION_COMPACTED
      writeSegment(writer, after.id, segment)
    }
  }
  writer.uint8(STATE)
  writer.uint53(state.applied)
  writer.uint53(state.nextId)
  writer.uint8(state.isClean ? 1 : 0)
  writer.uint53(state.epochBase)
  writer.uint53(state.epochLast)
  writer.uint53(state.epochLimit)
  return version
}

function writePartition(writer: ByteWriter, partition: StoredPartition): void {
  const { id, key, logStart, logEnd, leaderEpoch, startPosition } = partition
  writer.uint8(PARTITION)
  writer.uint53(id)
  writer.uint53(key.tenant)
  writer.uint53(key.partition)
  writer.text(key.topicId)
  writer.uint53(logStart)
  writer.uint53(logEnd)
  writer.uint53(leaderEpoch)
  writer.uint53(startPosition)
}

function writeSegment(writer: ByteWriter, id: number, segment: Segment): void {
  writer.uint8(segment.generation === undefined ? SEGMENT : COMPACTED_SEGMENT)
  writer.uint53(id)
  writer.uint8(segment.isSealed ? 1 : 0)
  for (const value of numbersOf(segment)) writer.int64(value)
  if (segment.generation !== undefined) writer.uint53(segment.generation)
}

/** The numbers of a segment in the order of their bytes. */
function numbersOf(segment: Segment): ReadonlyArray<number> {
  return [
    segment.base,
    segment.end,
    segment.bytes,
    segment.firstTimestamp,
    segment.maxTimestamp,
    segment.firstAppendedMs,
    segment.lastAppendedMs,
    segment.batches,
    segment.records,
    segment.headersCrc,
    segment.indexEntries,
    segment.indexCrc,
    segment.indexedBytes,
    segment.indexedEnd,
    segment.tailMaxTimestamp
  ]
}

/** Applies the records of a group to `partitions`; the state, where it has one. */
export function readGroup(
  bytes: Uint8Array,
  start: number,
  end: number,
  partitions: Map<number, StoredPartition>
): ManifestState | undefined {
  const reader = new ByteReader().reset(bytes, start, end)
  let state: ManifestState | undefined
  while (reader.position < end) {
    const kind = reader.uint8()
    if (kind === PARTITION) readPartition(reader, partitions)
    else if (kind === SEGMENT || kind === COMPACTED_SEGMENT) readSegment(reader, partitions, kind)
    else if (kind === COMPACTED) readCompacted(reader, partitions)
    else if (kind === SEGMENTS_CUT) readCut(reader, partitions)
    else if (kind === PARTITION_REMOVED) partitions.delete(reader.uint53())
    else state = readState(reader)
  }
  return state
}

function readPartition(reader: ByteReader, partitions: Map<number, StoredPartition>): void {
  const id = reader.uint53()
  const tenant = reader.uint53()
  const partition = reader.uint53()
  const key = { tenant, topicId: reader.text(), partition }
  const logStart = reader.uint53()
  const logEnd = reader.uint53()
  const leaderEpoch = reader.uint53()
  const startPosition = reader.uint53()
  const known = partitions.get(id)
  const segments = known?.segments ?? []
  const cleanedTo = known?.cleanedTo === undefined ? {} : { cleanedTo: known.cleanedTo }
  partitions.set(id, { id, key, logStart, logEnd, leaderEpoch, startPosition, segments, ...cleanedTo })
}

function readCompacted(reader: ByteReader, partitions: Map<number, StoredPartition>): void {
  const id = reader.uint53()
  const from = reader.uint53()
  const below = reader.uint53()
  const cleanedTo = reader.uint53()
  const partition = partitions.get(id)
  if (partition === undefined) return
  const { cleanedTo: _, ...rest } = partition
  const segments = partition.segments.filter(({ base }) => base < from || base >= below)
  partitions.set(id, { ...rest, segments, ...(cleanedTo === 0 ? {} : { cleanedTo }) })
}

function readCut(reader: ByteReader, partitions: Map<number, StoredPartition>): void {
  const id = reader.uint53()
  const first = reader.uint53()
  const last = reader.uint53()
  const isEmpty = reader.uint8() === 1
  const partition = partitions.get(id)
  if (partition === undefined) return
  const segments = isEmpty ? [] : partition.segments.filter(({ base }) => base >= first && base <= last)
  partitions.set(id, { ...partition, segments })
}

function readSegment(reader: ByteReader, partitions: Map<number, StoredPartition>, kind: number): void {
  const id = reader.uint53()
  const isSealed = reader.uint8() === 1
  const number = (): number => reader.int64()
  const segment: Segment = {
    base: number(),
    end: number(),
    bytes: number(),
    isSealed,
    firstTimestamp: number(),
    maxTimestamp: number(),
    firstAppendedMs: number(),
    lastAppendedMs: number(),
    batches: number(),
    records: number(),
    headersCrc: number(),
    indexEntries: number(),
    indexCrc: number(),
    indexedBytes: number(),
    indexedEnd: number(),
    tailMaxTimestamp: number(),
    ...(kind === COMPACTED_SEGMENT ? { generation: reader.uint53() } : {})
  }
  // While it is read a partition's list is its reader's own.
  const segments = partitions.get(id)?.segments as Array<Segment> | undefined
  if (segments === undefined) return
  const at = findSegment(segments, segment.base)
  if (segments[at]?.base === segment.base) segments[at] = segment
  else segments.splice(at, 0, segment)
}

function readState(reader: ByteReader): ManifestState {
  return {
    applied: reader.uint53(),
    nextId: reader.uint53(),
    isClean: reader.uint8() === 1,
    epochBase: reader.uint53(),
    epochLast: reader.uint53(),
    epochLimit: reader.uint53()
  }
}
