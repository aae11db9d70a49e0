/**
 * Where the snapshot lies: `meta/snapshot` in the directory of the store whose journal holds the log. It says up to which entry of
 * that journal it goes, so it belongs to that journal and moves with it.
 *
 * Invariants
 *  - Whenever the process or the power ends, the file begins with a whole state: a new one is written under another name, synced, renamed,
 *    and the name synced; what changes is appended behind it and counts when it is synced.
 *  - What is written is a state that there was: that of the moment of its commit. Keys that change while others are written are written
 *    again before it.
 *  - The loop is never held up by more than one piece of a write.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { type ClockShape, FileError, type FilesShape, type OpenFile } from "../../core/mod.ts"
import { MetaFormatFault } from "./commands.ts"
import { readSnapshot } from "./read-snapshot.ts"
import { SnapshotEncoder, type SnapshotHead, type SnapshotTarget, type StoredValue } from "./snapshot-format.ts"

export const DIRECTORY = "meta"
export const SNAPSHOT = "snapshot"
const NEW_SNAPSHOT = "snapshot.new"

/** The state that is written. */
export interface SnapshotSource {
  /** From this key on; nothing changes while this is gone through. */
  entriesFrom(start: string): Iterable<{ readonly key: string; readonly stored: StoredValue }>
  stored(key: string): StoredValue | undefined
  head(): SnapshotHead
}

/** What is to be written. */
export interface SnapshotWrite {
  readonly source: SnapshotSource
  /** Keys that have changed; those that do while this is being written are added. */
  readonly changed: Set<string>
  /** Those of them that were written: they come here from there, and count when the write is durable. */
  readonly written: Array<string>
  /** Called when what was written so far is the state, in the same turn. */
  readonly committed: (head: SnapshotHead) => void
}

export class SnapshotFile {
  readonly pathname: string
  /** Bytes of the file up to its last commit, and of the state that it begins with; 0 = there is none to append to. */
  size = 0
  baseSize = 0
  #checksum = 0
  readonly #store: string
  readonly #directory: string
  readonly #newPathname: string
  readonly #files: FilesShape
  readonly #clock: ClockShape

  /** `store`: the directory of the store. */
  constructor(files: FilesShape, clock: ClockShape, store: string) {
    this.#files = files
    this.#clock = clock
    this.#store = store
    this.#directory = join(store, DIRECTORY)
    this.pathname = join(this.#directory, SNAPSHOT)
    this.#newPathname = join(this.#directory, NEW_SNAPSHOT)
  }

  /**
   * Makes the directory where it is missing and tells `target` what the snapshot holds, if there is one. Fails with one line for a person;
   * the target is of no use then.
   */
  load(target: SnapshotTarget): Effect.Effect<SnapshotHead | undefined, string> {
    return Effect.gen({ self: this }, function* () {
      const files = this.#files
      yield* this.#makeDirectory()
      const names = yield* files.list(this.#directory)
      if (names.includes(NEW_SNAPSHOT)) yield* files.remove(this.#newPathname)
      if (!names.includes(SNAPSHOT)) return undefined
      const read = yield* Effect.tryPromise({
        try: () => readSnapshot(files, this.pathname, target),
        catch: (error) => asFault(error)
      })
      // One of an older version is replaced as a whole.
      this.size = read.isAppendable ? read.end : 0
      this.baseSize = this.size
      this.#checksum = read.checksum
      return read.head
    }).pipe(Effect.mapError((fault) => this.#lineOf(fault)))
  }

  /** Writes a whole snapshot into the directory of a store that is being copied. Rejects with one line for a person. */
  async copy(write: SnapshotWrite): Promise<void> {
    try {
      await Effect.runPromise(this.#makeDirectory())
      await this.replace(write)
    } catch (error) {
      throw this.#lineOf(asFault(error))
    }
  }

  /** Puts the whole state in the place of the file before; durable when this resolves. Rejects with {@link FileError}. One at a time. */
  async replace(write: SnapshotWrite): Promise<void> {
    const files = this.#files
    const encoder = new SnapshotEncoder()
    const file = files.openUnsafe(this.#newPathname, "create")
    let size = 0
    try {
      file.truncateUnsafe(0)
      encoder.begin()
      size = await this.#entries(file, encoder, write.source)
      size = await this.#changes(file, encoder, write, size)
      await file.sync()
    } finally {
      file.close()
    }
    files.renameUnsafe(this.#newPathname, this.pathname)
    await Effect.runPromise(files.syncDirectory(this.#directory))
    this.size = size
    this.baseSize = size
    this.#checksum = encoder.checksum
  }

  /** Appends what has changed to the file; durable when this resolves. Rejects with {@link FileError}. One at a time. */
  async append(write: SnapshotWrite): Promise<void> {
    const encoder = new SnapshotEncoder(this.#checksum)
    const file = this.#files.openUnsafe(this.pathname, "write")
    try {
      // What an attempt that failed has left, or a crash.
      if (file.sizeUnsafe() > this.size) file.truncateUnsafe(this.size)
      const size = await this.#changes(file, encoder, write, this.size)
      await file.sync()
      this.size = size
      this.#checksum = encoder.checksum
    } finally {
      file.close()
    }
  }

  async #entries(file: OpenFile, encoder: SnapshotEncoder, source: SnapshotSource): Promise<number> {
    let size = 0
    let start: string | undefined = ""
    while (start !== undefined) {
      let last: string | undefined
      for (const { key, stored } of source.entriesFrom(start)) {
        encoder.entry(key, stored)
        if (encoder.isPieceFull) {
          last = key
          break
        }
      }
      // No key lies between one and the same with a zero behind it.
      start = last === undefined ? undefined : `${last}\0`
      size = this.#write(file, encoder, size)
      await this.#pause()
    }
    return size
  }

  async #changes(
    file: OpenFile,
    encoder: SnapshotEncoder,
    { source, changed, written, committed }: SnapshotWrite,
    from: number
  ): Promise<number> {
    let size = from
    for (;;) {
      for (const key of changed) {
        changed.delete(key)
        written.push(key)
        const stored = source.stored(key)
        if (stored === undefined) encoder.removed(key)
        else encoder.entry(key, stored)
        if (encoder.isPieceFull) break
      }
      if (changed.size === 0) break
      size = this.#write(file, encoder, size)
      await this.#pause()
    }
    const head = source.head()
    encoder.commit(head)
    committed(head)
    return this.#write(file, encoder, size)
  }

  #write(file: OpenFile, encoder: SnapshotEncoder, position: number): number {
    const piece = encoder.take()
    file.writeUnsafe(piece, 0, piece.length, position)
    return position + piece.length
  }

  #makeDirectory(): Effect.Effect<void, FileError> {
    const made = this.#files.ensureWritableDirectory(this.#directory)
    return made.pipe(Effect.andThen(this.#files.syncDirectory(this.#store)))
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#clock.immediate(resolve))
  }

  #lineOf(fault: FileError | MetaFormatFault): string {
    if (fault instanceof FileError) return `cannot use ${JSON.stringify(fault.pathname)}: ${fault.reason}`
    const advice = fault.message.startsWith("it is damaged")
      ? "restore the data directory from a backup"
      : "start the release that wrote it, or a newer one"
    return `cannot use ${JSON.stringify(this.pathname)}: ${fault.message}; ${advice}`
  }
}

function asFault(error: unknown): FileError | MetaFormatFault {
  if (error instanceof FileError || error instanceof MetaFormatFault) return error
  throw error
}
