/**
 * Puts checkpoints into segments: batches to the ends of files, footers to those that end, all of it synced, then one group of the manifest
 * that says so. Off the loop.
 *
 * Invariants
 *  - Files that the manifest names are written behind what it says of them only; a log is cut there first.
 *  - What is not needed any more is removed when the manifest has said so, and who read it meanwhile was told.
 *  - After a failure everything is as before, and files that were written are opened anew and cut before they are written again.
 */
import { Effect } from "effect"
import {
  type Checkpoint,
  type CheckpointTarget,
  type ClockShape,
  FileError,
  isBatch,
  type LogShape,
  type PartitionFigures,
  type PartitionTarget,
  type RetentionTally,
  readPartitionOperation,
  type TrimTask
} from "../../core/mod.ts"
import type { Catalogue } from "./Catalogue.ts"
import {
  boundsOf,
  chooseOldest,
  PlannedPartition,
  planSeal,
  planWrites,
  positionWithin,
  type SegmentBounds,
  type SegmentWrite
} from "./CheckpointPlan.ts"
import type { ColdReads } from "./ColdReads.ts"
import type { Indexes } from "./Indexes.ts"
import type { Manifest, ManifestState } from "./Manifest.ts"
import type { Positions } from "./Positions.ts"
import { type Segment, type StoredPartition, storedBytes } from "./Segment.ts"
import { faultOf, type SegmentFault } from "./SegmentFault.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import { encodeHeader, HEADER_BYTES, indexName, logName } from "./segment-format.ts"
import { shortened } from "./shortened.ts"
import type { UnneededFiles, UnneededSegment } from "./UnneededFiles.ts"
import { writeIndex, writeLog } from "./write-segment.ts"

/** Partitions that are written at a time. */
const PARALLEL = 8

export interface SegmentWriterParts {
  readonly files: SegmentFiles
  readonly manifest: Manifest
  readonly catalogue: Catalogue
  readonly unneeded: UnneededFiles
  readonly indexes: Indexes
  readonly reads: ColdReads
  readonly positions: Positions
  readonly clock: ClockShape
  readonly log: LogShape
  readonly retention: RetentionTally
  readonly bounds: SegmentBounds
  /** As the manifest has it. */
  readonly state: ManifestState
  readonly pathOf: (id: number, segment: Segment) => string
  /** Is told of what is damaged. */
  readonly damaged: (fault: SegmentFault) => void
}

/** A partition with what is to be written of it. */
interface Prepared {
  readonly planned: PlannedPartition
  readonly writes: ReadonlyArray<SegmentWrite>
  readonly after: StoredPartition
  /** Set where segments that a compaction has written take the place of others. */
  readonly replaced?: Replaced
}

/** Offsets from one on and below another whose segments are replaced. */
export interface Replaced {
  readonly from: number
  readonly below: number
}

export class SegmentWriter implements CheckpointTarget {
  /** What the manifest says beside partitions. */
  state: ManifestState
  readonly residentBytes = 0
  readonly isDirty = false
  /** Bytes of batches that were written; segments that were ended, and that went; since the start. */
  writtenBytes = 0
  sealed = 0
  removed = 0
  readonly #parts: SegmentWriterParts
  #nextId: number
  /** Directories that this process has made, or found. */
  readonly #directories = new Set<number>()
  /** Segments whose files cannot be written, `id/base`: what comes goes to a new one. */
  readonly #broken = new Set<string>()

  constructor(parts: SegmentWriterParts) {
    this.#parts = parts
    this.#nextId = parts.state.nextId
    this.state = parts.state
  }

  replayed(): void {}

  freeze(): void {}

