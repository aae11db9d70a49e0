/** What a segment's file holds, by itself: for who has no manifest. */
import { join } from "node:path"
import type { FilesShape, OpenFile, PartitionKey } from "../../core/mod.ts"
import { BatchScan, scanLater } from "./BatchScan.ts"
import { isDamage } from "./examine-segment.ts"
import type { Segment } from "./Segment.ts"
import {
  describeFooter,
  describeHeader,
  FOOTER_BYTES,
  HEADER_BYTES,
  logName,
  type SegmentName
} from "./segment-format.ts"
import { segmentOf } from "./segment-of.ts"
import { walkBatches } from "./walk-batches.ts"

export interface ReadSegment {
  readonly pathname: string
  /** Whose the header says that it is; undefined where there is none. */
  readonly key: PartitionKey | undefined
  /** Its whole batches from the first on; undefined where there are none, and `message` says why. */
  readonly segment: Segment | undefined
  readonly message: string
  /** Bytes behind these that are no footer of theirs. */
  readonly rest: number
  readonly firstEpoch: number
  readonly lastEpoch: number
}

/** One that holds something. */
export interface SeenSegment extends ReadSegment {
  readonly segment: Segment
}

export interface ReadSegmentParts {
  readonly files: FilesShape
  /** That of all partitions. */
  readonly directory: string
  readonly nowMs: number
  pace(bytes: number): Promise<void>
}

/** Reads a segment up to the batch that goes beyond `endMax`. Rejects with `FileError` as `examineSegment` does. */
export async function readSegment(
  parts: ReadSegmentParts,
  id: number,
  name: SegmentName,
  endMax: number
): Promise<ReadSegment> {
  const pathname = join(parts.directory, String(id), logName(name))
  const nothing = { pathname, key: undefined, segment: undefined, rest: 0, firstEpoch: -1, lastEpoch: -1 }
  try {
    const file = parts.files.openUnsafe(pathname, "read")
    try {
      return await read(parts, file, id, name, endMax)
    } finally {
      file.close()
    }
  } catch (error) {
    if (!isDamage(error)) throw error
    return { ...nothing, message: error.reason }
  }
}

async function read(
  { nowMs, pace }: ReadSegmentParts,
  file: OpenFile,
  id: number,
  { base, generation }: SegmentName,
  endMax: number
): Promise<ReadSegment> {
  const { pathname } = file
  const size = file.sizeUnsafe()
  const described = describeHeader(await readAt(file, 0, HEADER_BYTES))
  const isOwn = typeof described !== "string" && described.id === id && described.base === base
  const { tenant, topicId, partition } = isOwn ? described : { tenant: 0, topicId: "", partition: 0 }
  const key = isOwn ? { tenant, topicId, partition } : undefined
  const walked = await walkBatches(file, { base, end: endMax, bytes: size }, { logStart: 0, epoch: -1, pace })
  const { position, offset } = walked.broken ?? { position: walked.scan.position, offset: walked.scan.endOffset }
  const { firstEpoch, lastEpoch } = walked
  const found = { pathname, key, rest: 0, firstEpoch, lastEpoch }
  if (position <= HEADER_BYTES) return { ...found, segment: undefined, message: "it begins with no whole batch" }
  const scan = await scanLater(file, new BatchScan({ base, end: offset, bytes: position }, pathname))
  const footer = describeFooter(await readAt(file, position, FOOTER_BYTES))
  const isSealed = footer !== undefined && footer.bytes === position
  if (isSealed && (footer.headersCrc !== scan.facts.headersCrc || footer.batches !== scan.facts.batches)) {
    return { ...found, segment: undefined, message: "its batches are not those that its footer counts" }
  }
  const appended = isSealed ? footer : { firstAppendedMs: nowMs, lastAppendedMs: nowMs }
  const { firstAppendedMs, lastAppendedMs } = appended
  const named = { ...NONE, base, ...(generation === undefined ? {} : { generation }) }
  const segment = segmentOf({ ...named, isSealed, firstAppendedMs, lastAppendedMs }, scan, offset)
  const rest = size - position - (isSealed ? FOOTER_BYTES : 0)
  return { ...found, segment, rest: Math.max(0, rest), message: "" }
}

const NONE: Segment = {
  base: 0,
  end: 0,
  bytes: HEADER_BYTES,
  isSealed: false,
  firstTimestamp: 0,
  maxTimestamp: 0,
  firstAppendedMs: 0,
  lastAppendedMs: 0,
  batches: 0,
  records: 0,
  headersCrc: 0,
  indexEntries: 0,
  indexCrc: 0,
  indexedBytes: HEADER_BYTES,
  indexedEnd: 0,
  tailMaxTimestamp: 0
}

async function readAt(file: OpenFile, position: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  return bytes.subarray(0, await file.read(bytes, 0, size, position))
}
