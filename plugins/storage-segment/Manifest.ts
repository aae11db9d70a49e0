/**
 * Which partitions and segments a store has: a file to which each checkpoint adds one group of changes, and which is written anew when most
 * of it is history. A start reads this file and no other, however many segments there are.
 *
 * Invariants
 *  - A group is there as a whole or not at all (one checksum), and is added when all that it speaks of is synced.
 *  - What a segment's file has beyond what the manifest says of it is nothing: the next checkpoint writes over it.
 */
import { dirname, join } from "node:path"
import { Effect } from "effect"
import {
  ByteReader,
  ByteWriter,
  crc32c,
  type EpochState,
  FileError,
  type FilesShape,
  type OpenFile,
  readWhole,
  replaceFile
} from "../../core/mod.ts"
import { readGroup, VERSION, VERSION_COMPACTED, writeChange } from "./manifest-records.ts"
import type { StoredPartition } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import { ensureMark } from "./store-mark.ts"

export const MANIFEST_NAME = "manifest"
/** "MFMG" */
const GROUP_MAGIC = 0x4d464d47
const GROUP_HEADER_BYTES = 16
/** A manifest is written anew when it is larger than this and than four times what it would be then. */
const REWRITE_BYTES = 1_048_576
const REWRITE_FACTOR = 4
const SIZE_MAX = 1_073_741_824

export interface ManifestState extends EpochState {
  /** Entries of the journal up to this one are in it. */
  readonly applied: number
  /** The id that the next partition gets. */
  readonly nextId: number
}

export const FRESH_STATE: ManifestState = {
  applied: 0,
  nextId: 1,
  isClean: true,
  epochBase: 0,
  epochLast: 0,
  epochLimit: 0
}

/** What a checkpoint changed: partitions as they are now, with what they were, and partitions that are gone. */
export interface ManifestChange {
  readonly changed: ReadonlyArray<{
    readonly before: StoredPartition | undefined
    readonly after: StoredPartition
    /** Segments of `before` from one offset on and below another that are no more. Absent = those that go are at either end. */
    readonly replaced?: { readonly from: number; readonly below: number }
  }>
  readonly removed: ReadonlyArray<number>
  readonly state: ManifestState
}

export interface ManifestContent {
  readonly partitions: Map<number, StoredPartition>
  readonly state: ManifestState
}

export class Manifest {
  /** Bytes of the file. */
  bytes: number
  readonly #files: FilesShape
  readonly #directory: string
  #file: OpenFile | undefined
  /** A write or a sync has failed: the file is written anew. */
  #isSuspect = false
  /** The store's directory says that there is a manifest. */
  #isMarked = false
  #rewriteAt = REWRITE_BYTES

  private constructor(files: FilesShape, directory: string, bytes: number) {
    this.#files = files
    this.#directory = directory
    this.bytes = bytes
  }

