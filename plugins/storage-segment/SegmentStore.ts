/**
 * The segments of a store with all that works on them: the manifest, the partitions, the checkpoints, reads.
 *
 * The journal is the promise, segments are derived from it: what is here may be behind, and is brought up by replaying.
 */
import { join } from "node:path"
import {
  Checkpoints,
  type ClockShape,
  Epochs,
  FileError,
  type FilesShape,
  HotBatches,
  JournaledPartitions,
  type JournalShape,
  KIND_SEGMENT,
  type LogShape,
  RetentionTally,
  StorageError,
  Unusable
} from "../../core/mod.ts"
import { Catalogue } from "./Catalogue.ts"
import { ColdReads } from "./ColdReads.ts"
import { Indexes } from "./Indexes.ts"
import { IndexRewrites } from "./IndexRewrites.ts"
import { Manifest, type ManifestContent } from "./Manifest.ts"
import { Positions } from "./Positions.ts"
import type { Segment } from "./Segment.ts"
import { SegmentAccount } from "./SegmentAccount.ts"
import { SegmentCompaction } from "./SegmentCompaction.ts"
import { SegmentFault } from "./SegmentFault.ts"
import { SegmentFiles } from "./SegmentFiles.ts"
import { SegmentShelf } from "./SegmentShelf.ts"
import { SegmentWriter } from "./SegmentWriter.ts"
import type { Settings } from "./Settings.ts"
import { logName } from "./segment-format.ts"
import { LOST_MANIFEST_REMEDY, whyNotNew } from "./store-mark.ts"
import { UnneededFiles } from "./UnneededFiles.ts"

/** The name of the segments' directory in the store's. */
export const DIRECTORY_NAME = "segments"
export const ENGINE = "segment"
const AREA = "storage-segment"
/** Damaged places that are told one by one; further ones are counted. */
const DAMAGE_TOLD_MAX = 1_000

export interface SegmentStoreParts {
  /** The store's: exists and is writable. */
  readonly directory: string
  readonly journal: JournalShape
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  readonly settings: Settings
  /** The name of a topic by its id, for the log. */
  readonly topicName?: (id: string) => string | undefined
}

export class SegmentStore {
  readonly files: SegmentFiles
  readonly manifest: Manifest
  readonly catalogue: Catalogue
  readonly indexes: Indexes
  readonly reads: ColdReads
  readonly unneeded: UnneededFiles
  readonly writer: SegmentWriter
  readonly partitions: JournaledPartitions
  readonly checkpoints: Checkpoints
  readonly hot: HotBatches
  readonly retention: RetentionTally
  readonly account: SegmentAccount
  readonly compaction: SegmentCompaction
  /** Times that something damaged was met. */
  damages = 0
  readonly #log: LogShape
  readonly #told = new Set<string>()
  #closed: Promise<void> | undefined

  /** Opens the segments of a store. Writes nothing. Rejects with `StorageError`, one line for a person. */
  static async open(parts: SegmentStoreParts): Promise<SegmentStore> {
    const directory = join(parts.directory, DIRECTORY_NAME)
    try {
      const opened = await Manifest.open(parts.files, directory)
      const why = opened.manifest.isThere ? undefined : await whyNotNew(parts.files, directory)
      if (why !== undefined) throw unusable(`${opened.manifest.pathname}: ${why}: ${LOST_MANIFEST_REMEDY}`)
      return new SegmentStore(parts, directory, opened)
    } catch (error) {
      if (error instanceof SegmentFault) throw unusable(`${error.message}: ${LOST_MANIFEST_REMEDY}`)
      throw error instanceof FileError ? unusable(error.message) : error
    }
  }

