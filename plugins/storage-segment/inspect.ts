/**
 * Looks at a store's segments without changing them, beside a node that writes them or without one: `manifold storage verify` and `stats`.
 *
 * Source: docs/formats/segment.md.
 */
import { join } from "node:path"
import { Effect } from "effect"
import {
  type Damage,
  FileError,
  type FilesShape,
  type Inspect,
  type InspectionRequest,
  type OpenFile,
  type PartReport,
  PluginError,
  recordBatch
} from "../../core/mod.ts"
import { BatchScan } from "./BatchScan.ts"
import { MANIFEST_NAME, Manifest, type ManifestContent } from "./Manifest.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import { indexFrom } from "./SegmentIndex.ts"
import { DIRECTORY_NAME } from "./SegmentStore.ts"
import {
  checkFooter,
  checkHeader,
  FOOTER_BYTES,
  HEADER_BYTES,
  INDEX_ENTRY_BYTES,
  indexName,
  logName
} from "./segment-format.ts"
import { LOST_MANIFEST_REMEDY, MARK_NAMES, whyNotNew } from "./store-mark.ts"

/** Bytes that are read at a time. */
const PIECE_BYTES = 1_048_576
/** Damaged places that are told one by one. */
const DAMAGE_MAX = 100
/** How often a manifest that changed meanwhile is read again. */
const ATTEMPTS = 3
const REMEDY = "restore a backup of the store"
const INDEX_REMEDY = "none is needed: it is made anew when it is read"

export const inspect: Inspect = (_options, request) =>
  Effect.gen(function* () {
    const names = yield* request.files.list(request.directory)
    const directory = join(request.directory, DIRECTORY_NAME)
    const isThere = names.includes(`${DIRECTORY_NAME}/`)
    if (isThere && (yield* request.files.list(directory)).includes(MANIFEST_NAME)) {
      return [yield* Effect.promise(() => look(request, directory))]
    }
    const why = yield* Effect.tryPromise({
      try: () => whyNotNew(request.files, directory),
      catch: (error) => error as FileError
    })
    return why === undefined ? [] : [{ ...NOTHING, damage: [manifestDamage(directory, why)] }]
  }).pipe(Effect.mapError((error) => new PluginError({ plugin: "storage-segment", message: error.message })))

const NOTHING: PartReport = {
  part: "segments",
  names: [DIRECTORY_NAME, ...MARK_NAMES],
  bytes: 0,
  counts: {},
  damage: [],
  notes: []
}

function manifestDamage(directory: string, message: string, position?: number): Damage {
  const place = position === undefined ? {} : { position }
  return { pathname: join(directory, MANIFEST_NAME), ...place, message, remedy: LOST_MANIFEST_REMEDY }
}

async function look(request: InspectionRequest, directory: string): Promise<PartReport> {
  const { files } = request
  let content: ManifestContent
  try {
    content = (await Manifest.open(files, directory)).content
  } catch (error) {
    if (!(error instanceof SegmentFault || error instanceof FileError)) throw error
    const position = error instanceof SegmentFault ? error.position : undefined
    return { ...NOTHING, damage: [manifestDamage(directory, error.reason, position)] }
  }
  const damage: Array<Damage> = []
  if (request.depth === "verify") {
    for (const partition of content.partitions.values()) await verify(request, directory, partition, damage)
  }
  return { ...NOTHING, ...figures(content), damage }
}

function figures({ partitions, state }: ManifestContent): Pick<PartReport, "bytes" | "counts"> {
  const all = [...partitions.values()].flatMap(({ segments }) => segments)
  const sum = (value: (segment: Segment) => number): number => all.reduce((total, each) => total + value(each), 0)
  return {
    bytes: sum(
      ({ bytes, isSealed, indexEntries }) => bytes + (isSealed ? FOOTER_BYTES : 0) + indexEntries * INDEX_ENTRY_BYTES
    ),
    counts: {
      journal_index: state.applied,
      partitions: partitions.size,
      segments: all.length,
      sealed: all.filter(({ isSealed }) => isSealed).length,
      batches: sum(({ batches }) => batches),
      records: sum(({ records }) => records),
      batch_bytes: sum(({ bytes }) => bytes - HEADER_BYTES)
    }
  }
}

