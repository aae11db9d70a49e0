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
  type PartitionReport,
  type PartReport,
  PluginError
} from "../../core/mod.ts"
import { contradictions, examinePartition, gapsOf, type PartitionFindings } from "./examine-partition.ts"
import { damageOf } from "./examine-segment.ts"
import { MANIFEST_NAME, Manifest, type ManifestContent } from "./Manifest.ts"
import { findSegment, type Segment, type StoredPartition, storedBytes } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import { DIRECTORY_NAME, ENGINE } from "./SegmentStore.ts"
import { FOOTER_BYTES, HEADER_BYTES, INDEX_ENTRY_BYTES } from "./segment-format.ts"
import { LOST_MANIFEST_REMEDY, MARK_NAMES, whyNotNew } from "./store-mark.ts"
import { isSame } from "./UnneededFiles.ts"

/** Damaged places that are told one by one. */
const DAMAGE_MAX = 100
/** How often a manifest that changed meanwhile is read again. */
const ATTEMPTS = 3
const MANIFEST_REMEDY = "restore a backup of the store; manifold storage repair says what can be made right without one"

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

interface Verifying {
  readonly request: InspectionRequest
  readonly directory: string
  readonly tell: (damage: ReadonlyArray<Damage>) => void
}

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
    const pathname = join(directory, MANIFEST_NAME)
    const tell = (more: ReadonlyArray<Damage>): void =>
      void damage.push(...more.slice(0, Math.max(0, DAMAGE_MAX - damage.length)))
    tell(contradictions(content).map((message) => ({ pathname, message, remedy: MANIFEST_REMEDY })))
    for (const partition of content.partitions.values()) await verify({ request, directory, tell }, partition)
  }
  const notes = request.depth === "verify" ? [...content.partitions.values()].flatMap(gapsOf) : []
  const partitions = request.depth === "stats" ? { partitions: [...content.partitions.values()].map(reportOf) } : {}
  return { ...NOTHING, ...figures(content), damage, notes: notes.slice(0, DAMAGE_MAX), ...partitions }
}

function reportOf(partition: StoredPartition): PartitionReport {
  const { key, segments, logStart, logEnd } = partition
  const sum = (value: (segment: Segment) => number): number => segments.reduce((total, each) => total + value(each), 0)
  const [first] = segments
  return {
    engine: ENGINE,
    ...key,
    segments: segments.length,
    bytes: storedBytes(partition),
    indexBytes: sum(({ indexEntries }) => indexEntries * INDEX_ENTRY_BYTES),
    records: sum(({ records }) => records),
    logStart,
    logEnd,
    ...(first !== undefined && {
      firstTimestamp: first.firstTimestamp,
      lastTimestamp: segments.reduce((latest, { maxTimestamp }) => Math.max(latest, maxTimestamp), first.maxTimestamp)
    })
  }
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

/** Reads every segment of a partition; what went or was cut meanwhile is no damage. Of a log that was cut what is there now is read. */
async function verify({ request, directory, tell }: Verifying, wanted: StoredPartition): Promise<void> {
  const { files, pace } = request
  const manifest = join(directory, MANIFEST_NAME)
  let partition = wanted
  for (let attempt = 1; ; attempt++) {
    let found: PartitionFindings
    try {
      found = await examinePartition({ files, directory, pace }, partition)
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      tell([{ pathname: error.pathname, message: error.reason, remedy: "make it readable, and verify again" }])
      return
    }
    const damaged = found.segments.filter((segment) => damageOf(segment, manifest).length > 0)
    if (damaged.length === 0 && found.lies.length === 0) return
    const now = await partitionNow(files, directory, partition)
    if (now === undefined) return
    // Cut, or compacted.
    const isOther = now.leaderEpoch !== partition.leaderEpoch || !damaged.every(({ segment }) => isStill(now, segment))
    if (isOther && attempt < ATTEMPTS) {
      partition = now
      continue
    }
    for (const segment of damaged) if (isStill(now, segment.segment)) tell(damageOf(segment, manifest))
    if (now.logStart !== partition.logStart || now.leaderEpoch !== partition.leaderEpoch) return
    tell(found.lies.map((message) => ({ pathname: manifest, message, remedy: MANIFEST_REMEDY })))
    return
  }
}

/** The partition as the manifest has it now; undefined where it is gone. What it was where the manifest cannot be read. */
async function partitionNow(
  files: FilesShape,
  directory: string,
  partition: StoredPartition
): Promise<StoredPartition | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const now = await Manifest.open(files, directory).catch(() => undefined)
    if (now !== undefined) return now.content.partitions.get(partition.id)
  }
  return partition
}

/** Whether a partition has that segment, as it was or grown. */
function isStill({ segments }: StoredPartition, segment: Segment): boolean {
  const found = segments[findSegment(segments, segment.base)]
  return found !== undefined && isSame(found, segment) && found.bytes >= segment.bytes
}