  private constructor(
    { journal, files, clock, log, settings, topicName = () => undefined }: SegmentStoreParts,
    directory: string,
    { manifest, content }: Awaited<ReturnType<typeof Manifest.open>>
  ) {
    const { partitions, state } = content
    this.#log = log
    const epochs = new Epochs(state)
    this.manifest = manifest
    this.catalogue = new Catalogue(partitions)
    this.files = new SegmentFiles(files, directory, settings.open_files_max)
    const isNamed = (id: number, segment: Segment): boolean => this.catalogue.names(id, segment)
    this.indexes = new Indexes(this.files, new IndexRewrites(this.files, log, isNamed), settings.index_bytes_max)
    this.reads = new ColdReads(this.files, isNamed, settings.cold_bytes_max)
    this.hot = new HotBatches(settings.hot_bytes_max)
    this.retention = new RetentionTally({ engine: ENGINE, log, topicName })
    const positions = new Positions(this.files, this.indexes)
    this.unneeded = new UnneededFiles({ files: this.files, catalogue: this.catalogue, clock, log })
    const shared = {
      catalogue: this.catalogue,
      indexes: this.indexes,
      reads: this.reads,
      unneeded: this.unneeded,
      positions,
      pathOf: (id: number, segment: Segment) => this.files.pathOf(id, logName(segment)),
      damaged: (fault: SegmentFault) => this.#damaged(fault)
    }
    this.writer = new SegmentWriter({
      ...shared,
      files: this.files,
      manifest,
      clock,
      log,
      retention: this.retention,
      bounds: {
        bytes: settings.segment_bytes,
        ageMs: settings.segment_age * 1_000,
        records: Number.POSITIVE_INFINITY
      },
      state
    })
    const shelf = new SegmentShelf(shared)
    this.partitions = new JournaledPartitions({
      engine: ENGINE,
      kind: KIND_SEGMENT,
      journal,
      shelf,
      epochs,
      hot: this.hot,
      nextPartition: state.nextId,
      residentBytesMax: settings.resident_bytes_max,
      clock,
      full: () => this.checkpoints.checkpoint()
    })
    this.checkpoints = new Checkpoints({
      name: AREA,
      engine: ENGINE,
      kind: KIND_SEGMENT,
      otherKinds: [],
      journal,
      target: this.writer,
      partitions: this.partitions,
      epochs,
      clock,
      log,
      applied: state.applied,
      isFresh: !manifest.isThere,
      intervalMs: settings.checkpoint_interval_ms,
      bytes: settings.checkpoint_bytes
    })
    const { writer, partitions: fed, checkpoints } = this
    const segmentBytes = settings.segment_bytes
    this.compaction = new SegmentCompaction({
      ...{ ...shared, files: this.files, shelf, manifest, writer, partitions: fed, checkpoints, clock, segmentBytes }
    })
    this.account = new SegmentAccount(this.catalogue, manifest, this.checkpoints)
    this.checkpoints.start()
  }

  /** What the manifest says now; its files stay as they are until `release`. Rejects with `StorageError`. */
  hold(): Promise<{ readonly content: ManifestContent; readonly release: () => void }> {
    return this.checkpoints.between(async () => {
      const content = { partitions: new Map(this.catalogue.all), state: this.writer.state }
      return { content, release: this.unneeded.hold() }
    })
  }

  /** Puts away what is committed, marks the store as closed in good order, and gives the files back. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Gives the files back as they are: what a killed process leaves. */
  abandon(): void {
    this.checkpoints.abandon()
    this.manifest.close()
    this.files.close()
  }

  async #close(): Promise<void> {
    await this.checkpoints.stop()
    await this.unneeded.whenIdle()
    await this.indexes.rewrites.whenIdle()
    this.manifest.close()
    this.files.close()
  }

  #damaged({ pathname: path, position: byte, reason }: SegmentFault): void {
    this.damages += 1
    const place = `${path}:${byte}`
    if (this.#told.has(place) || this.#told.size >= DAMAGE_TOLD_MAX) return
    this.#told.add(place)
    this.#log.error(AREA, "a segment is damaged here; what it holds there is not served", { path, byte, reason })
  }
}

function unusable(message: string): StorageError {
  return new StorageError({ engine: ENGINE, reason: new Unusable({ message }) })
}