  async put(checkpoint: Checkpoint): Promise<ReadonlyArray<PartitionFigures>> {
    const { operations, trims, deletions, isClean, epochBase, epochLast, epochLimit, applied } = checkpoint
    const epochs = { epochBase, epochLast, epochLimit }
    // Segments without a manifest are those of a store that has lost it. Of entries before the first operation none was this store's.
    const [first] = operations
    if (!this.#parts.manifest.isThere && first !== undefined) {
      await this.#say([], [], { applied: first.index - 1, isClean: false, ...epochs })
    }
    const planned = await this.#cut(checkpoint, this.#plan(operations))
    const trimOf = new Map(trims.map((trim) => [trim.id, trim]))
    for (const { id } of trims) this.#planned(planned, id)
    const { oldest } = this.#parts.catalogue
    for (const deletion of deletions) chooseOldest(oldest, deletion, (id) => this.#planned(planned, id))
    const prepared: Array<Prepared> = []
    const gone: Array<number> = []
    for (const partition of planned.values()) {
      if (partition.isRemoved) gone.push(partition.id)
      else {
        const found = this.#prepare(partition, trimOf.get(partition.id))
        if (found !== undefined) prepared.push(found)
      }
    }
    await this.#write(prepared)
    await this.#say(prepared, gone, { applied, isClean, ...epochs })
    return prepared.map(({ after }) => ({ id: after.id, logStart: after.logStart, bytes: storedBytes(after) }))
  }

  /** Settled when all that was to be removed is gone, or could not be. */
  whenIdle(): Promise<void> {
    return this.#parts.unneeded.whenIdle()
  }

  /**
   * Puts a partition as it is now in the place of what it was; nothing of the journal is put away. While no checkpoint is under way. Rejects
   * with `FileError`.
   */
  async replace(before: StoredPartition, after: StoredPartition, replaced: Replaced): Promise<void> {
    const { id, key } = after
    await this.#say([{ planned: new PlannedPartition(id, key, before), writes: [], after, replaced }], [], this.state)
  }

  /** Has the manifest say what it says. Under the same terms. */
  restate(): Promise<void> {
    return this.#say([], [], this.state)
  }

  /** Ends the last segment of a partition where it is. Under the same terms. */
  async seal(before: StoredPartition): Promise<void> {
    const { id, key, segments } = before
    const last = segments.at(-1)
    if (last === undefined || last.isSealed || this.#broken.has(`${id}/${last.base}`)) return
    const write = planSeal(last)
    const after = { ...before, segments: [...segments.slice(0, -1), write.after] }
    const prepared = [{ planned: new PlannedPartition(id, key, before), writes: [write], after }]
    await this.#write(prepared)
    await this.#say(prepared, [], this.state)
  }

  /** What the operations make of the partitions that they touch. */
  #plan(operations: Checkpoint["operations"]): Map<number, PlannedPartition> {
    const { catalogue } = this.#parts
    const planned = new Map<number, PlannedPartition>()
    const target: PartitionTarget = {
      partitionMade: (id, tenant, topicId, partition) => {
        const key = { tenant, topicId, partition }
        // A removal may have been lost with a failed write; what followed it was not.
        const former = catalogue.ofKey(key)
        if (former !== undefined && former.id !== id) {
          const gone = this.#planned(planned, former.id)
          if (gone !== undefined) gone.isRemoved = true
        }
        planned.set(id, new PlannedPartition(id, key, catalogue.get(id)))
        this.#nextId = Math.max(this.#nextId, id + 1)
      },
      batchAppended: () => {},
      logCut: (id, end, leaderEpoch) => this.#planned(planned, id)?.cut(end, leaderEpoch),
      logBegun: (id, start, leaderEpoch) => this.#planned(planned, id)?.begin(start, leaderEpoch),
      logDeleted: (id, start) => this.#planned(planned, id)?.delete(start),
      partitionRemoved: (id) => {
        const partition = this.#planned(planned, id)
        if (partition !== undefined) partition.isRemoved = true
      }
    }
    for (const operation of operations) {
      if (isBatch(operation)) {
        const { partition, bytes, appendedAtMs } = operation
        this.#planned(planned, partition.id)?.append(bytes, appendedAtMs)
      } else readPartitionOperation(operation.body, 0, operation.body.length, target)
    }
    return planned
  }

  /** The plan of a partition that is there; undefined where it is gone. */
  #planned(planned: Map<number, PlannedPartition>, id: number): PlannedPartition | undefined {
    const known = planned.get(id)
    if (known !== undefined) return known
    const stored = this.#parts.catalogue.get(id)
    if (stored === undefined) return undefined
    const fresh = new PlannedPartition(id, stored.key, stored)
    planned.set(id, fresh)
    return fresh
  }

