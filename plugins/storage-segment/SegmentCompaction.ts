/**
 * Compaction of partitions in segments: sealed segments that lie behind one another are replaced by one that holds what is left of them.
 *
 * Invariants
 *  - The new segment is synced, with its name, before the manifest names it; the group of the manifest that does so takes the old ones out.
 *    So a crash finds the one or the other.
 *  - Nothing is replaced that has changed since it was read: a log that was cut, or of which retention took something, stays as it is.
 *  - Old files stay until those who read them have been told; who finds one gone reads what has taken its place.
 */
import { Effect } from "effect"
import {
  type Checkpoints,
  type ClockShape,
  type CompactionStore,
  type CompactionSurvey,
  DiskFull,
  FileError,
  type JournaledPartitions,
  type PartitionKey,
  type Replacement,
  type SegmentLimits,
  StorageError,
  Unusable
} from "../../core/mod.ts"
import type { Catalogue } from "./Catalogue.ts"
import { CompactedSegment } from "./CompactedSegment.ts"
import type { Manifest } from "./Manifest.ts"
import type { Positions } from "./Positions.ts"
import { findSegment, type Segment, type StoredPartition, storedBytes } from "./Segment.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import type { SegmentShelf } from "./SegmentShelf.ts"
import type { SegmentWriter } from "./SegmentWriter.ts"
import { HEADER_BYTES } from "./segment-format.ts"
import type { UnneededFiles } from "./UnneededFiles.ts"

/** Offsets that one segment may have: an index counts them from its base, in 32 bits. */
const OFFSETS_MAX = 0x7fff_ffff

export interface SegmentCompactionParts {
  readonly catalogue: Catalogue
  readonly files: SegmentFiles
  readonly shelf: SegmentShelf
  readonly positions: Positions
  readonly writer: SegmentWriter
  readonly unneeded: UnneededFiles
  readonly manifest: Pick<Manifest, "isSuspect">
  readonly partitions: JournaledPartitions
  readonly checkpoints: Checkpoints
  readonly clock: Pick<ClockShape, "nowMs">
  /** Bytes of segments that become one, at most. */
  readonly segmentBytes: number
}

export class SegmentCompaction implements CompactionStore {
  readonly #parts: SegmentCompactionParts
  /** Partitions whose directories were looked through for what a crash left. */
  readonly #swept = new Set<number>()

  constructor(parts: SegmentCompactionParts) {
    this.#parts = parts
  }

  survey(key: PartitionKey, limits: SegmentLimits): Promise<CompactionSurvey | undefined> {
    return told(async () => {
      const found = this.#parts.catalogue.ofKey(key)
      if (found !== undefined && this.#isDue(found.segments.at(-1), limits)) await this.#seal(found.id, limits)
      const partition = this.#parts.catalogue.ofKey(key)
      if (partition === undefined || partition.segments.length === 0) return undefined
      const { logStart, segments } = partition
      const activeFrom = segments.findLast(({ isSealed }) => isSealed)?.end ?? logStart
      const cleanedTo = Math.min(Math.max(partition.cleanedTo ?? 0, logStart), Math.max(activeFrom, logStart))
      const bounds = { nextAfter: logStart, nextUpTo: Number.MAX_SAFE_INTEGER }
      const { shelf } = this.#parts
      const cleanBytes = shelf.sumUnsafe(partition.id, { ...bounds, baseFrom: 0, baseBelow: cleanedTo })
      const dirtyBytes = shelf.sumUnsafe(partition.id, { ...bounds, baseFrom: cleanedTo, baseBelow: activeFrom })
      return { logStart, cleanedTo, activeFrom: Math.max(activeFrom, logStart), cleanBytes, dirtyBytes }
    })
  }

  async read(key: PartitionKey, offset: number, end: number, bytesMax: number): Promise<Uint8Array> {
    const partition = this.#parts.catalogue.ofKey(key)
    return partition === undefined ? new Uint8Array(0) : this.#parts.shelf.read(partition.id, offset, end, bytesMax)
  }

  replace(key: PartitionKey, from: number): Promise<Replacement | undefined> {
    return told(async () => {
      const { catalogue, unneeded, manifest, checkpoints, writer } = this.#parts
      const id = catalogue.ofKey(key)?.id
      if (id === undefined) return undefined
      // Until it is written anew it may name on the disk what it does not name here.
      if (manifest.isSuspect) await checkpoints.between(() => writer.restate())
      if (!this.#swept.has(id)) {
        await unneeded.removeLeavings(id)
        this.#swept.add(id)
      }
      const partition = catalogue.get(id)
      const group = partition === undefined ? [] : this.#group(partition, from)
      return partition === undefined || group.length === 0 ? undefined : this.#replacement(partition, group)
    })
  }

  #isDue(last: Segment | undefined, { ageMsMax, sizeBytesMax }: SegmentLimits): boolean {
    if (last === undefined || last.isSealed) return false
    const isOld = ageMsMax !== undefined && this.#parts.clock.nowMs() - last.firstAppendedMs >= ageMsMax
    return isOld || (sizeBytesMax !== undefined && last.bytes - HEADER_BYTES >= sizeBytesMax)
  }

