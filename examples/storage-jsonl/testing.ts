/**
 * What the tests build engines from: services as core gives them, and files that fail when they are told to, and that know what a crash
 * would leave of them.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { Effect } from "effect"
import { FileError, type FilesShape, type OpenFile, type OpenMode } from "manifold"
import { type TestServices, testServices } from "manifold/contracts"
import { type EngineParts, type JsonlEngine, makeJsonlEngine } from "./engine.ts"

export interface TestEngine extends TestServices {
  readonly engine: JsonlEngine
}

export function testEngine(folder: string, nowMs: () => number, changed: Partial<EngineParts> = {}): TestEngine {
  mkdirSync(folder, { recursive: true })
  const services = testServices(nowMs)
  const bounds = { partitionsMax: 10_000, tailBytesMax: 16_384, unsyncedBytesMax: 16_777_216 }
  const times = { deadBytesMin: 8_192, flushMs: 20 }
  return { ...services, engine: makeJsonlEngine({ ...services, ...bounds, ...times, folder, ...changed }) }
}

export type Operation = "open" | "write" | "truncate" | "sync" | "rename" | "remove" | "sync directory" | "read"

/** Files of the disk below one folder. */
export class TestFiles implements FilesShape {
  readonly ensureWritableDirectory: FilesShape["ensureWritableDirectory"]
  readonly makeDirectory: FilesShape["makeDirectory"]
  readonly removeDirectory: FilesShape["removeDirectory"]
  readonly readText: FilesShape["readText"]
  readonly list: FilesShape["list"]
  readonly freeBytes: FilesShape["freeBytes"]
  readonly lock: FilesShape["lock"]
  /** Is told of every operation before it is done; what it gives makes it fail, a write after half of its bytes. */
  before: (operation: Operation, pathname: string) => FileError["code"] | undefined = () => undefined
  readonly #real: FilesShape
  /** What power loss leaves: the content of each file at its last sync, and the names at the last sync of their folder. */
  readonly #synced = new Map<number, Uint8Array>()
  #durableNames = new Map<string, number>()
  readonly #names = new Map<string, number>()
  #lastId = 0

  constructor(real: FilesShape) {
    this.#real = real
    this.ensureWritableDirectory = real.ensureWritableDirectory
    this.makeDirectory = real.makeDirectory
    this.removeDirectory = real.removeDirectory
    this.readText = real.readText
    this.list = real.list
    this.freeBytes = real.freeBytes
    this.lock = real.lock
  }

  openUnsafe(pathname: string, mode: OpenMode): OpenFile {
    this.#tell("open", pathname)
    const file = this.#real.openUnsafe(pathname, mode)
    const id = this.#names.get(pathname) ?? ++this.#lastId
    this.#names.set(pathname, id)
    const content = (): Uint8Array => {
      const bytes = new Uint8Array(file.sizeUnsafe())
      file.readUnsafe(bytes, 0, bytes.length, 0)
      return bytes
    }
    const writeUnsafe: OpenFile["writeUnsafe"] = (bytes, start, end, position) => {
      try {
        this.#tell("write", pathname)
      } catch (error) {
        file.writeUnsafe(bytes, start, (start + end) >>> 1, position)
        throw error
      }
      file.writeUnsafe(bytes, start, end, position)
    }
    return {
      pathname,
      sizeUnsafe: () => file.sizeUnsafe(),
      readUnsafe: (target, start, end, position) => file.readUnsafe(target, start, end, position),
      writeUnsafe,
      write: async (bytes, start, end, position) => writeUnsafe(bytes, start, end, position),
      read: async (target, start, end, position) => {
        this.#tell("read", pathname)
        return file.read(target, start, end, position)
      },
      truncateUnsafe: (size) => {
        this.#tell("truncate", pathname)
        file.truncateUnsafe(size)
      },
      sync: async () => {
        this.#tell("sync", pathname)
        const bytes = content()
        await file.sync()
        this.#synced.set(id, bytes)
      },
      close: () => file.close()
    }
  }

  renameUnsafe(from: string, to: string): void {
    this.#tell("rename", to)
    this.#real.renameUnsafe(from, to)
    this.#names.set(to, this.#names.get(from) ?? 0)
    this.#names.delete(from)
  }

  remove(pathname: string): Effect.Effect<void, FileError> {
    return Effect.suspend(() => {
      this.#tell("remove", pathname)
      this.#names.delete(pathname)
      return this.#real.remove(pathname)
    })
  }

  syncDirectory(pathname: string): Effect.Effect<void, FileError> {
    return Effect.suspend(() => {
      this.#tell("sync directory", pathname)
      const names = new Map(this.#names)
      return Effect.tap(this.#real.syncDirectory(pathname), () =>
        Effect.sync(() => {
          this.#durableNames = names
        })
      )
    })
  }

  /** Copies to `target` what `kill -9` would leave of `folder` now. */
  killed(folder: string, target: string): void {
    for (const tenant of readdirSync(folder)) {
      mkdirSync(join(target, tenant), { recursive: true })
      for (const name of readdirSync(join(folder, tenant))) {
        copyFileSync(join(folder, tenant, name), join(target, tenant, name))
      }
    }
  }

  /**
   * Writes to `target` what power loss could leave: what was synced, and of what was not any sectors, torn and out of order, as `chance`
   * (0 to 1) has it; names as they are now or as they were at the last sync of their folder.
   */
  powerLost(target: string, chance: () => number): void {
    const names = chance() < 0.5 ? this.#durableNames : new Map([...this.#durableNames, ...this.#names])
    const current = new Map([...this.#names].map(([path, id]) => [id, path]))
    const sectorBytes = chance() < 0.5 ? 64 : 1_024
    for (const [path, id] of names) {
      const synced = this.#synced.get(id) ?? new Uint8Array(0)
      const now = current.get(id) ?? path
      const written = existsSync(now) && current.has(id) ? readFileSync(now) : Buffer.from(synced)
      const size = chance() < 0.5 ? synced.length : Math.max(synced.length, Math.floor(chance() * written.length))
      const bytes = new Uint8Array(Math.max(size, 0))
      bytes.set(synced.subarray(0, bytes.length))
      for (let at = 0; at < bytes.length; at += sectorBytes) {
        if (chance() < 0.5) bytes.set(written.subarray(at, Math.min(at + sectorBytes, bytes.length)), at)
      }
      const folder = join(target, basename(dirname(path)))
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, basename(path)), bytes)
    }
  }

  #tell(operation: Operation, pathname: string): void {
    const code = this.before(operation, pathname)
    if (code !== undefined) throw new FileError({ pathname, code, reason: `a test has this ${operation} fail` })
  }
}
