/**
 * Files in memory, for simulations and for tests that need no disk. Every operation goes into the trace.
 *
 * What a file held at its last sync stands beside what it holds now, so that a crash can lose the difference; crashes themselves are
 * not simulated yet, and names are durable at once.
 */
import { dirname } from "node:path"
import { Effect, type Scope } from "effect"
import { assert } from "../assert.ts"
import { FileError, type FileErrorCode, type FilesShape, type OpenFile, type OpenMode } from "./Files.ts"

const decoder = new TextDecoder()

/** What a name stands for: an open file keeps it after the name was removed or given to another. */
class Content {
  bytes = new Uint8Array(0)
  size = 0
  synced: Uint8Array = new Uint8Array(0)

  resize(size: number): void {
    if (size > this.bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.bytes.length * 2, 256))
      grown.set(this.bytes.subarray(0, this.size))
      this.bytes = grown
    }
    if (size < this.size) this.bytes.fill(0, size, this.size)
    this.size = size
  }
}

export interface SimulatedFilesOptions {
  readonly trace: (operation: string, pathname: string) => void
  /** Runs what a real disk would do in its own time. */
  readonly later: (task: () => void) => void
}

export class SimulatedFiles implements FilesShape {
  readonly directories = new Set<string>()
  /** Paths that fail, whatever is done with them. */
  readonly faults = new Map<string, { readonly code: FileErrorCode; readonly reason: string }>()
  /** Bytes that all files together may hold. */
  capacityBytes = Number.POSITIVE_INFINITY
  /** Runs what a real disk would do in its own time. */
  later: (task: () => void) => void
  readonly #options: SimulatedFilesOptions
  readonly #contents = new Map<string, Content>()
  readonly #locks = new Map<string, number>()

  constructor(options: SimulatedFilesOptions) {
    this.#options = options
    this.later = options.later
  }

  ensureWritableDirectory(pathname: string): Effect.Effect<void, FileError> {
    return this.#effect("directory", pathname, () => {
      for (let at = pathname; !this.directories.has(at) && at !== dirname(at); at = dirname(at)) {
        if (this.#contents.has(at)) this.#fail(pathname, "wrong-kind", "the path is a file, not a directory")
      }
      for (let at = pathname; !this.directories.has(at); at = dirname(at)) this.directories.add(at)
    })
  }

  readText(pathname: string): Effect.Effect<string, FileError> {
    return this.#effect("read", pathname, () => decoder.decode(this.contentUnsafe(pathname)))
  }

  /** What a file holds now; a view. */
  contentUnsafe(pathname: string): Uint8Array {
    const { bytes, size } = this.#content(pathname)
    return bytes.subarray(0, size)
  }

  openUnsafe(pathname: string, mode: OpenMode): OpenFile {
    this.check(`open ${mode}`, pathname)
    const isThere = this.#contents.has(pathname)
    if (isThere && mode === "create-new") this.#fail(pathname, "exists", "the file is already there")
    if (!isThere && (mode === "create" || mode === "create-new")) {
      if (this.directories.has(pathname)) this.#fail(pathname, "wrong-kind", "the path is a directory, not a file")
      this.#directory(dirname(pathname))
      this.#contents.set(pathname, new Content())
    }
    return new SimulatedFile(this, pathname, this.#content(pathname), mode !== "read")
  }

  list(pathname: string): Effect.Effect<ReadonlyArray<string>, FileError> {
    return this.#effect("list", pathname, () => {
      this.#directory(pathname)
      const isWithin = (path: string): boolean => dirname(path) === pathname && path !== pathname
      const names = (paths: Iterable<string>): ReadonlyArray<string> =>
        [...paths].filter(isWithin).map((path) => path.slice(path.lastIndexOf("/") + 1))
      return [...names(this.#contents.keys()), ...names(this.directories).map((name) => `${name}/`)]
    })
  }

  remove(pathname: string): Effect.Effect<void, FileError> {
    return this.#effect("remove", pathname, () => void this.#contents.delete(pathname))
  }

  renameUnsafe(from: string, to: string): void {
    this.check("rename", from)
    this.check("rename to", to)
    const content = this.#content(from)
    this.#directory(dirname(to))
    this.#contents.delete(from)
    this.#contents.set(to, content)
  }

  syncDirectory(pathname: string): Effect.Effect<void, FileError> {
    return this.#effect("sync directory", pathname, () => this.#directory(pathname))
  }

  lock(pathname: string): Effect.Effect<void, FileError, Scope.Scope> {
    const acquire = this.#effect("lock", pathname, () => {
      this.#directory(dirname(pathname))
      this.#locks.set(pathname, (this.#locks.get(pathname) ?? 0) + 1)
    })
    const release = this.#effect("unlock", pathname, () => {
      this.#locks.set(pathname, (this.#locks.get(pathname) ?? 1) - 1)
    })
    return Effect.acquireRelease(acquire, () => Effect.ignore(release))
  }

  /** Notes an operation and throws where the path was made to fail. */
  check(operation: string, pathname: string): void {
    this.#options.trace(operation, pathname)
    const fault = this.faults.get(pathname)
    if (fault !== undefined) this.#fail(pathname, fault.code, fault.reason)
  }

  /** Throws where the disk has no room for `added` bytes more. */
  checkRoom(pathname: string, added: number): void {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return
    const used = [...this.#contents.values()].reduce((sum, { size }) => sum + size, 0)
    if (used + added > this.capacityBytes) this.#fail(pathname, "disk-full", "the disk is full")
  }

  #content(pathname: string): Content {
    const content = this.#contents.get(pathname)
    if (content !== undefined) return content
    if (this.directories.has(pathname)) this.#fail(pathname, "wrong-kind", "the path is a directory, not a file")
    this.#fail(pathname, "not-found", "no such file")
  }

  #directory(pathname: string): void {
    if (this.directories.has(pathname)) return
    if (this.#contents.has(pathname)) this.#fail(pathname, "wrong-kind", "the path is a file, not a directory")
    this.#fail(pathname, "not-found", "no such file")
  }

  #fail(pathname: string, code: FileErrorCode, reason: string): never {
    throw new FileError({ pathname, code, reason })
  }

  #effect<Value>(operation: string, pathname: string, work: () => Value): Effect.Effect<Value, FileError> {
    return Effect.suspend(() => {
      try {
        this.check(operation, pathname)
        return Effect.succeed(work())
      } catch (error) {
        if (error instanceof FileError) return Effect.fail(error)
        throw error
      }
    })
  }
}