  #seal(id: number, limits: SegmentLimits): Promise<void> {
    const { checkpoints, catalogue, writer } = this.#parts
    return checkpoints.between(async () => {
      const partition = catalogue.get(id)
      if (partition !== undefined && this.#isDue(partition.segments.at(-1), limits)) await writer.seal(partition)
    })
  }

  /** Segments from the one on that ends behind `from`, as many as may become one. */
  #group({ segments }: StoredPartition, from: number): ReadonlyArray<Segment> {
    const group: Array<Segment> = []
    let bytes = 0
    for (const segment of segments.slice(findSegment(segments, from))) {
      bytes += segment.bytes - HEADER_BYTES
      const base = group[0]?.base ?? segment.base
      if (!segment.isSealed || segment.end - base > OFFSETS_MAX) break
      if (group.length > 0 && bytes > this.#parts.segmentBytes) break
      group.push(segment)
    }
    return group
  }

  #replacement({ id, key, segments }: StoredPartition, group: ReadonlyArray<Segment>): Replacement {
    const { files, unneeded } = this.#parts
    const written = new CompactedSegment(files, {
      id,
      key,
      // Above all there are: one of these may wait to be removed, and has the name that the next one would have.
      generation: 1 + Math.max(...segments.map(({ generation = 0 }) => generation)),
      firstAppendedMs: Math.min(...group.map(({ firstAppendedMs }) => firstAppendedMs)),
      lastAppendedMs: Math.max(...group.map(({ lastAppendedMs }) => lastAppendedMs))
    })
    let isChanged = group.length > 1
    let batches = 0
    let isSwapping = false
    const abort = async (): Promise<void> => {
      // The manifest may name it on the disk, where only its sync has failed.
      if (isSwapping) this.#swept.delete(id)
      else if (written.name !== undefined) await unneeded.removeSegment(id, written.name)
    }
    return {
      end: group.at(-1)?.end ?? 0,
      add: (batch, isOther) => {
        isChanged ||= isOther
        batches += 1
        return told(() => written.add(batch))
      },
      commit: (cleanedTo) =>
        told(async () => {
          const stays = !isChanged && batches === group[0]?.batches
          const after = stays ? undefined : await written.finish()
          if (after !== undefined) await Effect.runPromise(files.files.syncDirectory(files.directoryOf(id)))
          isSwapping = !stays
          const isDone = await this.#swap(id, group, stays ? group : after === undefined ? [] : [after], cleanedTo)
          isSwapping = false
          if (!isDone || stays) await abort()
          return isDone ? written.writtenBytes : undefined
        }),
      abort
    }
  }

  /** Has the manifest name `after` in the place of `group`; false where that is not there any more. */
  #swap(id: number, group: ReadonlyArray<Segment>, after: ReadonlyArray<Segment>, cleanedTo: number): Promise<boolean> {
    const { catalogue, writer, partitions, checkpoints } = this.#parts
    return checkpoints.between(async () => {
      const before = catalogue.get(id)
      const [first] = group
      const last = group.at(-1)
      if (before === undefined || first === undefined || last === undefined) return false
      if (!group.every((segment) => catalogue.names(id, segment))) return false
      const { segments, logStart } = before
      const left = [
        ...segments.filter(({ base }) => base < first.base),
        ...after,
        ...segments.filter(({ base }) => base >= last.end)
      ]
      const startPosition = left[0] === segments[0] ? before.startPosition : this.#startPosition(id, left[0], logStart)
      const now: StoredPartition = { ...before, segments: left, startPosition, cleanedTo }
      await writer.replace(before, now, after === group ? { from: 0, below: 0 } : { from: first.base, below: last.end })
      partitions.compacted({ id, logStart, bytes: storedBytes(now) }, last.end)
      return true
    })
  }

  #startPosition(id: number, first: Segment | undefined, logStart: number): number {
    if (first === undefined || logStart <= first.base) return HEADER_BYTES
    return this.#parts.positions.endingBehind(id, first, logStart).position
  }
}

/** Runs work on files; what fails is told as the contract has it. */
async function told<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    const { pathname, message } = error
    const reason = error.code === "disk-full" ? new DiskFull({ pathname }) : new Unusable({ message })
    throw new StorageError({ engine: "segment", reason })
  }
}
