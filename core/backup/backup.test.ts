import assert from "node:assert/strict"
import { join } from "node:path"
import { describe, test } from "node:test"
import { Effect } from "effect"
import { fileTree } from "../platform/file-tree.ts"
import { PluginError } from "../plugin/Plugin.ts"
import { BackupError } from "./BackupError.ts"
import { decodeManifest, encodeManifest, ManifestFault } from "./backup-manifest.ts"
import { BACKUP, DATA, Disk, NEW } from "./fakes.ts"

async function filled(): Promise<Disk> {
  const disk = new Disk()
  await disk.fill()
  return disk
}

const says = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof BackupError, String(error))
  assert.match(error.message, pattern)
  assert.ok(!error.message.includes("\n"))
  return true
}

/** What a disk holds below a directory, by name. */
async function contentOf(disk: Disk, directory: string): Promise<Readonly<Record<string, string>>> {
  const tree = await Effect.runPromise(fileTree(disk.files, directory))
  return Object.fromEntries(tree.map(({ name }) => [name, disk.text(join(directory, name))]))
}

describe("a backup", () => {
  test("holds the state, the journals as far as they are synced, and the format; and is restored as that", async () => {
    const disk = await filled()
    const manifest = await disk.backup()
    assert.equal(disk.held, 0)
    const expected = {
      format: disk.text(join(DATA, "format")),
      "store-0/deep/state.db": "state of store 0",
      "store-0/journal/1.journal": "store 0: first segment",
      "store-0/journal/2.journal": "store 0: second segment",
      "store-1/deep/state.db": "state of store 1",
      "store-1/journal/1.journal": "store 1: first segment",
      "store-1/journal/2.journal": "store 1: second segment"
    }
    const { "backup.json": text = "", ...copied } = await contentOf(disk, BACKUP)
    assert.deepEqual(copied, expected)
    assert.deepEqual(decodeManifest(new TextEncoder().encode(text)), manifest)
    assert.deepEqual(
      manifest.files.map(({ name, bytes }) => [name, bytes]),
      Object.entries(expected).map(([name, content]) => [name, content.length])
    )
    assert.deepEqual(manifest.stores, [
      { store: 0, journal_index: 9 },
      { store: 1, journal_index: 9 }
    ])
    assert.equal(manifest.taken_at, "2023-11-14T22:13:20.000Z")
    assert.deepEqual(await disk.restore(), manifest)
    assert.deepEqual(await contentOf(disk, NEW), expected)
    assert.equal(await disk.start(NEW), await disk.start())
  })

  test("asks for the positions of all journals in one step, when all of them are synced", async () => {
    const disk = await filled()
    const events: Array<string> = []
    const stores = [disk.store(0), disk.store(1)].map((store) => ({
      ...store,
      parts: () =>
        store.parts().map((part) => ({
          ...part,
          copy: (directory: string) =>
            Effect.tap(part.copy(directory), () => Effect.sync(() => events.push(`copied ${store.number}`)))
        })),
      hold: async () => {
        const held = await store.hold()
        await new Promise((resolve) => setTimeout(resolve, store.number * 20))
        events.push(`held ${store.number}`)
        return held
      },
      synced: () => {
        events.push(`synced ${store.number}`)
        if (store.number === 0) setImmediate(() => events.push("next step"))
        return store.synced()
      }
    }))
    await disk.backup(BACKUP, stores)
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(events, [
      "held 0",
      "held 1",
      "copied 0",
      "copied 1",
      "held 0",
      "held 1",
      "synced 0",
      "synced 1",
      "next step"
    ])
    assert.equal(disk.held, 0)
  })

  test("goes to a directory that is missing or empty, and not one of the node's own", async () => {
    const disk = await filled()
    disk.put("/srv/file", "")
    disk.files.directories.add("/srv/full").add("/srv/empty")
    disk.put("/srv/full/notes", "mine")
    for (const [target, pattern] of [
      ["/srv/full", /"\/srv\/full" is not empty: it holds notes; name one that is missing or empty$/],
      ["/srv/file", /cannot use "\/srv\/file": the path is a file, not a directory$/],
      [DATA, /lie one in the other/],
      [join(DATA, "store-0", "x"), /lie one in the other/],
      [`${DATA}/../data`, /lie one in the other/],
      ["/srv", /lie one in the other/]
    ] as const) {
      const before = await contentOf(disk, "/srv")
      await assert.rejects(disk.backup(target), says(pattern))
      assert.deepEqual(await contentOf(disk, "/srv"), before)
    }
    await disk.backup("/srv/empty")
    await disk.backup("/srv/data-2")
  })

  test("that fails is none, says why, and holds no journal", async () => {
    const disk = await filled()
    const store = disk.store(1)
    const copy = () => Effect.fail(new PluginError({ plugin: "state", message: "the disk is full" }))
    const failing = { ...store, parts: () => [{ name: "state", copy }] }
    await assert.rejects(disk.backup(BACKUP, [disk.store(0), failing]), says(/^store 1: state: the disk is full$/))
    assert.equal(disk.held, 0)
    await assert.rejects(disk.restore(), says(/"\/srv\/backup" was not finished: it cannot be restored; make another$/))
    await assert.rejects(disk.start(BACKUP), /it is a backup/)
    const refusing = { ...store, hold: () => Promise.reject(new Error("the disk is full")) }
    await assert.rejects(
      disk.backup("/srv/b", [disk.store(0), refusing]),
      says(/^store 1: its journal takes nothing: the disk/)
    )
    assert.equal(disk.held, 0)
    disk.files.faults.set("/srv/c/format", { code: "disk-full", reason: "the disk is full" })
    await assert.rejects(disk.backup("/srv/c"), says(/^\/srv\/c\/format: the disk is full$/))
  })

  test("crash and power at every step: whole, or not restored", async () => {
    const whole = await filled()
    const before = whole.operations
    await whole.backup()
    const steps = whole.operations - before
    const expected = await contentOf(whole, BACKUP)
    let restored = 0
    for (let step = 0; step < steps; step++) {
      for (const power of [false, true]) {
        const disk = await filled()
        disk.crashesAt = disk.operations + step
        await assert.rejects(disk.backup())
        disk.crashesAt = Number.POSITIVE_INFINITY
        if (power) disk.files = disk.files.afterCrash(() => [0, 0])
        const outcome = await disk.restore().catch((error: unknown) => error)
        if (outcome instanceof BackupError) {
          assert.match(outcome.message, /was not finished|holds no backup\.json|cannot read the backup/)
          continue
        }
        restored += 1
        const { "backup.json": _, ...files } = expected
        assert.deepEqual(await contentOf(disk, NEW), files, `after a crash at ${step}`)
      }
    }
    assert.ok(restored > 0 && restored < steps, `${restored} of ${steps}`)
  })
})