  get pathname(): string {
    return join(this.#directory, MANIFEST_NAME)
  }

  /** Reads the manifest of a directory that is there; an empty one where it has none. Rejects with `FileError` or {@link SegmentFault}. */
  static async open(
    files: FilesShape,
    directory: string
  ): Promise<{ readonly manifest: Manifest; readonly content: ManifestContent }> {
    const pathname = join(directory, MANIFEST_NAME)
    const bytes = await Effect.runPromise(readWhole(files, pathname, SIZE_MAX)).catch((error: unknown) => {
      if (error instanceof FileError && error.code === "not-found") return undefined
      throw error
    })
    if (bytes === undefined) {
      const manifest = new Manifest(files, directory, 0)
      manifest.#isSuspect = true
      return { manifest, content: { partitions: new Map(), state: FRESH_STATE } }
    }
    const { content, end } = readManifest(bytes, pathname)
    return { manifest: new Manifest(files, directory, end), content }
  }

  /** What the file holds is not known: it is written anew by the next {@link Manifest.add}. */
  get isSuspect(): boolean {
    return this.#isSuspect
  }

  /** The file is there. */
  get isThere(): boolean {
    return this.bytes > 0
  }

  /** Adds a checkpoint, durable when this settles; `whole` is everything as it is with it. Rejects with `FileError`. */
  async add(change: ManifestChange, whole: () => ManifestContent): Promise<void> {
    if (this.isThere && !this.#isMarked) {
      await ensureMark(this.#files, this.#directory)
      this.#isMarked = true
    }
    if (this.#isSuspect || this.bytes > this.#rewriteAt) {
      await this.#rewrite(whole())
      return
    }
    const group = encodeGroup((writer) => writeChange(writer, change))
    try {
      this.#file ??= this.#opened()
      await this.#file.write(group, 0, group.length, this.bytes)
      await this.#file.sync()
    } catch (error) {
      this.#isSuspect = true
      throw error
    }
    this.bytes += group.length
  }

  #opened(): OpenFile {
    const file = this.#files.openUnsafe(this.pathname, "write")
    // What a crash left of a group that was being added.
    file.truncateUnsafe(this.bytes)
    return file
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
  }

  /** Makes the manifest of a directory, or one in its place; returns its size in bytes. Rejects with `FileError`. */
  static async write(files: FilesShape, directory: string, { partitions, state }: ManifestContent): Promise<number> {
    const group = encodeGroup((writer) => {
      const changed = [...partitions.values()].map((after) => ({ before: undefined, after }))
      return writeChange(writer, { changed, removed: [], state })
    })
    await Effect.runPromise(replaceFile(files, directory, MANIFEST_NAME, group))
    return group.length
  }

  async #rewrite(content: ManifestContent): Promise<void> {
    this.close()
    // The first one: until there is something to say there is no directory either.
    if (!this.isThere) await makeDirectory(this.#files, this.#directory)
    const bytes = await Manifest.write(this.#files, this.#directory, content)
    this.bytes = bytes
    this.#rewriteAt = Math.max(REWRITE_BYTES, bytes * REWRITE_FACTOR)
    this.#isSuspect = false
  }
}

async function makeDirectory(files: FilesShape, directory: string): Promise<void> {
  await Effect.runPromise(files.makeDirectory(directory).pipe(Effect.andThen(files.syncDirectory(dirname(directory)))))
}

/** `write` returns the version of what it wrote. */
function encodeGroup(write: (writer: ByteWriter) => number): Uint8Array {
  const writer = new ByteWriter()
  writer.uint32(GROUP_MAGIC)
  writer.uint32(0)
  writer.uint32(0)
  writer.uint32(0)
  writer.setUint32(4, write(writer))
  writer.setUint32(8, writer.length - GROUP_HEADER_BYTES)
  writer.setUint32(12, crc32c(writer.bytes, GROUP_HEADER_BYTES, writer.length))
  return writer.bytes.slice(0, writer.length)
}

/** What the bytes of a manifest say, up to the first group that is not whole. Throws {@link SegmentFault}. */
export function readManifest(
  bytes: Uint8Array,
  pathname: string
): { readonly content: ManifestContent; readonly end: number } {
  const partitions = new Map<number, StoredPartition>()
  let state: ManifestState | undefined
  let at = 0
  for (let end = groupEnd(bytes, at, pathname); end !== undefined; end = groupEnd(bytes, at, pathname)) {
    state = readGroup(bytes, at + GROUP_HEADER_BYTES, end, partitions) ?? state
    at = end
  }
  // Groups follow one another as they are synced: one that is whole behind one that is not says that this one was, too.
  for (let next = at + 1; next + GROUP_HEADER_BYTES <= bytes.length; next++) {
    if (bytes[next] === GROUP_MAGIC >>> 24 && groupEnd(bytes, next, pathname) !== undefined) {
      throw new SegmentFault(pathname, at, `what is written here is damaged; whole again from byte ${next} on`)
    }
  }
  if (state === undefined) throw new SegmentFault(pathname, 0, "it holds nothing that is whole")
  return { content: { partitions, state }, end: at }
}

/** Where the group at `start` ends, or undefined where there is none that is whole. */
function groupEnd(bytes: Uint8Array, start: number, pathname: string): number | undefined {
  if (start + GROUP_HEADER_BYTES > bytes.length) return undefined
  const reader = new ByteReader().reset(bytes, start, start + GROUP_HEADER_BYTES)
  if (reader.uint32() !== GROUP_MAGIC) return undefined
  const version = reader.uint32()
  const end = start + GROUP_HEADER_BYTES + reader.uint32()
  const checksum = reader.uint32()
  if (end > bytes.length || crc32c(bytes, start + GROUP_HEADER_BYTES, end) !== checksum) return undefined
  if (version === VERSION || version === VERSION_COMPACTED) return end
  throw new SegmentFault(
    pathname,
    start,
    `it has version ${version}; this program knows ${VERSION} and ${VERSION_COMPACTED}`
  )
}
