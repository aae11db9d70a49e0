/** A manifest that is lost is told from one that never was. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { dirname } from "node:path"
import { Effect } from "effect"
import { keepAll, keepNothing, keepSome } from "../../core/platform/simulated-content.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { inspect } from "./inspect.ts"
import { MARK_NAME } from "./store-mark.ts"
import {
  append,
  Bench,
  batchOf,
  DIRECTORY,
  keyOf,
  makeDisk,
  readAll,
  reopened,
  SEGMENTS,
  storeBatches
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const MARK = `${DIRECTORY}/${MARK_NAME}`
const remove = (files: SimulatedFiles, pathname: string): Promise<void> => Effect.runPromise(files.remove(pathname))
const refusal = (files: SimulatedFiles): Promise<string> =>
  bench.open(files).then(
    () => "",
    (error: unknown) => (error instanceof Error ? error.message : String(error))
  )

async function stored(): Promise<SimulatedFiles> {
  const { files, store } = await storeBatches(bench, makeDisk(), 2, 30)
  await store.close()
  return files
}

test("a manifest that is lost, alone or with its directory: the store does not start, and says what is where", async () => {
  for (const isAlone of [true, false]) {
    const files = await stored()
    if (isAlone) await remove(files, `${SEGMENTS}/manifest`)
    else await Effect.runPromise(files.removeDirectory(SEGMENTS))
    const why = `${SEGMENTS}/manifest: it is missing, and ${MARK} says that there was one: put it back, restore a backup, or `
    const before = [...files.names()]
    assert.ok((await refusal(files)).startsWith(why), await refusal(files))
    assert.deepEqual([...files.names()], before, "nothing was made")
    const request = { depth: "verify", store: 0, directory: DIRECTORY, files, pace: () => Promise.resolve() } as const
    const [report] = await Effect.runPromise(inspect({}, request))
    assert.deepEqual(
      report?.damage.map(({ pathname }) => pathname),
      [`${SEGMENTS}/manifest`]
    )
  }
})

test("without a mark: what an older release made starts and is marked; segments alone are no new store, nothing is", async () => {
  const files = await stored()
  await remove(files, MARK)
  const store = await bench.open(files)
  await append(await bench.partition(store, keyOf("0")), batchOf([1], 10))
  assert.ok([...files.names()].includes(MARK))
  await store.close()
  await remove(files, MARK)
  await remove(files, `${SEGMENTS}/manifest`)
  assert.match(
    await refusal(files),
    /segments\/manifest: it is missing, and segments are there: 1\/0{20}\.log: put it back/
  )
  await Effect.runPromise(files.removeDirectory(SEGMENTS))
  assert.equal(await refusal(files), "")
})

test("a crash anywhere in the first start leaves a store that starts", async () => {
  for (const isReplaying of [false, true]) {
    const images: Array<SimulatedFiles> = []
    const files = makeDisk(true)
    if (isReplaying) {
      // The journal has what the segments of a directory without a mark had lost.
      const before = await storeBatches(bench, files, 1, 200)
      await append(await bench.partition(before.store, keyOf("new")), batchOf([1], 10))
      await before.store.kill()
      for (const name of [...files.names()].filter((each) => each.startsWith(`${SEGMENTS}/`))) {
        await remove(files, name)
        await Effect.runPromise(files.syncDirectory(dirname(name)))
      }
      await Effect.runPromise(files.removeDirectory(SEGMENTS))
      await remove(files, MARK)
      await Effect.runPromise(files.syncDirectory(DIRECTORY))
    }
    const chance = Xoshiro128.seeded(3)
    files.hook = (operation) => {
      if (/^(?:read|read late|list|size|open read)$/.test(operation.name)) return undefined
      const during = operation.name === "write" ? operation : undefined
      images.push(files.afterCrash(keepNothing, during), files.afterCrash(keepAll))
      images.push(
        files.afterCrash(
          keepSome((bound) => chance.below(bound)),
          during
        )
      )
      return undefined
    }
    const store = await bench.open(files)
    // What is replayed is put away before anybody opens a partition.
    await store.store.checkpoints.flush()
    const partition = await bench.partition(store, keyOf("0"))
    await append(partition, batchOf([1], 10))
    await store.store.checkpoints.flush()
    await append(partition, batchOf([1], 10))
    await store.store.checkpoints.flush()
    files.hook = undefined
    await store.kill()
    assert.ok(images.length > 60, `${images.length} images`)
    for (const image of images) assert.equal(await refusal(image), "")
  }
})

test("a store that is new to a journal which has let go of entries starts again before it has put anything away", async () => {
  const before = await storeBatches(bench, makeDisk(), 1, 200)
  await before.store.close()
  const { files } = before
  assert.ok(![...files.names()].includes(`${DIRECTORY}/journal/00000001.journal`))
  await Effect.runPromise(files.removeDirectory(SEGMENTS))
  await remove(files, MARK)
  const store = await bench.open(files)
  // Epochs are reserved in a manifest that misses no entry which is gone.
  const partition = await bench.partition(store, keyOf("new"))
  assert.equal(store.store.checkpoints.checkpoints, 0)
  const batch = await append(partition, batchOf([1], 10))
  await store.kill()
  const again = await bench.open(files)
  assert.deepEqual(await readAll(await bench.partition(again, keyOf("new"))), batch)
  await reopened(bench, { ...before, store: again })
})
