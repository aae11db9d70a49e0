/**
 * Files on any runtime that has node:fs: Bun and Deno share this.
 *
 * Reads and writes of open files are synchronous, which is the fast way for small pieces that the page cache takes (RUNTIME.md, 6:
 * 38,000 awaited writes a second against 730,000 plain ones); what waits for the disk, `sync` and `read`, runs in the runtime's pool.
 */
import {
  accessSync,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  read,
  readSync,
  renameSync,
  rmSync,
  write,
  writeSync
} from "node:fs"
import { mkdir, open, readdir, readFile, rm, statfs, unlink, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import { Effect, type Scope } from "effect"
import { assert } from "../assert.ts"
import { FileError, type FilesShape, type OpenFile, type OpenMode } from "./Files.ts"
import { fileError } from "./file-error.ts"

const FLAGS: Record<OpenMode, number> = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT,
  "create-new": constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
}

/** The files of this machine. One a node: what shares it shares its locks. */
export function makeNodeFiles(): FilesShape {
  const locks = new Map<string, Lock>()
  let probes = 0
  return {
    ensureWritableDirectory: (pathname) =>
      tried(pathname, async () => {
        await mkdir(pathname, { recursive: true }).catch((error: { code?: unknown }) => {
          throw error.code === "EEXIST" ? Object.assign(new Error("a file"), { code: "ENOTDIR" }) : error
        })
        const probe = join(pathname, `.probe-${process.pid}-${++probes}`)
        await writeFile(probe, "")
        await unlink(probe)
      }),
    makeDirectory: (pathname) => tried(pathname, async () => void (await mkdir(pathname, { recursive: true }))),
    removeDirectory: (pathname) => tried(pathname, () => rm(pathname, { recursive: true, force: true })),
    readText: (pathname) => tried(pathname, () => readFile(pathname, "utf8")),
    openUnsafe: (pathname, mode) => new NodeFile(pathname, mode),
    list: (pathname) =>
      tried(pathname, async () => {
        const entries = await readdir(pathname, { withFileTypes: true })
        return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      }),
    remove: (pathname) => tried(pathname, async () => rmSync(pathname, { force: true })),
    renameUnsafe: (from, to) => {
      try {
        renameSync(from, to)
      } catch (error) {
        throw fileError(from, error)
      }
    },
    freeBytes: (pathname) =>
      tried(pathname, async () => {
        const { bavail, bsize } = await statfs(pathname)
        return bavail * bsize
      }),
    syncDirectory: (pathname) => tried(pathname, () => syncDirectory(pathname)),
    lock: (pathname) => shareLock(locks, pathname)
  }
}

function tried<Value>(pathname: string, work: () => Promise<Value>): Effect.Effect<Value, FileError> {
  return Effect.tryPromise({ try: work, catch: (error) => fileError(pathname, error) })
}