describe("a restore", () => {
  test("any bit that is turned is found before anything is written, and its file named", async () => {
    const disk = await filled()
    await disk.backup()
    for (const name of Object.keys(await contentOf(disk, BACKUP))) {
      const pathname = join(BACKUP, name)
      const size = disk.files.contentUnsafe(pathname).length
      for (let position = 0; position < size; position += name === "backup.json" ? 1 : 7) {
        disk.files.flipBit(pathname, position, position % 8)
        disk.damaged.length = 0
        await assert.rejects(disk.restore(), (error: unknown) => {
          assert.ok(error instanceof BackupError, String(error))
          const told = [...disk.damaged, error.message].join("\n")
          assert.ok(told.includes(pathname), told)
          return true
        })
        disk.files.flipBit(pathname, position, position % 8)
      }
    }
    assert.ok(!(await disk.names("/srv")).includes("new/"))
    await disk.restore()
  })

  test("a file that is missing, longer or shorter is told, each of them", async () => {
    const disk = await filled()
    await disk.backup()
    await Effect.runPromise(disk.files.remove(join(BACKUP, "store-0/journal/1.journal")))
    disk.put(join(BACKUP, "store-1/deep/state.db"), "state of store 1 and more")
    await assert.rejects(disk.restore(), says(/^2 of 7 files of the backup are not as they were: nothing was restored/))
    assert.deepEqual(disk.damaged, [
      "/srv/backup/store-0/journal/1.journal: no such file",
      "/srv/backup/store-1/deep/state.db: it has 25 bytes; it was backed up with 16"
    ])
  })

  test("goes to a directory that is missing or empty", async () => {
    const disk = await filled()
    await disk.backup()
    await assert.rejects(disk.restore(BACKUP, DATA), says(/"\/srv\/data" is not empty/))
    await assert.rejects(disk.restore(BACKUP, BACKUP), says(/"\/srv\/backup" is not empty/))
    await assert.rejects(disk.restore("/srv/none"), says(/cannot read the backup "\/srv\/none": no such file$/))
    await assert.rejects(disk.restore(DATA), says(/"\/srv\/data" is no backup: it holds no backup\.json$/))
  })

  test("crash and power at every step: no node starts there, or one with all of it", async () => {
    const whole = await filled()
    await whole.backup()
    const before = whole.operations
    await whole.restore()
    const steps = whole.operations - before
    const expected = await contentOf(whole, NEW)
    const id = await whole.start()
    let started = 0
    for (let step = 0; step < steps; step++) {
      for (const power of [false, true]) {
        const disk = await filled()
        await disk.backup()
        disk.crashesAt = disk.operations + step
        await disk.restore().catch(() => {})
        disk.crashesAt = Number.POSITIVE_INFINITY
        if (power) disk.files = disk.files.afterCrash(() => [0, 0])
        const found = await contentOf(disk, NEW).catch(() => ({}))
        const outcome = await disk.start(NEW).catch((error: Error) => error.message)
        if (/cannot use/.test(outcome)) continue
        started += 1
        // Where nothing at all came to be, a node makes a directory of its own.
        if (outcome !== id)
          assert.deepEqual(
            Object.keys(found).filter((name) => name.startsWith("store-")),
            []
          )
        else assert.deepEqual(await contentOf(disk, NEW), expected, `after a crash at ${step}`)
      }
    }
    assert.ok(started > 0)
  })

  test("is refused where it was cut short before", async () => {
    const disk = await filled()
    await disk.backup()
    disk.files.faults.set(join(NEW, "store-1/journal/2.journal"), { code: "disk-full", reason: "the disk is full" })
    await assert.rejects(disk.restore(), says(/store-1\/journal\/2\.journal: the disk is full$/))
    disk.files.faults.clear()
    await assert.rejects(disk.start(NEW), /a backup was being restored into it, and that was cut short/)
    await assert.rejects(disk.restore(), says(/"\/srv\/new" is not empty: it holds/))
  })
})