  /**
   * Cuts logs in the manifest, before anything is written over what was cut off: a crash, and who reads meanwhile, finds what the manifest
   * names as it is named. Operations that are done again change nothing, so the entries that it speaks of are those of before. Returns what
   * is left to be done.
   */
  async #cut(checkpoint: Checkpoint, planned: Map<number, PlannedPartition>): Promise<Map<number, PlannedPartition>> {
    const prepared: Array<Prepared> = []
    for (const partition of planned.values()) {
      const { before, keptEnd, leaderEpoch, isRemoved, isCut } = partition
      if (before === undefined || isRemoved || !isCut) continue
      const after = { ...(await shortened(this.#parts, before, keptEnd)), leaderEpoch }
      prepared.push({ planned: partition, writes: [], after })
    }
    if (prepared.length === 0) return planned
    await this.#parts.unneeded.whenFree()
    const { epochBase, epochLast, epochLimit, operations } = checkpoint
    await this.#say(prepared, [], { applied: this.state.applied, isClean: false, epochBase, epochLast, epochLimit })
    // Names that go may be needed anew.
    await this.#parts.unneeded.whenIdle()
    return this.#plan(operations)
  }

  /** Adds to the manifest what became of partitions; all else follows. */
  async #say(
    prepared: ReadonlyArray<Prepared>,
    gone: ReadonlyArray<number>,
    about: Omit<ManifestState, "nextId">
  ): Promise<void> {
    const { catalogue, manifest } = this.#parts
    const state: ManifestState = { ...about, nextId: this.#nextId }
    const changed = prepared.map(({ planned: { before }, after, replaced }) => {
      return { before, after, ...(replaced === undefined ? {} : { replaced }) }
    })
    await manifest.add({ changed, removed: gone, state }, () => {
      const partitions = new Map(catalogue.all)
      for (const id of gone) partitions.delete(id)
      for (const { after } of prepared) partitions.set(after.id, after)
      return { partitions, state }
    })
    this.state = state
    this.#settle(prepared, gone)
  }

  /** What is to be written of a partition; undefined where nothing of it changes. */
  #prepare(planned: PlannedPartition, trim: TrimTask | undefined): Prepared | undefined {
    const { bounds, clock } = this.#parts
    const whole = planned.before?.segments ?? []
    const last = whole.at(-1)
    const isOpen = last !== undefined && !last.isSealed && !this.#broken.has(`${planned.id}/${last.base}`)
    const writes = planWrites(planned.added, isOpen ? last : undefined, boundsOf(bounds, trim, clock.nowMs()))
    const rewritten = new Set(writes.map(({ before }) => before))
    const segments = [...whole.filter((segment) => !rewritten.has(segment)), ...writes.map(({ after }) => after)]
    if (trim !== undefined) planned.trim(segments, trim)
    planned.deleteUnwanted(segments)
    const { id, key, before, logStart, logEnd, leaderEpoch } = planned
    const left = segments.filter(({ end }) => end > logStart)
    const isSame = before !== undefined && left.length === before.segments.length && writes.length === 0
    if (isSame && before.logStart === logStart && before.logEnd === logEnd && before.leaderEpoch === leaderEpoch) {
      return undefined
    }
    const [first] = left
    const kept = writes.filter(({ after }) => left.includes(after))
    const startPosition = first === undefined ? HEADER_BYTES : this.#startPosition(planned, first, kept)
    const facts = { id, key, logStart, logEnd, leaderEpoch, startPosition, segments: left }
    return { planned, writes: kept, after: withCleanedTo(facts, planned) }
  }

  /** Where in its first segment the log's start lies; where it lay before, or the beginning, where that segment is damaged. */
  #startPosition(
    { id, before, logStart }: PlannedPartition,
    first: Segment,
    writes: ReadonlyArray<SegmentWrite>
  ): number {
    if (logStart <= first.base) return HEADER_BYTES
    const write = writes.find(({ after }) => after === first)
    const stored = write === undefined ? first : write.before
    if (stored === undefined || logStart >= stored.end) return positionWithin(write, logStart)
    const { positions, damaged, pathOf } = this.#parts
    try {
      return positions.endingBehind(id, stored, logStart).position
    } catch (error) {
      const fault = faultOf(error, pathOf(id, stored))
      if (fault === undefined) throw error
      damaged(fault)
      return before !== undefined && before.segments[0]?.base === first.base ? before.startPosition : HEADER_BYTES
    }
  }

