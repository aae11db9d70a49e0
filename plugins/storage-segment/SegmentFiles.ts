/**
 * The open files of a store's segments: a bounded number, the least recently used are closed first.
 *
 * Invariant: a file that somebody uses is not closed; while more are in use than may be open, each is closed as soon as it is given back.
 */
import { dirname, join } from "node:path"
import { FileError, type FilesShape, type OpenFile, type OpenMode } from "../../core/mod.ts"

interface Held {
  readonly file: OpenFile
  readonly isWritable: boolean
  users: number
  /** It is closed when its last user gives it back. */
  isDropped: boolean
}

export class SegmentFiles {
  readonly files: FilesShape
  readonly directory: string
  readonly #openMax: number
  /** In the order of their last use. */
  readonly #held = new Map<string, Held>()

  /** `directory` is that of all partitions. */
  constructor(files: FilesShape, directory: string, openMax: number) {
    this.files = files
    this.directory = directory
    this.#openMax = openMax
  }

  /** Files that are open. */
  get open(): number {
    return this.#held.size
  }

  directoryOf(id: number): string {
    return join(this.directory, String(id))
  }

  pathOf(id: number, name: string): string {
    return join(this.directory, String(id), name)
  }

  /** Runs `work` with a file, which stays open until that has settled. Throws `FileError`. */
  async use<Value>(
    pathname: string,
    mode: "read" | "write" | "create",
    work: (file: OpenFile) => Promise<Value>
  ): Promise<Value> {
    const held = this.#take(pathname, mode)
    try {
      return await work(held.file)
    } finally {
      this.#giveBack(pathname, held)
    }
  }

  /** The same for what does not wait. */
  useUnsafe<Value>(pathname: string, work: (file: OpenFile) => Value): Value {
    const held = this.#take(pathname, "read")
    try {
      return work(held.file)
    } finally {
      this.#giveBack(pathname, held)
    }
  }

  /** Closes a file as soon as nobody uses it: it was removed, or a write of it failed. */
  drop(pathname: string): void {
    const held = this.#held.get(pathname)
    if (held === undefined) return
    this.#held.delete(pathname)
    held.isDropped = true
    if (held.users === 0) held.file.close()
  }

  /** The same for all files of a directory. */
  dropWithin(directory: string): void {
    for (const pathname of [...this.#held.keys()]) if (dirname(pathname) === directory) this.drop(pathname)
  }

  close(): void {
    for (const pathname of [...this.#held.keys()]) this.drop(pathname)
  }

  #take(pathname: string, mode: "read" | "write" | "create"): Held {
    const known = this.#held.get(pathname)
    if (known !== undefined && (known.isWritable || mode === "read")) {
      this.#held.delete(pathname)
      this.#held.set(pathname, known)
      known.users += 1
      return known
    }
    this.drop(pathname)
    this.#makeRoom()
    const file = this.#opened(pathname, mode)
    const held: Held = { file, isWritable: mode !== "read", users: 1, isDropped: false }
    this.#held.set(pathname, held)
    return held
  }

  #opened(pathname: string, mode: OpenMode): OpenFile {
    try {
      return this.files.openUnsafe(pathname, mode)
    } catch (error) {
      if (!(error instanceof FileError) || error.code !== "too-many-open") throw error
    }
    // Others of this process may need more than they did: those that nobody uses are theirs.
    for (const [idle, { users }] of [...this.#held]) if (users === 0) this.drop(idle)
    return this.files.openUnsafe(pathname, mode)
  }

  #giveBack(pathname: string, held: Held): void {
    held.users -= 1
    if (held.users > 0) return
    if (held.isDropped) held.file.close()
    else if (this.#held.size > this.#openMax) this.drop(pathname)
  }

  #makeRoom(): void {
    for (const [pathname, { users }] of this.#held) {
      if (this.#held.size < this.#openMax) return
      if (users === 0) this.drop(pathname)
    }
  }
}