class SimulatedFile implements OpenFile {
  readonly pathname: string
  readonly #files: SimulatedFiles
  readonly #content: Content
  readonly #isWritable: boolean
  #isOpen = true

  constructor(files: SimulatedFiles, pathname: string, content: Content, isWritable: boolean) {
    this.#files = files
    this.pathname = pathname
    this.#content = content
    this.#isWritable = isWritable
  }

  sizeUnsafe(): number {
    this.#begin("size")
    return this.#content.size
  }

  readUnsafe(target: Uint8Array, start: number, end: number, position: number): number {
    this.#begin("read")
    return this.#copy(target, start, end, position)
  }

  read(target: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return this.#pooled("read late", () => this.#copy(target, start, end, position))
  }

  writeUnsafe(bytes: Uint8Array, start: number, end: number, position: number): void {
    this.#begin("write")
    const content = this.#content
    this.#checkWritable()
    if (start === end) return
    const after = Math.max(content.size, position + end - start)
    this.#files.checkRoom(this.pathname, after - content.size)
    content.resize(after)
    content.bytes.set(bytes.subarray(start, end), position)
  }

  truncateUnsafe(size: number): void {
    this.#begin("truncate")
    this.#checkWritable()
    this.#files.checkRoom(this.pathname, Math.max(0, size - this.#content.size))
    this.#content.resize(size)
  }

  sync(): Promise<void> {
    const content = this.#content
    return this.#pooled("sync", () => {
      content.synced = content.bytes.slice(0, content.size)
    })
  }

  close(): void {
    this.#isOpen = false
  }

  #copy(target: Uint8Array, start: number, end: number, position: number): number {
    const { bytes, size } = this.#content
    const count = Math.max(0, Math.min(end - start, size - position))
    target.set(bytes.subarray(position, position + count), start)
    return count
  }

  #pooled<Value>(operation: string, work: () => Value): Promise<Value> {
    assert(this.#isOpen, "a file is used between its opening and its closing")
    return new Promise((resolve, reject) => {
      this.#files.later(() => {
        try {
          this.#files.check(operation, this.pathname)
          resolve(work())
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #begin(operation: string): void {
    assert(this.#isOpen, "a file is used between its opening and its closing")
    this.#files.check(operation, this.pathname)
  }

  #checkWritable(): void {
    if (this.#isWritable) return
    throw new FileError({ pathname: this.pathname, code: "failed", reason: "the file was opened for reading" })
  }
}