async function syncDirectory(pathname: string): Promise<void> {
  // Windows opens no directory; there a name is as durable as the file system's own journal.
  if (process.platform === "win32") return
  const handle = await open(pathname, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

class NodeFile implements OpenFile {
  readonly pathname: string
  #descriptor: number
  #isOpen = true
  /** Calls in the runtime's pool; the descriptor, whose number the next file gets, is not closed under them. */
  #underWay = 0

  constructor(pathname: string, mode: OpenMode) {
    this.pathname = pathname
    try {
      this.#descriptor = openSync(pathname, FLAGS[mode], 0o640)
    } catch (error) {
      throw fileError(pathname, error)
    }
  }

  sizeUnsafe(): number {
    const descriptor = this.#opened()
    try {
      return fstatSync(descriptor).size
    } catch (error) {
      throw fileError(this.pathname, error)
    }
  }

  readUnsafe(target: Uint8Array, start: number, end: number, position: number): number {
    const descriptor = this.#opened()
    let at = start
    try {
      while (at < end) {
        const count = readSync(descriptor, target, at, end - at, position + at - start)
        if (count === 0) break
        at += count
      }
    } catch (error) {
      throw fileError(this.pathname, error)
    }
    return at - start
  }

  async read(target: Uint8Array, start: number, end: number, position: number): Promise<number> {
    let at = start
    await this.#pooled(async (descriptor) => {
      while (at < end) {
        const count = await called((done) => read(descriptor, target, at, end - at, position + at - start, done))
        if (count === 0) break
        at += count
      }
    })
    return at - start
  }

  writeUnsafe(bytes: Uint8Array, start: number, end: number, position: number): void {
    const descriptor = this.#opened()
    let at = start
    try {
      while (at < end) {
        const count = writeSync(descriptor, bytes, at, end - at, position + at - start)
        if (count === 0) throw new Error("the file takes no more bytes")
        at += count
      }
    } catch (error) {
      throw fileError(this.pathname, error)
    }
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<void> {
    let at = start
    return this.#pooled(async (descriptor) => {
      while (at < end) {
        const count = await called((done) => write(descriptor, bytes, at, end - at, position + at - start, done))
        if (count === 0) throw new Error("the file takes no more bytes")
        at += count
      }
    })
  }

  truncateUnsafe(size: number): void {
    const descriptor = this.#opened()
    try {
      ftruncateSync(descriptor, size)
    } catch (error) {
      throw fileError(this.pathname, error)
    }
  }

  sync(): Promise<void> {
    return this.#pooled(async (descriptor) => {
      await called((done) => fdatasync(descriptor, (error) => done(error, 0)))
    })
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#closeWhenIdle()
  }

  /** Runs `work` in the runtime's pool; the descriptor stays open until it has settled. */
  async #pooled(work: (descriptor: number) => Promise<void>): Promise<void> {
    const descriptor = this.#opened()
    this.#underWay += 1
    try {
      await work(descriptor)
    } catch (error) {
      throw fileError(this.pathname, error)
    } finally {
      this.#underWay -= 1
      this.#closeWhenIdle()
    }
  }

  #opened(): number {
    assert(this.#isOpen, "a file is used between its opening and its closing")
    return this.#descriptor
  }

  #closeWhenIdle(): void {
    if (this.#isOpen || this.#underWay > 0 || this.#descriptor < 0) return
    const descriptor = this.#descriptor
    this.#descriptor = -1
    closeSync(descriptor)
  }
}

/** What a call of the pool gives, as a promise. */
function called(call: (done: (error: Error | null, count: number) => void) => void): Promise<number> {
  return new Promise((resolve, reject) => call((error, count) => (error === null ? resolve(count) : reject(error))))
}

interface Lock {
  /** A database without content: SQLite knows on every system how a file is locked until its process ends. */
  readonly database: DatabaseSync
  holders: number
}

function shareLock(locks: Map<string, Lock>, pathname: string): Effect.Effect<void, FileError, Scope.Scope> {
  const acquire = Effect.try({
    try: () => {
      const lock = locks.get(pathname) ?? { database: takeLock(pathname), holders: 0 }
      lock.holders += 1
      locks.set(pathname, lock)
    },
    catch: (error) => fileError(pathname, error)
  })
  const release = Effect.sync(() => {
    const lock = locks.get(pathname)
    if (lock === undefined || --lock.holders > 0) return
    locks.delete(pathname)
    lock.database.close()
  })
  return Effect.asVoid(Effect.acquireRelease(acquire, () => release))
}

function takeLock(pathname: string): DatabaseSync {
  // SQLite does not say why it cannot open a file; the system does.
  accessSync(dirname(pathname), constants.W_OK)
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite")
  const database = new DatabaseSync(pathname)
  try {
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE")
    return database
  } catch (error) {
    database.close()
    if (!String(error).includes("locked")) throw error
    throw new FileError({ pathname, code: "locked", reason: "another process uses it" })
  }
}
