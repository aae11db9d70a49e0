/**
 * Compares one segment with what the manifest says of it, kind by kind: what verify tells of it, and what repair decides by.
 *
 * There are three witnesses of what a segment holds: its batches, the manifest, and the footer where there is one. What one of them says
 * against the others is wrong; where it is the batches, and no place among them can be named, none of them counts.
 */
import { join } from "node:path"
import { type Damage, FileError, type FilesShape, type OpenFile } from "../../core/mod.ts"
import type { BatchScan } from "./BatchScan.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { indexFrom } from "./SegmentIndex.ts"
import {
  checkFooter,
  checkHeader,
  describeFooter,
  encodeHeader,
  FOOTER_BYTES,
  HEADER_BYTES,
  INDEX_ENTRY_BYTES,
  indexName,
  logName
} from "./segment-format.ts"
import { segmentOf } from "./segment-of.ts"
import { type BrokenBatch, type Walked, walkBatches } from "./walk-batches.ts"

const BATCH_REMEDY = "restore a backup of the store; manifold storage repair says what can be kept without one"
const DERIVED_REMEDY = "manifold storage repair makes it anew, or restore a backup of the store"
const INDEX_REMEDY = "none is needed: it is made anew when it is read"

export interface SegmentFindings {
  readonly segment: Segment
  readonly pathname: string
  readonly indexPathname: string
  /** Why nothing of the file can be read; then nothing else is known. */
  readonly unreadable: string | undefined
  readonly broken: BrokenBatch | undefined
  /** What is wrong with what is derived from the batches, half a sentence each; undefined where it is right. */
  readonly header: string | undefined
  readonly footer: string | undefined
  readonly index: string | undefined
  /** The segment as its batches have it, where the manifest says something else. */
  readonly truth: Segment | undefined
  readonly lies: ReadonlyArray<string>
  readonly lastEpoch: number
  /** Where the log's start lies in it, as its batches have it. */
  readonly startPosition: number
}

export interface ExamineParts {
  readonly files: FilesShape
  /** That of all partitions. */
  readonly directory: string
  pace(bytes: number): Promise<void>
}

/** Looks at a segment of a partition; `epoch` is the last leader epoch before it, or -1. Rejects with `FileError` where it is nobody's damage. */
export async function examineSegment(
  { files, directory, pace }: ExamineParts,
  partition: StoredPartition,
  segment: Segment,
  epoch: number
): Promise<SegmentFindings> {
  const own = join(directory, String(partition.id))
  const pathname = join(own, logName(segment))
  const indexPathname = join(own, indexName(segment))
  const nothing = { header: undefined, footer: undefined, truth: undefined, lies: [], startPosition: HEADER_BYTES }
  const index = await faultOfIndex(files, indexPathname, segment, pace)
  const base = { segment, pathname, indexPathname, index, unreadable: undefined, broken: undefined, lastEpoch: epoch }
  try {
    const file = files.openUnsafe(pathname, "read")
    try {
      return { ...base, ...nothing, ...(await examine(file, partition, segment, epoch, pace)) }
    } finally {
      file.close()
    }
  } catch (error) {
    if (!isDamage(error)) throw error
    return { ...base, ...nothing, unreadable: error.reason }
  }
}

/** That a file is not there, or its device fails, says something of the file; that it may not be opened says it of who opens it. */
export function isDamage(error: unknown): error is FileError {
  return error instanceof FileError && (error.code === "not-found" || error.code === "failed")
}

