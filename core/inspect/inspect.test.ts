import assert from "node:assert/strict"
import { join } from "node:path"
import { describe, test } from "node:test"
import { Effect, Exit, Layer, Scope } from "effect"
import fc from "fast-check"
import * as v from "valibot"
import { openRig } from "../journal/fakes.ts"
import { openDataDirectory, storeDirectoryOf } from "../node/data-directory.ts"
import { StartError } from "../node/StartError.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import type { PartReport } from "../plugin/Inspection.ts"
import { CONTRACT_VERSION, type MetaPlugin, PluginError, type StoragePlugin } from "../plugin/Plugin.ts"
import { checkReports } from "./check-reports.ts"
import { type DirectoryReport, inspectDirectory } from "./inspect-directory.ts"
import { inspectJournal } from "./inspect-journal.ts"

const DATA = "/srv/data"
const JOURNAL = join(storeDirectoryOf(DATA, 0), "journal")
const whole: PartReport = {
  part: "database",
  names: ["state.db"],
  bytes: 10,
  counts: { rows: 3, journal_index: 2 },
  damage: [],
  notes: []
}

class World {
  readonly files = new SimulatedFiles({ trace: () => {}, later: (task) => setImmediate(task) })
  plugins: Array<StoragePlugin | MetaPlugin> = []
  pauses = 0
  onPause: (() => void) | undefined

  /** A directory of two stores; the first has a journal of `count` entries. */
  static async with(count: number): Promise<World> {
    const world = new World()
    const scope = Scope.makeUnsafe()
    const log = { warn: () => {} }
    const random = Xoshiro128.seeded(1, 0)
    const opening = openDataDirectory({ directory: DATA, files: world.files, random, shards: 2, version: "0.1.0", log })
    await Effect.runPromise(Scope.provide(opening, scope))
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await Effect.runPromise(world.files.ensureWritableDirectory(JOURNAL))
    const rig = await openRig({ files: world.files, parts: { directory: JOURNAL } })
    for (let number = 0; number < count; number++) {
      rig.put(`message ${number} ${"x".repeat(60)}`)
      await rig.settle()
    }
    await rig.close()
    world.files.later = (task) => setImmediate(task)
    return world
  }

  look(depth: "stats" | "verify" = "verify"): Promise<DirectoryReport> {
    const pause = async (): Promise<void> => {
      this.pauses += 1
      this.onPause?.()
    }
    return Effect.runPromise(
      inspectDirectory({
        directory: DATA,
        files: this.files,
        depth,
        plugins: this.plugins.map((plugin) => ({ plugin, options: { key: "value" } })),
        pace: async () => {},
        inspectJournal: (request) => inspectJournal(request, pause)
      })
    )
  }

  put(pathname: string, text: string): void {
    const file = this.files.openUnsafe(pathname, "create")
    file.writeUnsafe(new TextEncoder().encode(text), 0, text.length, 0)
    file.close()
  }

  /** A storage plugin that answers this of each store. */
  storage(inspect: NonNullable<StoragePlugin["inspect"]>, name = "my-store"): void {
    const { layer } = { layer: () => Layer.empty as never }
    const version = "1.0.0"
    const options = v.strictObject({})
    const base = { name, version, contractVersion: CONTRACT_VERSION, options, layer, inspect }
    this.plugins.push({ ...base, kind: "storage", runs: "shard", engines: [] })
  }
}

const partsOf = ({ parts }: DirectoryReport): ReadonlyArray<string> =>
  parts.map(({ store, owner, part, damage }) => `${store} ${owner} ${part}${damage.length > 0 ? " damaged" : ""}`)

