/**
 * Files in memory, for simulations and for tests that need no disk. Every operation goes into the trace.
 *
 * Where {@link SimulatedFiles.isLossy} is set, what is not synced is noted, writes and names alike, and
 * {@link SimulatedFiles.afterCrash} makes the disk that a crash leaves. {@link SimulatedFiles.hook} sees every operation before it is
 * done and can make it fail: with any error, a write after any number of its bytes.
 */
import { dirname } from "node:path"
import { Effect, type Scope } from "effect"
import { assert } from "../assert.ts"
import { FileError, type FileErrorCode, type FilesShape, type OpenFile, type OpenMode } from "./Files.ts"
import { Content, type Kept } from "./simulated-content.ts"

const decoder = new TextDecoder()

export interface SimulatedFilesOptions {
  readonly trace: (operation: string, pathname: string) => void
  /** Runs what a real disk would do in its own time. */
  readonly later: (task: () => void) => void
}

/** One thing that is about to be done to a file or a name. */
export interface SimulatedOperation {
  readonly name: string
  readonly pathname: string
  /** Of a write: what is written, borrowed, and where. */
  readonly bytes?: Uint8Array
  readonly position?: number
}

/** How an operation fails; `written` bytes of a write are done before. */
export interface SimulatedFault {
  readonly code: FileErrorCode
  readonly reason: string
  readonly written?: number
}

/** A name that was made, removed or changed and whose directory is not synced yet. */
interface NameChange {
  readonly directory: string
  readonly apply: (names: Map<string, Content>) => void
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
  /** Notes what a crash would lose. To be set before the first file is made. */
  isLossy = false
  /** Called before each operation. */
  hook: ((operation: SimulatedOperation) => SimulatedFault | undefined) | undefined
  /** Names as they are durable; the changes since, in order. */
  #durable = new Map<string, Content>()
  #nameChanges: Array<NameChange> = []
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

  makeDirectory(pathname: string): Effect.Effect<void, FileError> {
    return this.ensureWritableDirectory(pathname)
  }

  removeDirectory(pathname: string): Effect.Effect<void, FileError> {
    return this.#effect("remove directory", pathname, () => {
      const isWithin = (path: string): boolean => path === pathname || path.startsWith(`${pathname}/`)
      for (const name of [...this.#contents.keys()].filter(isWithin))
        this.#name(dirname(name), (names) => names.delete(name))
      for (const name of [...this.directories].filter(isWithin)) this.directories.delete(name)
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
      const content = new Content()
      this.#name(dirname(pathname), (names) => names.set(pathname, content))
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
    return this.#effect("remove", pathname, () => this.#name(dirname(pathname), (names) => names.delete(pathname)))
  }

  renameUnsafe(from: string, to: string): void {
    this.check("rename", from)
    this.check("rename to", to)
    const content = this.#content(from)
    this.#directory(dirname(to))
    this.#name(dirname(to), (names) => {
      names.delete(from)
      names.set(to, content)
    })
  }

  freeBytes(pathname: string): Effect.Effect<number, FileError> {
    return this.#effect("free", pathname, () => {
      if (!this.#contents.has(pathname)) this.#directory(pathname)
      return Math.max(0, this.capacityBytes - this.#usedBytes())
    })
  }

  syncDirectory(pathname: string): Effect.Effect<void, FileError> {
    return this.#effect("sync directory", pathname, () => {
      this.#directory(pathname)
      for (const change of this.#nameChanges) if (change.directory === pathname) change.apply(this.#durable)
      this.#nameChanges = this.#nameChanges.filter(({ directory }) => directory !== pathname)
    })
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