async function examine(
  file: OpenFile,
  partition: StoredPartition,
  segment: Segment,
  epoch: number,
  pace: ExamineParts["pace"]
): Promise<Omit<SegmentFindings, "segment" | "pathname" | "indexPathname" | "index" | "unreadable">> {
  const header = await readAt(file, 0, HEADER_BYTES)
  const headerFault =
    checkHeader(header, partition.id, segment.base) ??
    (encodeHeader(partition.id, partition.key, segment.base).every((byte, at) => header[at] === byte)
      ? undefined
      : "the header is that of another topic's partition")
  const walked = await walkBatches(file, segment, { logStart: partition.logStart, epoch, pace })
  const footer = segment.isSealed ? await readAt(file, segment.bytes, FOOTER_BYTES) : undefined
  const { startPosition, scan } = walked
  const lastEpoch = Math.max(epoch, walked.lastEpoch)
  const found = { header: headerFault, footer: undefined, truth: undefined, lies: [], lastEpoch, startPosition }
  const broken = walked.broken ?? brokenAsAWhole(segment, walked, footer)
  if (broken !== undefined) return { ...found, broken }
  const { truth, lies } = truthOf(segment, scan)
  const footerFault = footer && checkFooter(footer, truth ?? segment)
  return { ...found, broken, footer: footerFault, truth, lies }
}

/** Batches that are whole each for itself, and not those of which manifest and footer speak. */
function brokenAsAWhole(segment: Segment, { scan }: Walked, footer: Uint8Array | undefined): BrokenBatch | undefined {
  const { batches, records, headersCrc } = scan.facts
  if (batches === segment.batches && records === segment.records && headersCrc === segment.headersCrc) return undefined
  const sealed = footer && describeFooter(footer)
  if (sealed?.headersCrc === headersCrc && sealed.batches === batches && sealed.records === records) return undefined
  const message = "its batches are not those that the manifest counts"
  return { position: HEADER_BYTES, offset: segment.base, message }
}

/** The segment as its batches have it, and in what the manifest says otherwise; when they were appended it alone knows. */
function truthOf(segment: Segment, scan: BatchScan): Pick<SegmentFindings, "truth" | "lies"> {
  const truth = segmentOf(segment, scan, scan.endOffset)
  const names = (Object.keys(segment) as Array<keyof Segment>).filter((name) => truth[name] !== segment[name])
  if (names.length === 0) return { truth: undefined, lies: [] }
  return { truth, lies: names.map((name) => `${name} is ${segment[name]} there, and ${truth[name]} by its batches`) }
}

async function faultOfIndex(
  files: FilesShape,
  pathname: string,
  segment: Segment,
  pace: ExamineParts["pace"]
): Promise<string | undefined> {
  if (segment.indexEntries === 0) return undefined
  try {
    const file = files.openUnsafe(pathname, "read")
    try {
      const bytes = await readAt(file, 0, segment.indexEntries * INDEX_ENTRY_BYTES)
      await pace(bytes.length)
      return indexFrom(bytes, segment) === undefined ? "the index does not fit its segment" : undefined
    } finally {
      file.close()
    }
  } catch (error) {
    if (!isDamage(error)) throw error
    return error.reason
  }
}

async function readAt(file: OpenFile, position: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  return bytes.subarray(0, await file.read(bytes, 0, size, position))
}

/** What verify tells of it. */
export function damageOf(found: SegmentFindings, manifest: string): ReadonlyArray<Damage> {
  const { segment, pathname, indexPathname, unreadable, broken, header, footer, index, lies } = found
  const damage: Array<Damage> = []
  if (unreadable !== undefined) damage.push({ pathname, message: unreadable, remedy: BATCH_REMEDY })
  if (header !== undefined) damage.push({ pathname, position: 0, message: header, remedy: DERIVED_REMEDY })
  if (broken !== undefined) {
    damage.push({ pathname, position: broken.position, message: broken.message, remedy: BATCH_REMEDY })
  }
  if (footer !== undefined) damage.push({ pathname, position: segment.bytes, message: footer, remedy: DERIVED_REMEDY })
  if (index !== undefined) damage.push({ pathname: indexPathname, position: 0, message: index, remedy: INDEX_REMEDY })
  for (const lie of lies) {
    damage.push({
      pathname: manifest,
      message: `of ${pathname} it does not tell the truth: ${lie}`,
      remedy: DERIVED_REMEDY
    })
  }
  return damage
}
