/** What {@link FilesShape} promises, on this machine's disk and in memory alike. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, describe, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import { FileError, type FileErrorCode, type FilesShape, type OpenFile } from "./Files.ts"
import { fileError } from "./file-error.ts"
import { makeNodeFiles } from "./node-files.ts"
import { keepAll, keepNothing } from "./simulated-content.ts"
import { SimulatedFiles } from "./simulated-files.ts"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const run = Effect.runPromise

async function refused(code: FileErrorCode, work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    assert.ok(error instanceof FileError, String(error))
    assert.equal(error.code, code, error.reason)
    assert.ok(error.reason.length > 0 && !error.reason.includes("\n"))
    return
  }
  assert.fail(`nothing was refused where ${code} was expected`)
}

function contentOf(file: OpenFile): string {
  const bytes = new Uint8Array(file.sizeUnsafe())
  assert.equal(file.readUnsafe(bytes, 0, bytes.length, 0), bytes.length)
  return new TextDecoder().decode(bytes)
}

function put(files: FilesShape, pathname: string, text: string): void {
  const file = files.openUnsafe(pathname, "create")
  file.writeUnsafe(bytesOf(text), 0, bytesOf(text).length, 0)
  file.close()
}

const root = mkdtempSync(join(tmpdir(), "manifold-files-"))
after(() => rmSync(root, { recursive: true, force: true }))

const simulated = (): SimulatedFiles => new SimulatedFiles({ trace: () => {}, later: (task) => setImmediate(task) })

for (const [name, make] of [
  ["node:fs", makeNodeFiles],
  ["simulated", simulated]
] as const) {
  describe(`files: ${name}`, () => {
    let folders = 0
    const fresh = async (): Promise<{ files: FilesShape; folder: string }> => {
      const files = make()
      const folder = join(root, name.replace(":", "-"), String(++folders), "deep")
      await run(files.ensureWritableDirectory(folder))
      return { files, folder }
    }

    test("a directory is made with its parents, and again is no error; a file is none", async () => {
      const { files, folder } = await fresh()
      await Promise.all(Array.from({ length: 8 }, () => run(files.ensureWritableDirectory(folder))))
      assert.deepEqual(await run(files.list(folder)), [])
      put(files, join(folder, "file"), "x")
      await refused("wrong-kind", () => run(files.ensureWritableDirectory(join(folder, "file"))))
      await refused("wrong-kind", () => run(files.ensureWritableDirectory(join(folder, "file", "below"))))
    })

    test("what is written at a position is read from there, whole or in part", async () => {
      const { files, folder } = await fresh()
      const file = files.openUnsafe(join(folder, "file"), "create")
      assert.equal(file.sizeUnsafe(), 0)
      file.writeUnsafe(bytesOf("..abcdef.."), 2, 8, 0)
      file.writeUnsafe(bytesOf("XY"), 0, 2, 2)
      assert.equal(contentOf(file), "abXYef")
      const target = new Uint8Array(10).fill(46)
      assert.equal(file.readUnsafe(target, 1, 4, 3), 3)
      assert.equal(new TextDecoder().decode(target), ".Yef......")
      assert.equal(file.readUnsafe(target, 0, 10, 4), 2)
      assert.equal(file.readUnsafe(target, 0, 10, 6), 0)
      assert.equal(await file.read(target, 8, 10, 0), 2)
      assert.equal(await file.read(target, 0, 8, 2), 4)
      assert.equal(new TextDecoder().decode(target), "XYef....ab")
      assert.equal(await run(files.readText(join(folder, "file"))), "abXYef")
      file.close()
      file.close()
    })

    test("a gap that nothing wrote is zeros; truncation cuts and fills", async () => {
      const { files, folder } = await fresh()
      const file = files.openUnsafe(join(folder, "file"), "create")
      file.writeUnsafe(bytesOf("end"), 0, 3, 4)
      assert.equal(contentOf(file), "\0\0\0\0end")
      file.truncateUnsafe(5)
      assert.equal(contentOf(file), "\0\0\0\0e")
      file.truncateUnsafe(7)
      assert.equal(contentOf(file), "\0\0\0\0e\0\0")
      file.close()
    })

    test("a sync resolves, also when the file is closed meanwhile", async () => {
      const { files, folder } = await fresh()
      const file = files.openUnsafe(join(folder, "file"), "create")
      file.writeUnsafe(bytesOf("abc"), 0, 3, 0)
      await file.sync()
      const target = new Uint8Array(3)
      const late = [file.sync(), file.sync(), file.read(target, 0, 3, 0)] as const
      file.close()
      await Promise.all(late)
      assert.equal(new TextDecoder().decode(target), "abc")
      await run(files.syncDirectory(folder))
    })

    test("each mode opens what it may", async () => {
      const { files, folder } = await fresh()
      const path = join(folder, "file")
      await refused("not-found", () => files.openUnsafe(path, "read"))
      await refused("not-found", () => files.openUnsafe(path, "write"))
      await refused("not-found", () => files.openUnsafe(join(folder, "none", "file"), "create"))
      await refused("not-found", () => run(files.readText(path)))
      files.openUnsafe(path, "create-new").close()
      await refused("exists", () => files.openUnsafe(path, "create-new"))
      await refused("wrong-kind", () => files.openUnsafe(folder, "create"))
      put(files, path, "kept")
      for (const mode of ["read", "write", "create"] as const) {
        const file = files.openUnsafe(path, mode)
        assert.equal(contentOf(file), "kept")
        file.close()
      }
      const file = files.openUnsafe(path, "read")
      await refused("failed", () => file.writeUnsafe(bytesOf("x"), 0, 1, 0))
      file.close()
    })

    test("names: listed, removed, given to another; an open file outlives its name", async () => {
      const { files, folder } = await fresh()
      await run(files.ensureWritableDirectory(join(folder, "inner")))
      put(files, join(folder, "a"), "first")
      put(files, join(folder, "b"), "second")
      put(files, join(folder, "inner", "c"), "third")
      assert.deepEqual([...(await run(files.list(folder)))].sort(), ["a", "b", "inner/"])
      const file = files.openUnsafe(join(folder, "b"), "read")
      files.renameUnsafe(join(folder, "a"), join(folder, "b"))
      assert.equal(await run(files.readText(join(folder, "b"))), "first")
      assert.equal(contentOf(file), "second")
      file.close()
      await run(files.remove(join(folder, "b")))
      await run(files.remove(join(folder, "b")))
      assert.deepEqual(await run(files.list(folder)), ["inner/"])
      await refused("not-found", () => files.renameUnsafe(join(folder, "a"), join(folder, "b")))
      await refused("not-found", () => run(files.list(join(folder, "none"))))
    })

    test("how much may still be written is told of a path that is there", async () => {
      const { files, folder } = await fresh()
      assert.ok((await run(files.freeBytes(folder))) > 0)
      await refused("not-found", () => run(files.freeBytes(join(folder, "missing"))))
    })

    test("random writes, cuts and reads agree with an array", async () => {
      const { files, folder } = await fresh()
      const step = fc.oneof(
        fc.record({ kind: fc.constant("write" as const), at: fc.nat(300), bytes: fc.uint8Array({ maxLength: 90 }) }),
        fc.record({ kind: fc.constant("cut" as const), at: fc.nat(300), bytes: fc.constant(new Uint8Array(0)) })
      )
      let count = 0
      fc.assert(
        fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
          const file = files.openUnsafe(join(folder, `random-${++count}`), "create-new")
          let model: Array<number> = []
          for (const { kind, at, bytes } of steps) {
            if (kind === "cut") {
              file.truncateUnsafe(at)
              model = Array.from({ length: at }, (_, index) => model[index] ?? 0)
            } else {
              file.writeUnsafe(bytes, 0, bytes.length, at)
              if (bytes.length === 0) continue
              while (model.length < at) model.push(0)
              model.splice(at, bytes.length, ...bytes)
            }
          }
          const found = new Uint8Array(file.sizeUnsafe())
          file.readUnsafe(found, 0, found.length, 0)
          file.close()
          assert.deepEqual([...found], model)
        })
      )
    })

    test("a lock is shared by those who share the service, and given back by the last", async () => {
      const { files, folder } = await fresh()
      const path = join(folder, "lock")
      const scopes = [Scope.makeUnsafe(), Scope.makeUnsafe()]
      for (const scope of scopes) await run(Scope.provide(files.lock(path), scope))
      for (const scope of scopes) await run(Scope.close(scope, Exit.void))
      await run(Effect.scoped(files.lock(path)))
      assert.deepEqual(
        (await run(files.list(folder))).filter((file) => file !== "lock"),
        []
      )
      await refused("not-found", () => run(Effect.scoped(files.lock(join(folder, "none", "lock")))))
    })
  })
}

test("node:fs: another node of this process is refused a lock, until it is given back", async () => {
  const path = join(root, "lock")
  const [first, second] = [makeNodeFiles(), makeNodeFiles()]
  const scopes = [Scope.makeUnsafe(), Scope.makeUnsafe()] as const
  await run(Scope.provide(first.lock(path), scopes[0]))
  await run(Scope.provide(first.lock(path), scopes[1]))
  await refused("locked", () => run(Effect.scoped(second.lock(path))))
  await run(Scope.close(scopes[0], Exit.void))
  await refused("locked", () => run(Effect.scoped(second.lock(path))))
  await run(Scope.close(scopes[1], Exit.void))
  await run(Effect.scoped(second.lock(path)))
})

test("what the system says becomes a code and a reason", () => {
  const rows: ReadonlyArray<readonly [string, FileErrorCode]> = [
    ["ENOSPC", "disk-full"],
    ["EDQUOT", "disk-full"],
    ["EFBIG", "disk-full"],
    ["EACCES", "not-permitted"],
    ["EROFS", "not-permitted"],
    ["EMFILE", "too-many-open"],
    ["EIO", "failed"],
    ["ESTRANGE", "failed"]
  ]
  for (const [code, expected] of rows) {
    const error = fileError("/data/file", Object.assign(new Error(`${code}: it\nfailed`), { code }))
    assert.equal(error.code, expected, code)
    assert.ok(error.message.startsWith("/data/file: ") && !error.message.includes("\n"))
  }
})

test("simulated: a path can be made to fail, a disk to be full, and what was not synced is known", async () => {
  const files = simulated()
  await run(files.ensureWritableDirectory("/data"))
  const file = files.openUnsafe("/data/file", "create")
  files.capacityBytes = 5
  file.writeUnsafe(bytesOf("abcde"), 0, 5, 0)
  await refused("disk-full", () => file.writeUnsafe(bytesOf("f"), 0, 1, 5))
  file.writeUnsafe(bytesOf("X"), 0, 1, 4)
  assert.equal(contentOf(file), "abcdX")
  files.faults.set("/data/file", { code: "failed", reason: "the disk failed" })
  await refused("failed", () => file.sync())
  await refused("failed", () => files.openUnsafe("/data/file", "read"))
  await refused("failed", () => run(files.readText("/data/file")))
  files.faults.clear()
  await file.sync()
  assert.equal(contentOf(file), "abcdX")
})

test("simulated: what is free is what the capacity leaves", async () => {
  const files = simulated()
  await run(files.ensureWritableDirectory("/d"))
  assert.equal(await run(files.freeBytes("/d")), Number.POSITIVE_INFINITY)
  files.capacityBytes = 100
  put(files, "/d/a", "x".repeat(30))
  assert.equal(await run(files.freeBytes("/d")), 70)
  files.capacityBytes = 20
  assert.equal(await run(files.freeBytes("/d/a")), 0)
})

test("simulated: a crash keeps what was synced when the sync began, names whose directory was, and of the rest as much as is said", async () => {
  const files = simulated()
  files.isLossy = true
  await run(files.ensureWritableDirectory("/data"))
  const file = files.openUnsafe("/data/file", "create")
  await run(files.syncDirectory("/data"))
  file.writeUnsafe(bytesOf("abcd"), 0, 4, 0)
  const synced = file.sync()
  file.writeUnsafe(bytesOf("XYZ"), 0, 3, 2)
  await synced
  files.renameUnsafe("/data/file", "/data/other")
  const text = (disk: SimulatedFiles, path: string): string => new TextDecoder().decode(disk.contentUnsafe(path))
  assert.equal(text(files.afterCrash(keepNothing), "/data/file"), "abcd")
  assert.equal(text(files.afterCrash(keepAll), "/data/other"), "abXYZ")
  const torn = files.afterCrash((length) => (length === 1 ? [0, 0] : [1, length]))
  assert.equal(text(torn, "/data/file"), "abcYZ")
  files.hook = ({ name }) => (name === "sync" ? { code: "failed", reason: "the disk failed" } : undefined)
  await refused("failed", () => file.sync())
  files.hook = undefined
  await file.sync()
  assert.equal(text(files.afterCrash(keepNothing), "/data/file"), "abcd", "a sync that failed is not made up for")
  files.hook = ({ name }) => (name === "write" ? { code: "disk-full", reason: "full", written: 1 } : undefined)
  await refused("disk-full", () => file.writeUnsafe(bytesOf("12"), 0, 2, 0))
  assert.equal(contentOf(file), "1bXYZ")
})