  /**
   * The disk that a crash leaves now, all of it durable: of what is not synced as much as `kept` says. For one in the midst of a write,
   * `during` is that write, of which `keptOfIt` is done. Needs {@link SimulatedFiles.isLossy}.
   */
  afterCrash(kept: Kept, during?: SimulatedOperation, keptOfIt: Kept = kept): SimulatedFiles {
    assert(this.isLossy, "a disk that crashes has noted what is not synced")
    const after = new SimulatedFiles(this.#options)
    after.isLossy = true
    for (const directory of this.directories) after.directories.add(directory)
    const names = new Map(this.#durable)
    for (const change of this.#nameChanges) {
      const [from, to] = kept(1)
      if (to > from) change.apply(names)
    }
    const images = new Map<Content, Content>()
    for (const [pathname, content] of names) {
      const image = images.get(content) ?? content.afterCrash(kept)
      images.set(content, image)
      after.#contents.set(pathname, image)
      after.#durable.set(pathname, image)
    }
    const target = during === undefined ? undefined : images.get(this.#contents.get(during.pathname) ?? new Content())
    if (target !== undefined && during?.bytes !== undefined && during.position !== undefined) {
      const [from, to] = keptOfIt(during.bytes.length)
      if (to > from) target.put(during.bytes.subarray(from, to), during.position + from)
      target.synced = target.bytes.slice(0, target.size)
    }
    return after
  }

  /** Paths of all files. */
  names(): Iterable<string> {
    return this.#contents.keys()
  }

  /** Turns one bit of a file, on the disk as well. */
  flipBit(pathname: string, position: number, bit: number): void {
    const content = this.#content(pathname)
    content.bytes[position] = (content.bytes[position] ?? 0) ^ (1 << bit)
    if (position < content.synced.length) content.synced[position] = content.bytes[position] ?? 0
  }

  /** Notes an operation and throws where it was made to fail; a write that fails after some of its bytes is told to the caller. */
  check(name: string, pathname: string, bytes?: Uint8Array, position = 0): SimulatedFault | undefined {
    this.#options.trace(name, pathname)
    const fault = this.faults.get(pathname)
    if (fault !== undefined) this.#fail(pathname, fault.code, fault.reason)
    const failed = this.hook?.(bytes === undefined ? { name, pathname } : { name, pathname, bytes, position })
    if (failed !== undefined && failed.written === undefined) this.#fail(pathname, failed.code, failed.reason)
    return failed
  }

  /** Throws where the disk has no room for `added` bytes more. */
  checkRoom(pathname: string, added: number): void {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return
    if (this.#usedBytes() + added > this.capacityBytes) this.#fail(pathname, "disk-full", "the disk is full")
  }

  #usedBytes(): number {
    let bytes = 0
    for (const { size } of this.#contents.values()) bytes += size
    return bytes
  }

  #name(directory: string, apply: (names: Map<string, Content>) => void): void {
    apply(this.#contents)
    if (this.isLossy) this.#nameChanges.push({ directory, apply })
    else apply(this.#durable)
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
    assert(this.#isOpen, "a file is used between its opening and its closing")
    this.#put(bytes, start, end, position)
  }

  #put(bytes: Uint8Array, start: number, end: number, position: number): void {
    const fault = this.#files.check("write", this.pathname, bytes.subarray(start, end), position)
    this.#checkWritable()
    const written = bytes.subarray(start, fault?.written === undefined ? end : Math.min(end, start + fault.written))
    if (written.length > 0) {
      const content = this.#content
      this.#files.checkRoom(this.pathname, Math.max(0, position + written.length - content.size))
      content.put(written, position)
      if (this.#files.isLossy) content.noteWrite(written, position)
    }
    if (fault === undefined) return
    throw new FileError({ pathname: this.pathname, code: fault.code, reason: fault.reason })
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<void> {
    assert(this.#isOpen, "a file is used between its opening and its closing")
    return new Promise((resolve, reject) => {
      this.#files.later(() => {
        try {
          this.#put(bytes, start, end, position)
          resolve()
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  truncateUnsafe(size: number): void {
    this.#begin("truncate")
    this.#checkWritable()
    this.#files.checkRoom(this.pathname, Math.max(0, size - this.#content.size))
    this.#content.resize(size)
    if (this.#files.isLossy) this.#content.noteSize(size)
  }

  sync(): Promise<void> {
    const content = this.#content
    if (!this.#files.isLossy) {
      return this.#pooled("sync", () => {
        content.synced = content.bytes.slice(0, content.size)
      })
    }
    const end = content.beginSync()
    return this.#pooled("sync", () => end(true)).catch((error: unknown) => {
      end(false)
      throw error
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

  #begin(operation: string, bytes?: Uint8Array, position?: number): SimulatedFault | undefined {
    assert(this.#isOpen, "a file is used between its opening and its closing")
    return this.#files.check(operation, this.pathname, bytes, position)
  }

  #checkWritable(): void {
    if (this.#isWritable) return
    throw new FileError({ pathname: this.pathname, code: "failed", reason: "the file was opened for reading" })
  }
}