describe("backup.json", () => {
  const manifest = {
    manifold: "backup" as const,
    format: 1 as const,
    taken_at: "2023-11-14T22:13:20.000Z",
    node: "node-1",
    directory: "0f8fad5b-d9cb-469f-a165-70867728950e",
    created_by: "0.1.0",
    stores: [{ store: 0, journal_index: 3 }],
    files: [{ name: "format", bytes: 1, sha256: "0".repeat(64) }]
  }
  const changed = (change: object): Uint8Array => encodeManifest({ ...manifest, ...change } as typeof manifest)

  test("says what it says, and is JSON", () => {
    assert.deepEqual(decodeManifest(encodeManifest(manifest)), manifest)
    assert.equal(JSON.parse(new TextDecoder().decode(encodeManifest(manifest))).sha256.length, 64)
  })

  test("a name never leads out of the backup", () => {
    for (const name of ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".", "a/.", "..", "a\\b", "a\0b", "C:/x"]) {
      const bytes = changed({ files: [{ name, bytes: 1, sha256: "0".repeat(64) }] })
      assert.throws(() => decodeManifest(bytes), ManifestFault, JSON.stringify(name))
    }
    assert.equal(
      decodeManifest(changed({ files: [{ name: "a/.b/c-1_~.db", bytes: 1, sha256: "0".repeat(64) }] })).files.length,
      1
    )
  })

  test("a newer format, other forms and damage are told apart", () => {
    assert.throws(() => decodeManifest(changed({ format: 2, more: true })), /of format 2, made by a newer release/)
    assert.throws(
      () => decodeManifest(changed({ files: [{ name: "x", bytes: -1, sha256: "" }] })),
      /it is none of ours: files\.0/
    )
    assert.throws(() => decodeManifest(new Uint8Array(0)), /it is damaged: its last line is no checksum/)
    assert.throws(() => decodeManifest(encodeManifest(manifest).subarray(1)), /it is damaged: its checksum/)
  })
})