  /** Writes and syncs what is to be written, some partitions at a time. Rejects with the first failure, when nothing is under way. */
  async #write(prepared: ReadonlyArray<Prepared>): Promise<void> {
    const waiting = prepared.filter(({ writes }) => writes.length > 0)
    const failures: Array<unknown> = []
    let at = 0
    let isNew = false
    const worker = async (): Promise<void> => {
      for (let next = waiting[at++]; next !== undefined && failures.length === 0; next = waiting[at++]) {
        try {
          if (await this.#writePartition(next)) isNew = true
        } catch (error) {
          failures.push(error)
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(PARALLEL, waiting.length) }, worker))
    if (failures.length > 0) throw failures[0]
    if (isNew) await Effect.runPromise(this.#parts.files.files.syncDirectory(this.#parts.files.directory))
  }

  /** Tells whether the partition's directory was made. */
  async #writePartition({ planned: { id, key }, writes }: Prepared): Promise<boolean> {
    const { files } = this.#parts
    const directory = files.directoryOf(id)
    const isNew = !this.#directories.has(id)
    if (isNew) await Effect.runPromise(files.files.makeDirectory(directory))
    for (const write of writes) {
      const { base } = write.after
      const log = files.pathOf(id, logName(write.after))
      const index = files.pathOf(id, indexName(write.after))
      try {
        const mode = write.position === HEADER_BYTES ? "create" : "write"
        await files.use(log, mode, (file) => writeLog(file, write, encodeHeader(id, key, base)))
        if (write.entries.length > 0 || write.before === undefined) {
          await files.use(index, "create", (file) => writeIndex(file, write))
        }
      } catch (error) {
        files.drop(log)
        files.drop(index)
        this.#failed(id, write, error)
        throw error
      }
    }
    if (writes.some(({ before }) => before === undefined)) await Effect.runPromise(files.files.syncDirectory(directory))
    this.#directories.add(id)
    return isNew
  }

  /** What the next attempt does otherwise; where the whole disk or process is short of something it does the same again. */
  #failed(id: number, { before }: SegmentWrite, error: unknown): void {
    if (!(error instanceof FileError) || error.code === "disk-full" || error.code === "too-many-open") return
    if (before !== undefined) this.#broken.add(`${id}/${before.base}`)
    // Somebody may have removed it.
    this.#directories.delete(id)
  }

  /** The manifest has it: the catalogue, the indexes and the windows follow, files go. */
  #settle(prepared: ReadonlyArray<Prepared>, gone: ReadonlyArray<number>): void {
    const { catalogue, indexes, reads } = this.#parts
    const unwanted: Array<UnneededSegment> = []
    for (const { planned, writes, after, replaced } of prepared) {
      const kept = new Map(after.segments.map((segment) => [logName(segment), segment]))
      for (const write of writes) {
        this.writtenBytes += write.after.bytes - write.position
        if (write.after.isSealed) this.sealed += 1
        if (write.before !== undefined) indexes.grown(write.before, write.after, write.runs)
      }
      for (const segment of planned.before?.segments ?? []) {
        const now = kept.get(logName(segment))
        if (now === segment) continue
        indexes.forget(segment)
        // It grew, and what was read of it holds; else something of it is gone.
        if (now !== undefined && writes.some(({ before }) => before === segment)) continue
        reads.forget(after.id, segment)
        if (now === undefined) unwanted.push({ id: after.id, segment })
      }
      if (planned.isCut || replaced !== undefined) catalogue.setCut(after)
      else catalogue.set(after)
    }
    for (const id of gone) {
      for (const segment of catalogue.get(id)?.segments ?? []) {
        indexes.forget(segment)
        reads.forget(id, segment)
        this.removed += 1
      }
      catalogue.remove(id)
      this.#directories.delete(id)
    }
    this.removed += unwanted.length
    this.#parts.retention.add(prepared.flatMap(({ planned }) => planned.deleted))
    this.#parts.unneeded.remove(unwanted, gone)
  }
}

/** A log that was cut, or begun anew, is compacted no further than to its end. */
function withCleanedTo(after: StoredPartition, { before, keptEnd }: PlannedPartition): StoredPartition {
  const cleanedTo = Math.min(before?.cleanedTo ?? 0, keptEnd)
  return cleanedTo === 0 ? after : { ...after, cleanedTo }
}
