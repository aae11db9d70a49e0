/**
 * Where files go that a repair takes out of use: `quarantine/<partition>/` among the segments. Nothing there is ever written over or read.
 *
 * Invariants
 *  - A file is there under its new name, durably, before its old one is durably gone.
 *  - A name that is taken gets a number behind it.
 */
import { basename, dirname, join } from "node:path"
import { Effect } from "effect"
import { FileError, type FilesShape } from "../../core/mod.ts"

export const QUARANTINE_NAME = "quarantine"
const PIECE_BYTES = 1_048_576
/** Copies of one name, at most. */
const COPIES_MAX = 10_000

export class Quarantine {
  readonly #files: FilesShape
  /** That of all partitions. */
  readonly #directory: string
  readonly #pace: (bytes: number) => Promise<void>

  constructor(files: FilesShape, directory: string, pace: (bytes: number) => Promise<void>) {
    this.#files = files
    this.#directory = directory
    this.#pace = pace
  }

  /** Moves files of one directory; those that are not there are left out. Durable when this settles. Rejects with `FileError`. */
  async move(pathnames: ReadonlyArray<string>): Promise<void> {
    const [first] = pathnames
    if (first === undefined) return
    const from = dirname(first)
    const there = new Set(await this.#list(from))
    const target = await this.#made(from)
    for (const pathname of pathnames) {
      const name = basename(pathname)
      if (there.has(name)) this.#files.renameUnsafe(pathname, join(target, await this.#free(target, name)))
    }
    await Effect.runPromise(this.#files.syncDirectory(target))
    if (there.size > 0) await Effect.runPromise(this.#files.syncDirectory(from))
  }

  /** Copies a file; the copy is whole and durable when this settles. Rejects with `FileError`. */
  async copy(pathname: string): Promise<void> {
    const target = await this.#made(dirname(pathname))
    const name = basename(pathname)
    const part = join(target, `${name}.part`)
    const from = this.#files.openUnsafe(pathname, "read")
    try {
      const to = this.#files.openUnsafe(part, "create")
      try {
        to.truncateUnsafe(0)
        const bytes = new Uint8Array(PIECE_BYTES)
        for (let at = 0, count = -1; count !== 0; at += count) {
          count = await from.read(bytes, 0, bytes.length, at)
          await to.write(bytes, 0, count, at)
          await this.#pace(2 * count)
        }
        await to.sync()
      } finally {
        to.close()
      }
    } finally {
      from.close()
    }
    this.#files.renameUnsafe(part, join(target, await this.#free(target, name)))
    await Effect.runPromise(this.#files.syncDirectory(target))
  }

  /** The directory for files of `from`, made and durable. */
  async #made(from: string): Promise<string> {
    const root = join(this.#directory, QUARANTINE_NAME)
    const target = from === this.#directory ? root : join(root, basename(from))
    await Effect.runPromise(this.#files.makeDirectory(target))
    await Effect.runPromise(this.#files.syncDirectory(root))
    await Effect.runPromise(this.#files.syncDirectory(this.#directory))
    return target
  }

  async #free(target: string, name: string): Promise<string> {
    const taken = new Set(await this.#list(target))
    for (let number = 0; number < COPIES_MAX; number++) {
      const free = number === 0 ? name : `${name}.${number}`
      if (!taken.has(free)) return free
    }
    throw new FileError({ pathname: join(target, name), code: "exists", reason: "it is there too often" })
  }

  async #list(directory: string): Promise<ReadonlyArray<string>> {
    const listed = await Effect.runPromise(Effect.result(this.#files.list(directory)))
    if (listed._tag === "Success") return listed.success
    if (listed.failure.code === "not-found") return []
    throw listed.failure
  }
}