/** Reads every segment of a partition; what went or was cut meanwhile is no damage. */
async function verify(
  request: InspectionRequest,
  directory: string,
  partition: StoredPartition,
  damage: Array<Damage>
): Promise<void> {
  const own = join(directory, String(partition.id))
  for (const segment of partition.segments) {
    const found = await verifySegment(request, own, partition.id, segment)
    if (found.length === 0 || !(await isStill(request.files, directory, partition.id, segment))) continue
    damage.push(...found.slice(0, Math.max(0, DAMAGE_MAX - damage.length)))
  }
}

/** Whether the manifest names that segment, as it is, once more. */
async function isStill(files: FilesShape, directory: string, id: number, segment: Segment): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const now = await Manifest.open(files, directory).catch(() => undefined)
    const found = now?.content.partitions.get(id)?.segments.find(({ base }) => base === segment.base)
    if (now !== undefined) return found !== undefined && found.bytes >= segment.bytes
  }
  return true
}

async function verifySegment(
  { files, pace }: InspectionRequest,
  directory: string,
  id: number,
  segment: Segment
): Promise<ReadonlyArray<Damage>> {
  const pathname = join(directory, logName(segment.base))
  const damage: Array<Damage> = []
  const tell = (position: number, message: string): void =>
    void damage.push({ pathname, position, message, remedy: REMEDY })
  let file: OpenFile | undefined
  try {
    file = files.openUnsafe(pathname, "read")
    const header = new Uint8Array(HEADER_BYTES)
    const headerFault = checkHeader(header.subarray(0, await file.read(header, 0, HEADER_BYTES, 0)), id, segment.base)
    if (headerFault !== undefined) tell(0, headerFault)
    await verifyBatches(file, segment, pathname, pace)
    if (segment.isSealed) {
      const footer = new Uint8Array(FOOTER_BYTES)
      const count = await file.read(footer, 0, FOOTER_BYTES, segment.bytes)
      const fault = checkFooter(footer.subarray(0, count), segment)
      if (fault !== undefined) tell(segment.bytes, fault)
    }
  } catch (error) {
    if (error instanceof SegmentFault) tell(error.position, error.reason)
    else if (error instanceof FileError) damage.push({ pathname, message: error.reason, remedy: REMEDY })
    else throw error
  } finally {
    file?.close()
  }
  damage.push(...(await verifyIndex(files, join(directory, indexName(segment.base)), segment)))
  return damage
}

/** Compares every batch with its checksum, and all of them with what the manifest says. Throws `SegmentFault` or `FileError`. */
async function verifyBatches(
  file: OpenFile,
  segment: Segment,
  pathname: string,
  pace: InspectionRequest["pace"]
): Promise<void> {
  const scan = new BatchScan(segment, pathname)
  let bytes = new Uint8Array(PIECE_BYTES)
  while (!scan.isDone) {
    const from = scan.position
    const count = await file.read(bytes, 0, Math.min(bytes.length, segment.bytes - from), from)
    await pace(count)
    let at = 0
    for (let size = recordBatch.batchSize(bytes, at, count); size > 0; size = recordBatch.batchSize(bytes, at, count)) {
      if (recordBatch.checkBatch(bytes, at, at + size) !== 0) {
        throw new SegmentFault(pathname, from + at, "the batch does not fit its checksum")
      }
      at += size
    }
    if (at > 0) scan.take(bytes.subarray(0, at), at)
    else if (count < bytes.length || from + count >= segment.bytes) {
      throw new SegmentFault(pathname, from, "no whole batch lies here")
    } else bytes = new Uint8Array(bytes.length * 4)
  }
  const { batches, records, headersCrc } = scan.facts
  if (batches !== segment.batches || records !== segment.records || headersCrc !== segment.headersCrc) {
    throw new SegmentFault(pathname, HEADER_BYTES, "its batches are not those that the manifest counts")
  }
}

async function verifyIndex(files: FilesShape, pathname: string, segment: Segment): Promise<ReadonlyArray<Damage>> {
  if (segment.indexEntries === 0) return []
  try {
    const file = files.openUnsafe(pathname, "read")
    try {
      const bytes = new Uint8Array(segment.indexEntries * INDEX_ENTRY_BYTES)
      const count = await file.read(bytes, 0, bytes.length, 0)
      if (indexFrom(bytes.subarray(0, count), segment) !== undefined) return []
    } finally {
      file.close()
    }
    return [{ pathname, position: 0, message: "the index does not fit its segment", remedy: INDEX_REMEDY }]
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    return [{ pathname, message: error.reason, remedy: INDEX_REMEDY }]
  }
}
