/**
 * Where the snapshot lies: `meta/snapshot` in the directory of the store whose journal holds the log. It says up to which entry of
 * that journal it goes, so it belongs to that journal and moves with it.
 *
 * Invariants
 *  - Whenever the process or the power ends, the name stands for the old snapshot or the new one, whole: a new one is written under
 *    another name, synced, renamed, and the name synced.
 *  - The loop is never held up by more than one piece of a write.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { type ClockShape, FileError, type FilesShape } from "../../core/mod.ts"
import { MetaFormatFault } from "./commands.ts"
import { decodeSnapshot, encodeSnapshot, type Snapshot } from "./snapshot-format.ts"

export const DIRECTORY = "meta"
export const SNAPSHOT = "snapshot"
const NEW_SNAPSHOT = "snapshot.new"

export class SnapshotFile {
  readonly pathname: string
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

  /** Makes the directory where it is missing and reads the snapshot, if there is one. Fails with one line for a person. */
  load(): Effect.Effect<Snapshot | undefined, string> {
    return Effect.gen({ self: this }, function* () {
      const files = this.#files
      yield* this.#makeDirectory()
      const names = yield* files.list(this.#directory)
      if (names.includes(NEW_SNAPSHOT)) yield* files.remove(this.#newPathname)
      if (!names.includes(SNAPSHOT)) return undefined
      const bytes = yield* Effect.tryPromise({ try: () => this.#read(), catch: (error) => asFault(error) })
      return yield* Effect.try({ try: () => decodeSnapshot(bytes), catch: (error) => asFault(error) })
    }).pipe(Effect.mapError((fault) => this.#lineOf(fault)))
  }

  /** Writes a snapshot into the directory of a store that is being copied. Fails with one line for a person. */
  copy(snapshot: Snapshot): Effect.Effect<void, string> {
    const written = Effect.tryPromise({ try: () => this.write(snapshot), catch: (error) => asFault(error) })
    return this.#makeDirectory().pipe(
      Effect.andThen(written),
      Effect.mapError((fault) => this.#lineOf(fault))
    )
  }

  /** Puts `snapshot` in the place of the one before; durable when this resolves. Rejects with {@link FileError}. One at a time. */
  async write(snapshot: Snapshot): Promise<void> {
    const files = this.#files
    const file = files.openUnsafe(this.#newPathname, "create")
    try {
      file.truncateUnsafe(0)
      let position = 0
      for (const piece of encodeSnapshot(snapshot)) {
        file.writeUnsafe(piece, 0, piece.length, position)
        position += piece.length
        await this.#pause()
      }
      await file.sync()
    } finally {
      file.close()
    }
    files.renameUnsafe(this.#newPathname, this.pathname)
    await Effect.runPromise(files.syncDirectory(this.#directory))
  }

  #makeDirectory(): Effect.Effect<void, FileError> {
    const made = this.#files.ensureWritableDirectory(this.#directory)
    return made.pipe(Effect.andThen(this.#files.syncDirectory(this.#store)))
  }

  async #read(): Promise<Uint8Array> {
    const file = this.#files.openUnsafe(this.pathname, "read")
    try {
      const bytes = new Uint8Array(file.sizeUnsafe())
      return bytes.subarray(0, await file.read(bytes, 0, bytes.length, 0))
    } finally {
      file.close()
    }
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
