/** Indexes that are missing or damaged are written anew by the store that finds them: once, off the loop, and never over what is newer. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import {
  append,
  Bench,
  batchOf,
  keyOf,
  logsOf,
  makeDisk,
  readAll,
  reopened,
  type Stored,
  storeBatches,
  turned
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

// Runs of an index are 16 KiB: a segment of 90 KB has some, and an open end behind them.
const SETTINGS = { settings: { segment_bytes: 90_000 } }
const indexOf = (log = ""): string => log.replace(/log$/, "index")
const bytesOf = (files: SimulatedFiles, pathname: string): Uint8Array => files.contentUnsafe(pathname).slice()
const told = ({ store }: Stored, text: string): number => store.lines.filter((line) => line.includes(text)).length

/** Two partitions of three segments each. */
async function filled(files = makeDisk(true)): Promise<Stored> {
  const stored = await storeBatches(bench, files, 2, 0, SETTINGS)
  const batches: Array<Array<Uint8Array>> = []
  for (const partition of stored.partitions) {
    const own: Array<Uint8Array> = []
    for (let each = 0; each < 80; each++) own.push(await append(partition, batchOf([each], 3_000, each)))
    batches.push(own)
  }
  await stored.store.store.checkpoints.flush()
  return { ...stored, batches }
}

async function readsAll({ partitions, batches }: Stored): Promise<void> {
  for (const [at, partition] of partitions.entries()) {
    assert.deepEqual(await readAll(partition), new Uint8Array(Buffer.concat([...(batches[at] ?? [])])))
  }
}

test("every damaged index is rewritten as it was, told once, and not made anew after the next start", async () => {
  const before = await filled()
  await before.store.kill()
  const indexes = [1, 2].flatMap((id) => logsOf(before.files, id)).map(indexOf)
  assert.equal(indexes.length, 6)
  const whole = indexes.map((pathname) => bytesOf(before.files, pathname))
  for (const [at, pathname] of indexes.entries()) {
    if (at === 0) await Effect.runPromise(before.files.remove(pathname))
    else if (at === 1) before.files.openUnsafe(pathname, "write").truncateUnsafe(10)
    else before.files.flipBit(pathname, 5 + at, 3)
  }
  const stored = await reopened(bench, before, SETTINGS)
  const { rewrites } = stored.store.store.indexes
  // More indexes than are kept in memory: each is loaded again and again.
  for (let round = 0; round < 3; round++) {
    await readsAll(stored)
    await rewrites.whenIdle()
  }
  assert.deepEqual(
    indexes.map((pathname) => bytesOf(stored.files, pathname)),
    whole
  )
  assert.equal(rewrites.rewritten, 6)
  assert.equal(told(stored, "made anew from its segment"), 6)
  const again = await reopened(bench, stored, SETTINGS)
  await readsAll(again)
  assert.equal(again.store.store.indexes.rewrites.rebuilt, 0)
})

test("an index that cannot be written is told once, and everything is served", async () => {
  const before = await filled()
  await before.store.kill()
  const pathname = indexOf(logsOf(before.files)[0])
  before.files.flipBit(pathname, 3, 1)
  const stored = await reopened(bench, before, { settings: { ...SETTINGS.settings, index_bytes_max: 1 } })
  stored.files.hook = ({ name, pathname: path }) =>
    name === "open create" && path === pathname ? { code: "not-permitted", reason: "the test said so" } : undefined
  const { rewrites } = stored.store.store.indexes
  for (let round = 0; round < 3; round++) {
    await readsAll(stored)
    await rewrites.whenIdle()
  }
  assert.ok(rewrites.rebuilt >= 3, `${rewrites.rebuilt}`)
  assert.equal(rewrites.rewritten, 0)
  assert.equal(told(stored, "made anew from its segment"), 1)
  assert.equal(told(stored, "cannot be written anew"), 1)
})

/** Holds what is written to `pathname`, and all that is asked of the disk meanwhile, until `release` is called. */
function held(files: SimulatedFiles, pathname: string): { readonly count: () => number; release(): void } {
  const { later } = files
  const tasks: Array<() => void> = []
  files.hook = ({ name, pathname: path }) => {
    if (name === "open create" && path === pathname && tasks.length === 0) {
      files.later = (task) => {
        tasks.push(task)
        files.later = later
        files.hook = undefined
      }
    }
    return undefined
  }
  return {
    count: () => tasks.length,
    release: () => {
      for (const task of tasks) task()
    }
  }
}

for (const what of ["grows", "is cut", "is removed"]) {
  for (const when of ["is being written anew", "is to be written anew"]) {
    test(`a segment that ${what} while its index ${when}: nothing of what is newer is lost`, async () => {
      const before = await filled()
      await before.store.kill()
      const [pathname, other] = [1, 2].map((id) => indexOf(logsOf(before.files, id).at(-1))) as [string, string]
      for (const each of [pathname, other]) before.files.flipBit(each, 3, 1)
      const stored = await reopened(bench, before, SETTINGS)
      const { checkpoints, indexes, writer, catalogue } = stored.store.store
      const [partition] = stored.partitions
      const [segment, first] = [1, 2].map((id) => catalogue.get(id)?.segments.at(-1))
      assert.ok(partition !== undefined && segment !== undefined && first !== undefined)
      const writing = held(stored.files, when === "is to be written anew" ? other : pathname)
      if (when === "is to be written anew") await indexes.load(2, first)
      await indexes.load(1, segment)
      for (let turns = 0; turns < 5; turns++) await turned()
      assert.equal(writing.count(), 1)
      const batches = [...(stored.batches[0] ?? [])]
      if (what === "grows") {
        for (let each = 0; each < 8; each++) batches.push(await append(partition, batchOf([each], 3_000, each + 9)))
      } else if (what === "is cut") {
        await partition.truncateTo(segment.base + 2)
        batches.splice(segment.base + 2)
        for (let each = 0; each < 12; each++) batches.push(await append(partition, batchOf([each], 2_000, each + 9)))
      } else await Effect.runPromise(stored.store.engine.remove(keyOf("0")))
      await checkpoints.flush()
      await writer.whenIdle()
      const names = [...stored.files.names()]
      writing.release()
      await indexes.rewrites.whenIdle()
      assert.deepEqual([...stored.files.names()], names, "no file is made")
      assert.equal(told(stored, "cannot be written anew"), 0)
      if (what === "is removed") return
      const found = { ...stored, batches: [batches, stored.batches[1] ?? []] }
      await readsAll(found)
      const again = await reopened(bench, found, SETTINGS)
      await readsAll(again)
      await again.store.store.indexes.rewrites.whenIdle()
      // Where it was not written, the next start does it.
      const last = await reopened(bench, again, SETTINGS)
      await readsAll(last)
      assert.equal(last.store.store.indexes.rewrites.rebuilt, 0)
    })
  }
}
