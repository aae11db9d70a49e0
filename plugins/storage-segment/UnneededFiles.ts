/**
 * Files that nothing needs any more: removed when the loop has turned, and not while somebody copies what was there.
 *
 * Invariant: what could not be removed takes space, and harms nobody.
 */
import { Effect } from "effect"
import type { ClockShape, FileError, LogShape } from "../../core/mod.ts"
import type { Catalogue } from "./Catalogue.ts"
import type { Segment } from "./Segment.ts"
import type { SegmentFiles } from "./SegmentFiles.ts"
import { indexName, logName, type SegmentName, segmentOfName } from "./segment-format.ts"

export interface UnneededFilesParts {
  readonly files: SegmentFiles
  readonly catalogue: Catalogue
  readonly clock: ClockShape
  readonly log: LogShape
}

export interface UnneededSegment {
  readonly id: number
  readonly segment: SegmentName
}

export class UnneededFiles {
  readonly #parts: UnneededFilesParts
  /** Settled when nobody copies what is there. */
  #held: Promise<void> = Promise.resolve()
  /** What is removed when the loop turns. */
  #removing: Promise<void> = Promise.resolve()

  constructor(parts: UnneededFilesParts) {
    this.#parts = parts
  }

  /** Until what this returns is called nothing that is there now is removed or written over. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    const before = this.#held
    this.#held = Promise.all([before, promise]).then(() => {})
    return resolve
  }

  /** Settled when nobody holds what was there when this was called. */
  whenFree(): Promise<void> {
    return this.#held
  }

  /** Settled when all that was to be removed is gone, or could not be. */
  whenIdle(): Promise<void> {
    return this.#removing
  }

  /** Removes the files of segments, and the directories of partitions, once those who read them have been told. */
  remove(segments: ReadonlyArray<UnneededSegment>, partitions: ReadonlyArray<number>): void {
    if (segments.length + partitions.length === 0) return
    // Only when the partitions know where they start now.
    const told = new Promise<void>((resolve) => this.#parts.clock.immediate(resolve))
    this.#removing = Promise.all([this.#removing, this.#held, told]).then(() => this.#remove(segments, partitions))
  }

  /**
   * Removes what a crash left behind: segments that a compaction was writing, and those that begin before the end of the last one that the
   * manifest names and are none of these. What begins behind may be about to be named. Rejects with `FileError`.
   */
  async removeLeavings(id: number): Promise<void> {
    await this.#held
    await this.#removing
    const { files, catalogue } = this.#parts
    const listed = await Effect.runPromise(Effect.result(files.files.list(files.directoryOf(id))))
    if (listed._tag === "Failure") {
      if (listed.failure.code === "not-found") return
      throw listed.failure
    }
    const segments = catalogue.get(id)?.segments ?? []
    const named = new Set(segments.flatMap((segment) => [logName(segment), indexName(segment)]))
    const end = segments.at(-1)?.end ?? 0
    for (const name of listed.success) {
      const found = segmentOfName(name)
      if (found === undefined || named.has(name)) continue
      if (found.generation === undefined && found.base >= end) continue
      await this.#tolerated(files.files.remove(files.pathOf(id, name)))
    }
  }

  async #remove(segments: ReadonlyArray<UnneededSegment>, partitions: ReadonlyArray<number>): Promise<void> {
    const { files, catalogue } = this.#parts
    for (const { id, segment } of segments) {
      // Another one may have begun at the same offset since.
      if (catalogue.get(id)?.segments.some((each) => isSame(each, segment)) === true) continue
      await this.removeSegment(id, segment)
    }
    for (const id of partitions) {
      const directory = files.directoryOf(id)
      files.dropWithin(directory)
      await this.#tolerated(files.files.removeDirectory(directory))
    }
  }

  /** Removes the files of one segment now. */
  async removeSegment(id: number, segment: SegmentName): Promise<void> {
    const { files } = this.#parts
    for (const name of [logName(segment), indexName(segment)]) {
      const pathname = files.pathOf(id, name)
      files.drop(pathname)
      await this.#tolerated(files.files.remove(pathname))
    }
  }

  async #tolerated(removal: Effect.Effect<void, FileError>): Promise<void> {
    const failure = await Effect.runPromise(Effect.result(removal))
    if (failure._tag === "Success") return
    const { pathname: path, reason } = failure.failure
    this.#parts.log.warn("storage-segment", "what is not needed any more could not be removed", { path, reason })
  }
}

/** Whether two go by the same files. */
export function isSame(one: SegmentName | Segment, other: SegmentName | Segment): boolean {
  return one.base === other.base && (one.generation ?? 0) === (other.generation ?? 0)
}
