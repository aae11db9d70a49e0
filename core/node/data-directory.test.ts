import assert from "node:assert/strict"
import { join } from "node:path"
import { describe, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { type DataDirectory, openDataDirectory } from "./data-directory.ts"
import { decodeFormat, encodeFormat, FormatFault } from "./directory-format.ts"
import { StartError } from "./StartError.ts"

const DATA = "/srv/data"
const FORMAT = join(DATA, "format")

/** The process ends here: nothing after it happens, and nothing that is told is heard. */
class Crash extends Error {}

class World {
  /** Operations on files so far, and the one at which the process ends. */
  operations: Array<string> = []
  crashesAt = Number.POSITIVE_INFINITY
  readonly warnings: Array<string> = []
  files = new SimulatedFiles({
    trace: (operation, pathname) => {
      if (this.operations.length >= this.crashesAt) throw new Crash()
      this.operations.push(`${operation} ${pathname}`)
    },
    later: (task) => setImmediate(task)
  })
  readonly #random = Xoshiro128.seeded(1, 0)

  /** Opens the directory and gives it back at once. */
  async open(shards = 2, holder = "node-1, process 1"): Promise<DataDirectory> {
    const scope = Effect.runSync(Scope.make())
    try {
      return await Effect.runPromise(this.opening(shards, holder).pipe(Effect.provideService(Scope.Scope, scope)))
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void)).catch(() => {})
    }
  }

  opening(shards: number, holder: string): ReturnType<typeof openDataDirectory> {
    const log = { warn: (_: string, message: string) => void this.warnings.push(message) }
    const { files } = this
    return openDataDirectory({ directory: DATA, files, random: this.#random, shards, version: "0.1.0", log, holder })
  }

  async refuses(says: RegExp): Promise<void> {
    await assert.rejects(this.open(), (error: unknown) => {
      assert.ok(error instanceof StartError, String(error))
      assert.match(error.message, says)
      assert.match(error.message, /^node\.data: cannot use "\/srv\/data": [^\n]+$/)
      return true
    })
  }

  put(pathname: string, content: string | Uint8Array): void {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content
    const file = this.files.openUnsafe(pathname, "create")
    file.truncateUnsafe(0)
    file.writeUnsafe(bytes, 0, bytes.length, 0)
    file.close()
  }

  async names(pathname = DATA): Promise<ReadonlyArray<string>> {
    return (await Effect.runPromise(this.files.list(pathname))).toSorted()
  }
}

async function made(shards = 2): Promise<World> {
  const world = new World()
  await world.open(shards)
  return world
}

describe("a data directory", () => {
  test("is made at the first start and is the same at the second", async () => {
    const world = new World()
    const first = await world.open()
    assert.deepEqual(await world.names(), ["format", "store-0/", "store-1/"])
    assert.deepEqual([first.stores, first.storeDirectory(1)], [2, join(DATA, "store-1")])
    assert.throws(() => first.storeDirectory(2))
    const before = world.files.contentUnsafe(FORMAT).slice()
    const second = await world.open()
    assert.equal(second.id, first.id)
    assert.deepEqual(world.files.contentUnsafe(FORMAT), before)
    assert.deepEqual(world.warnings, [])
  })

  test("keeps its stores whatever the manifest says, and says so once", async () => {
    const world = await made(2)
    assert.equal((await world.open(8)).stores, 2)
    assert.deepEqual(world.warnings, ['node.shards is 8, but "/srv/data" was made with 2 stores: it is run by 2'])
  })

  test("is told apart from another by its id", async () => {
    const world = await made()
    const { id } = await world.open()
    await Effect.runPromise(world.files.remove(FORMAT))
    assert.notEqual((await world.open()).id, id)
  })

  test("crash at every step of the first start: the next start, with other shards too, comes to its end", async () => {
    const whole = await made()
    const steps = whole.operations.length
    assert.ok(steps > 15, `${steps} steps`)
    for (let crashesAt = 0; crashesAt < steps; crashesAt++) {
      for (const shards of [1, 2, 3]) {
        const world = new World()
        world.crashesAt = crashesAt
        await world.open().catch(() => {})
        const wasMade = world.operations.some((operation) => operation === `rename to ${FORMAT}`)
        world.crashesAt = Number.POSITIVE_INFINITY
        const { stores, id } = await world.open(shards)
        if (stores !== shards) assert.ok(wasMade && stores === 2, `${stores} after a crash at ${crashesAt}`)
        assert.equal((await world.open(shards)).id, id)
        for (let number = 0; number < stores; number++) {
          assert.ok((await world.names()).includes(`store-${number}/`))
        }
      }
    }
  })

  test("power: the name follows the sync of the content, and both the names of the stores", async () => {
    const { operations } = await made()
    const order = [
      `directory ${join(DATA, "store-1")}`,
      `sync directory ${DATA}`,
      "sync directory /srv",
      "sync directory /",
      `write ${FORMAT}.new`,
      `sync ${FORMAT}.new`,
      `rename ${FORMAT}.new`
    ].map((operation) => operations.indexOf(operation))
    assert.ok(
      order.every((at, index) => at > (order[index - 1] ?? -1)),
      String(order)
    )
    assert.ok(operations.lastIndexOf(`sync directory ${DATA}`) > (order.at(-1) ?? 0))
  })

  test("power that goes at any step of the first start, and what a disk may then hold: the next start comes to its end", async () => {
    const steps = (await made()).operations.length
    for (let crashesAt = 0; crashesAt < steps; crashesAt++) {
      for (let seed = 0; seed < 6; seed++) {
        const chance = Xoshiro128.seeded(seed, crashesAt)
        const world = new World()
        world.files.isLossy = true
        world.crashesAt = crashesAt
        await world.open().catch(() => {})
        world.crashesAt = Number.POSITIVE_INFINITY
        // Of each piece that is not synced a part is there, all of it or nothing.
        world.files = world.files.afterCrash((length) => [0, chance.below(length + 1)])
        const { id, stores } = await world.open()
        assert.equal(stores, 2)
        world.files = world.files.afterCrash(() => [0, 0])
        assert.equal((await world.open()).id, id, `crash at ${crashesAt}, seed ${seed}`)
      }
    }
  })

  test("what lies under the new name after a power loss is written over", async () => {
    const world = new World()
    await Effect.runPromise(world.files.ensureWritableDirectory(DATA))
    world.put(`${FORMAT}.new`, "x".repeat(9_000))
    await world.open()
    assert.deepEqual(await world.names(), ["format", "store-0/", "store-1/"])
  })

  test("leaves what is not its own alone, and says so at the first start", async () => {
    const world = new World()
    await Effect.runPromise(world.files.ensureWritableDirectory(join(DATA, "lost+found")))
    world.put(join(DATA, "notes.txt"), "mine")
    await world.open()
    await world.open()
    assert.deepEqual(world.warnings, ['"/srv/data" was not empty: what it held is left alone'])
    assert.equal(new TextDecoder().decode(world.files.contentUnsafe(join(DATA, "notes.txt"))), "mine")
  })

  test("whose format is lost while stores hold something is refused", async () => {
    const world = await made()
    world.put(join(DATA, "store-1", "journal"), "bytes")
    await Effect.runPromise(world.files.remove(FORMAT))
    await world.refuses(/format is missing, but store-1 holds journal: put format back from a backup/)
  })

  test("whose store is lost, or became a file, is refused", async () => {
    const world = await made()
    world.files.directories.delete(join(DATA, "store-1"))
    await world.refuses(/store-1, one of 2, is missing: restore/)
    world.put(join(DATA, "store-1"), "")
    await world.refuses(/store-1, one of 2, is a file, not a directory/)
  })

  test("is no backup, nor what a restore left that was cut short", async () => {
    const world = await made()
    for (const name of ["backup.json", "backup.started"]) {
      world.put(join(DATA, name), "")
      await world.refuses(
        /it is a backup: manifold backup restore "\/srv\/data" --data NEW makes a data directory of it$/
      )
      await Effect.runPromise(world.files.remove(join(DATA, name)))
    }
    world.put(join(DATA, "restore.started"), "")
    await world.open()
    assert.ok(!(await world.names()).includes("restore.started"))
    world.put(join(DATA, "restore.started"), "")
    await Effect.runPromise(world.files.remove(FORMAT))
    await world.refuses(/a backup was being restored into it, and that was cut short/)
  })

  test("a store beyond its count that holds something is told of", async () => {
    const world = await made(2)
    await Effect.runPromise(world.files.ensureWritableDirectory(join(DATA, "store-2")))
    await world.open()
    assert.deepEqual(world.warnings, [])
    world.put(join(DATA, "store-2", "journal"), "bytes")
    await world.open()
    assert.deepEqual(world.warnings, ['"/srv/data" was made with 2 stores: store-2 is left alone'])
  })

  test("is refused where it is a file, lies below one, or may not be written to", async () => {
    const world = new World()
    await Effect.runPromise(world.files.ensureWritableDirectory("/srv"))
    world.put(DATA, "")
    await world.refuses(/a file, not a directory/)
    const bare = new World()
    bare.files.faults.set(DATA, { code: "not-permitted", reason: "not permitted to write there" })
    await bare.refuses(/not permitted to write there/)
    const inner = await made()
    inner.files.faults.set(join(DATA, "store-0"), { code: "not-permitted", reason: "not permitted to write there" })
    await inner.refuses(/\/srv\/data\/store-0: not permitted/)
    const full = new World()
    full.files.faults.set(`${FORMAT}.new`, { code: "disk-full", reason: "the disk is full" })
    await full.refuses(/format\.new: the disk is full/)
  })
})

describe("the lock of a data directory", () => {
  test("says who holds it, as far as that is known, and is given back with what it said", async () => {
    const world = await made()
    const scope = Effect.runSync(Scope.make())
    const opening = world.opening(2, "node-1, process 42").pipe(Effect.provideService(Scope.Scope, scope))
    await Effect.runPromise(opening)
    world.files.faults.set(join(DATA, "lock"), { code: "locked", reason: "another process uses it" })
    await world.refuses(/: another process uses it \(node-1, process 42\)$/)
    world.put(join(DATA, "holder"), "\u001b[2Jbad\nmore")
    await world.refuses(/: another process uses it \(\?\[2Jbad\)$/)
    await Effect.runPromise(world.files.remove(join(DATA, "holder")))
    await world.refuses(/: another process uses it$/)
    world.files.faults.clear()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    assert.ok(!(await world.names()).includes("holder"))
  })

  test("that cannot be taken for another reason says that", async () => {
    const world = await made()
    world.files.faults.set(join(DATA, "lock"), { code: "failed", reason: "file is not a database" })
    await world.refuses(/: lock: file is not a database$/)
  })

  test("is taken before anything is read or made", async () => {
    const world = new World()
    world.files.faults.set(join(DATA, "lock"), { code: "locked", reason: "another process uses it" })
    await world.refuses(/another process/)
    assert.deepEqual(await world.names(), [])
  })

  test("is taken though its holder cannot be written down", async () => {
    const world = new World()
    world.files.faults.set(join(DATA, "holder"), { code: "disk-full", reason: "the disk is full" })
    assert.equal((await world.open()).stores, 2)
  })
})

describe("the format of a data directory", () => {
  const format = { id: "0f8fad5b-d9cb-469f-a165-70867728950e", stores: 3, createdBy: "0.1.0" }

  test("is these bytes", () => {
    const text = new TextDecoder().decode(encodeFormat(format))
    assert.equal(
      text,
      "manifold data directory\nformat 1\nid 0f8fad5b-d9cb-469f-a165-70867728950e\nstores 3\ncreated-by 0.1.0\ncrc32c 4b83568d\n"
    )
    assert.deepEqual(decodeFormat(encodeFormat(format)), format)
  })

  test("one bit that is turned, and every cut, is damage", async () => {
    const bytes = encodeFormat(format)
    for (let position = 0; position < bytes.length; position++) {
      for (let bit = 0; bit < 8; bit++) {
        const turned = bytes.slice()
        turned[position] = (turned[position] ?? 0) ^ (1 << bit)
        assert.throws(() => decodeFormat(turned), /it is damaged/)
      }
      assert.throws(() => decodeFormat(bytes.subarray(0, position)), /it is damaged/)
    }
    const world = await made()
    world.put(FORMAT, bytes.subarray(1))
    await world.refuses(/: format: it is damaged: its checksum is that of other content$/)
    world.put(FORMAT, new Uint8Array(9_000))
    await world.refuses(/: format: it has 9000 bytes; 4096 are the most$/)
  })

  test("any bytes are read or refused in words", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.throws(() => decodeFormat(bytes), FormatFault)
      })
    ))

  test("a newer one is told from damage", async () => {
    const newer = withChecksum("manifold data directory\nformat 2\nanything at all\n")
    const world = await made()
    world.put(FORMAT, newer)
    await world.refuses(
      /: format: it is of format 2, made by a newer release; this one reads 1: start the newer release$/
    )
    for (const body of [
      "another title\nformat 1\n",
      "manifold data directory\nformat 0\n",
      "manifold data directory\nformat 1\nid x\nstores 3\ncreated-by 0.1.0\n",
      `manifold data directory\nformat 1\nid ${format.id}\nstores 0\ncreated-by 0.1.0\n`,
      `manifold data directory\nformat 1\nid ${format.id}\nstores 1025\ncreated-by 0.1.0\n`
    ]) {
      assert.throws(() => decodeFormat(withChecksum(body)), /it is damaged/)
    }
  })
})

/** A body with the checksum line that is its own, computed bit by bit. */
function withChecksum(body: string): Uint8Array {
  const bytes = new TextEncoder().encode(body)
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  const hex = ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0")
  return new TextEncoder().encode(`${body}crc32c ${hex}\n`)
}