describe("a data directory is looked through", () => {
  test("each store by core and by each plugin, with the plugin's own options", async () => {
    const world = await World.with(30)
    const asked: Array<unknown> = []
    world.storage((options, { depth, store, directory }) => {
      asked.push([options, depth, store, directory])
      return Effect.succeed([{ ...whole, part: "small" }, whole])
    })
    const inspect = world.plugins[0]?.inspect
    world.plugins.push({ ...(world.plugins[0] as StoragePlugin), name: "my-meta", kind: "meta", runs: "node" } as never)
    const report = await world.look("stats")
    assert.deepEqual(partsOf(report), [
      "0 core journal",
      "0 my-store small",
      "0 my-store database",
      "0 my-meta small",
      "0 my-meta database",
      "1 my-store small",
      "1 my-store database",
      "1 core journal damaged"
    ])
    assert.ok(inspect !== undefined && report.stores === 2 && report.createdBy === "0.1.0")
    assert.deepEqual(asked, [
      [{ key: "value" }, "stats", 0, join(DATA, "store-0")],
      [{ key: "value" }, "stats", 0, join(DATA, "store-0")],
      [{ key: "value" }, "stats", 1, join(DATA, "store-1")]
    ])
    const journal = report.parts[0]
    const { entries = 0, first_index = 0, last_index = 0 } = journal?.counts ?? {}
    assert.ok(entries >= 30 && last_index - first_index + 1 === entries && (journal?.bytes ?? 0) > 2_000)
  })

  test("topics have the names that the agreed state gives them, where it can be read", async () => {
    const world = await World.with(1)
    const encoder = new TextEncoder()
    world.storage((_, { metaEntry }) => {
      metaEntry?.("topics/0/orders", encoder.encode('{"id":"id-1","name":"orders"}'))
      metaEntry?.("removed-topics/id-2", encoder.encode('{"id":"id-2","name":"old"}'))
      metaEntry?.("topics/0/broken", encoder.encode("{"))
      metaEntry?.("topics/0/other", encoder.encode('{"id":7}'))
      metaEntry?.("else", encoder.encode('{"id":"id-3","name":"else"}'))
      return Effect.succeed([])
    })
    assert.deepEqual(
      [...(await world.look("stats")).topicNames],
      [
        ["id-1", "orders"],
        ["id-2", "old"]
      ]
    )
  })

  test("every bit of a synced entry and of a header is looked at, and what is damaged is told with its place", async () => {
    const world = await World.with(30)
    const names = (await Effect.runPromise(world.files.list(JOURNAL))).filter((name) => name.endsWith(".journal"))
    assert.ok(names.length > 2)
    const pathname = join(JOURNAL, names.toSorted()[0] ?? "")
    for (let position = 0; position < 700; position += 9) {
      world.files.flipBit(pathname, position, position % 8)
      const { parts } = await world.look()
      const damage = parts[0]?.damage[0]
      assert.ok(damage !== undefined, `byte ${position}`)
      assert.ok(damage.pathname.startsWith(JOURNAL) && damage.position !== undefined, JSON.stringify(damage))
      assert.ok(damage.message !== "" && damage.remedy !== "")
      world.files.flipBit(pathname, position, position % 8)
    }
    assert.deepEqual((await world.look()).parts[0]?.damage, [])
  })

  test("what a running node was in the midst of is no damage: it is looked at again", async () => {
    const world = await World.with(30)
    const names = await Effect.runPromise(world.files.list(JOURNAL))
    const [name = ""] = names.filter((each) => each.endsWith(".journal")).toSorted()
    const flip = (): void => world.files.flipBit(join(JOURNAL, name), 100, 1)
    flip()
    world.onPause = () => {
      world.onPause = undefined
      flip()
    }
    assert.deepEqual((await world.look()).parts[0]?.damage, [])
    assert.equal(world.pauses, 1)
  })

  test("a state and a journal that do not meet are damage, though each is whole", async () => {
    const world = await World.with(30)
    const [first = ""] = (await Effect.runPromise(world.files.list(JOURNAL)))
      .filter((each) => each.endsWith(".journal"))
      .toSorted()
    world.storage((_, { store }) => Effect.succeed(store === 0 ? [whole] : []))
    assert.deepEqual(partsOf(await world.look()), ["0 core journal", "0 my-store database"])
    await Effect.runPromise(world.files.remove(join(JOURNAL, first)))
    const { parts } = await world.look()
    const told = parts.flatMap(({ damage }) => damage.map(({ message }) => message))
    assert.match(
      told.join(),
      /it begins with entry \d+, and the database of my-store goes up to entry 2: those between/
    )
    world.files.directories.delete(JOURNAL)
    const gone = (await world.look()).parts.flatMap(({ damage }) => damage.map(({ message }) => message))
    assert.deepEqual(gone, ["the database of my-store goes up to entry 2, and the journal is missing"])
  })

  test("files that nobody knows are named, and are no damage", async () => {
    const world = await World.with(1)
    world.put(join(DATA, "store-1", "old.db"), "12345")
    world.put(join(DATA, "store-1", "state.db"), "1")
    world.put(join(DATA, "store-1", ".probe-1-1"), "")
    world.files.directories.add(join(DATA, "store-0", "empty"))
    world.storage((_, { store }) => Effect.succeed(store === 1 ? [{ ...whole, counts: {} }] : []))
    const [unknown, ...more] = (await world.look()).parts.filter(({ part }) => part === "unknown")
    assert.deepEqual(more, [])
    assert.deepEqual([unknown?.store, unknown?.bytes, unknown?.counts], [1, 5, { files: 1 }])
    assert.match(unknown?.notes[0] ?? "", /no plugin of this configuration knows old\.db: not checked/)
  })

  test("a plugin that cannot look, or answers anything else, is damage of its own; the rest is looked at", async () => {
    const answers: ReadonlyArray<readonly [NonNullable<StoragePlugin["inspect"]>, RegExp]> = [
      [
        () => Effect.fail(new PluginError({ plugin: "my-store", message: "no key" })),
        /my-store cannot look at its files: no key/
      ],
      [() => Effect.die(new Error("boom")), /cannot look at its files: boom/],
      [
        () => {
          throw new Error("thrown")
        },
        /cannot look at its files: thrown/
      ],
      [() => Effect.succeed("text" as never), /it answers with the answer: /],
      [() => Effect.succeed([{ ...whole, bytes: -1 }]), /it answers with 0\.bytes: /],
      [() => undefined as never, /cannot look at its files/]
    ]
    for (const [inspect, says] of answers) {
      const world = await World.with(3)
      world.storage(inspect)
      world.storage(() => Effect.succeed([{ ...whole, counts: {} }]), "other")
      const report = await world.look()
      const damage = report.parts.filter(({ owner }) => owner === "my-store").flatMap((part) => part.damage)
      assert.equal(damage.length, 2)
      for (const { message } of damage) assert.match(message, says)
      assert.equal(report.parts.filter(({ owner, damage: found }) => owner === "other" && found.length === 0).length, 2)
    }
  })

  test("is none where format says so; a store that is missing is damage", async () => {
    const world = await World.with(1)
    world.files.directories.delete(join(DATA, "store-1"))
    assert.deepEqual(partsOf(await world.look()), ["0 core journal", "1 core store damaged"])
    await Effect.runPromise(world.files.remove(join(DATA, "format")))
    await assert.rejects(
      world.look(),
      (error) => error instanceof StartError && /it is no data directory/.test(error.message)
    )
  })
})

test("what a plugin answers is a report, or refused in words, whatever it is", () => {
  assert.deepEqual(checkReports([whole]), [whole])
  assert.deepEqual(checkReports([{ ...whole, more: 1 }]), [whole])
  const damage = { pathname: "/x", position: 3, message: "m", remedy: "r" }
  assert.deepEqual(checkReports([{ ...whole, damage: [damage] }]), [{ ...whole, damage: [damage] }])
  fc.assert(
    fc.property(fc.anything(), (answer) => {
      const checked = checkReports(answer)
      assert.ok(typeof checked === "string" || Array.isArray(checked))
    })
  )
})
