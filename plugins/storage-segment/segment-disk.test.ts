/** Disks that fail while a store works on them: nothing acknowledged is lost, and what does not need the failing place goes on. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import { FileError, type FilesShape, type OpenFile } from "../../core/mod.ts"
import type { SimulatedFiles, SimulatedOperation } from "../../core/platform/simulated-files.ts"
import type { TestStore } from "./fakes.ts"
import {
  append,
  Bench,
  batchOf,
  damageOf,
  endOf,
  keyOf,
  makeDisk,
  put,
  readAll,
  refusalOf,
  reopened,
  SEGMENTS,
  type Stored,
  storeBatches,
  turned,
  until,
  withFiles
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const CHANGES = /^(?:write|sync|sync directory|truncate|rename|rename to|open create|open write|directory|remove)$/
const isChange = ({ name, pathname }: SimulatedOperation): boolean =>
  CHANGES.test(name) && pathname.startsWith(SEGMENTS)

/** Appends to every partition, puts it away, and looks at all of it. */
async function goesOn(stored: Stored, label: string): Promise<Stored> {
  const batches: Array<ReadonlyArray<Uint8Array>> = []
  for (const [at, partition] of stored.partitions.entries()) {
    batches.push([...(stored.batches[at] ?? []), await append(partition, batchOf([1], 50))])
  }
  await stored.store.store.checkpoints.flush()
  const found = { ...stored, batches }
  await holds(found, label)
  return found
}

async function holds({ partitions, batches }: Stored, label: string): Promise<void> {
  for (const [at, partition] of partitions.entries()) {
    const wanted = new Uint8Array(Buffer.concat([...(batches[at] ?? [])]))
    assert.deepEqual(await readAll(partition), wanted, `${label}: partition ${at}`)
  }
}

test("a full disk at any write of a checkpoint: reads go on, it is tried again, nothing is lost", async () => {
  let isTriggered = true
  let failures = 0
  for (let failing = 0; isTriggered; failing++) {
    isTriggered = false
    const stored = await storeBatches(bench, makeDisk(true), 2, 12)
    const batches = stored.batches.map((own) => [...own])
    for (const [at, partition] of stored.partitions.entries()) {
      for (let each = 0; each < 12; each++) batches[at]?.push(put(partition, batchOf([each], 200, each)))
      await until(() => partition.highWatermark === partition.logEndOffset)
    }
    const [cut, deleted] = stored.partitions
    await cut?.truncateTo(10)
    batches[0] = (batches[0] ?? []).filter((batch) => endOf(batch) <= 10)
    if (cut !== undefined) batches[0].push(await append(cut, batchOf([7], 300, 3)))
    await deleted?.deleteBefore(8)
    batches[1] = (batches[1] ?? []).filter((batch) => endOf(batch) > 8)
    const found = { ...stored, batches }
    let operations = 0
    stored.files.hook = (operation) => {
      if (!isChange(operation) || operations++ < failing || operations > failing + 2) return undefined
      isTriggered = true
      const half = Math.floor((operation.bytes?.length ?? 0) / 2)
      return { code: "disk-full", reason: "the disk is full", ...(half > 0 ? { written: half } : {}) }
    }
    const { checkpoints } = stored.store.store
    await checkpoints.flush()
    const label = `operation ${failing}`
    await holds(found, label)
    // What is not needed any more takes space where it cannot be removed, and is told.
    await until(() => checkpoints.appliedIndex === stored.store.journal.nextIndex - 1)
    failures += checkpoints.failures
    stored.files.hook = undefined
    await holds(found, `${label}, tried again`)
    assert.equal(stored.store.lines.filter((line) => /damaged/.test(line)).length, 0, label)
    const again = await reopened(bench, found)
    await holds(again, `${label}, started`)
    await goesOn(again, `${label}, goes on`)
    await again.store.kill()
  }
  assert.ok(failures > 20, `${failures} failures`)
})

test("a directory that is removed under a running store costs what was in it", async () => {
  const stored = await storeBatches(bench, makeDisk(), 2, 40)
  await Effect.runPromise(stored.files.removeDirectory(`${SEGMENTS}/1`))
  stored.store.store.files.close()
  const [first, second] = stored.partitions
  assert.ok(first !== undefined && second !== undefined)
  assert.match(await refusalOf(first.read(0, 1)), /segments\/1\/0+\.log: no such file/)
  assert.ok(damageOf(stored.store).some((line) => line.includes(`${SEGMENTS}/1/`) && line.includes('"byte":0')))
  const end = first.logEndOffset
  const added = await append(first, batchOf([1], 2_000))
  const other = await append(second, batchOf([1], 2_000))
  const { checkpoints } = stored.store.store
  await checkpoints.flush()
  await until(() => checkpoints.appliedIndex === stored.store.journal.nextIndex - 1)
  const again = await reopened(bench, stored)
  assert.deepEqual(await again.partitions[0]?.read(end, 1), added)
  const wanted = new Uint8Array(Buffer.concat([...(stored.batches[1] ?? []), other]))
  const [, intact] = again.partitions
  assert.ok(intact !== undefined)
  assert.deepEqual(await readAll(intact), wanted)
})

test("a file of a segment that cannot be written any more: what comes goes to a new one", async () => {
  for (const code of ["failed", "not-permitted", "not-found"] as const) {
    const stored = await storeBatches(bench, makeDisk(), 2, 20)
    const segments = stored.store.store.catalogue.get(1)?.segments ?? []
    const { base = 0 } = segments.at(-1) ?? {}
    const name = `${SEGMENTS}/1/${String(base).padStart(20, "0")}`
    stored.store.store.files.close()
    stored.files.hook = ({ name: operation, pathname }) =>
      pathname.startsWith(name) && (operation === "open write" || operation === "write")
        ? { code, reason: "the test said so" }
        : undefined
    for (const partition of stored.partitions) await append(partition, batchOf([1], 50))
    const { checkpoints } = stored.store.store
    await checkpoints.flush()
    await until(() => checkpoints.appliedIndex === stored.store.journal.nextIndex - 1)
    await goesOn({ ...stored, batches: await allOf(stored) }, code)
  }
})

async function allOf({ partitions }: Stored): Promise<ReadonlyArray<ReadonlyArray<Uint8Array>>> {
  const all: Array<ReadonlyArray<Uint8Array>> = []
  for (const partition of partitions) all.push([await readAll(partition)])
  return all
}

/** A disk that opens at most `max()` files at a time, those of segments. */
function bounded(
  files: SimulatedFiles,
  max: () => number
): { readonly files: FilesShape; readonly most: () => number } {
  let open = 0
  let most = 0
  const plain = withFiles((file: OpenFile) => {
    let isOpen = file.pathname.startsWith(`${SEGMENTS}/`) && !file.pathname.includes("manifest")
    if (isOpen) open += 1
    most = Math.max(most, open)
    return {
      close: () => {
        file.close()
        if (isOpen) open -= 1
        isOpen = false
      }
    }
  })(files)
  const openUnsafe: FilesShape["openUnsafe"] = (pathname, mode) => {
    if (open < max() || !pathname.startsWith(`${SEGMENTS}/`)) return plain.openUnsafe(pathname, mode)
    throw new FileError({ pathname, code: "too-many-open", reason: "too many open files" })
  }
  return { files: { ...plain, openUnsafe }, most: () => most }
}

test("too many open files: those that are idle are closed; else it is refused for now, and nothing is made anew", async () => {
  const files = makeDisk()
  let max = 1_000
  const disk = bounded(files, () => max)
  const changed = { files: disk.files, settings: { open_files_max: 100 } }
  const before = await storeBatches(bench, files, 12, 20, changed)
  // A few more than the system gives, all of them idle.
  max = 10
  const stored = await goesOn(before, "with ten")
  max = 0
  stored.store.store.files.close()
  const [partition] = stored.partitions
  assert.match(await refusalOf(partition?.read(0, 1) ?? Promise.resolve()), /too many open files/)
  for (const each of stored.partitions) await append(each, batchOf([1], 50))
  await stored.store.store.checkpoints.flush()
  assert.ok(stored.store.store.checkpoints.failures > 0)
  max = 10
  const { checkpoints } = stored.store.store
  await until(() => checkpoints.appliedIndex === stored.store.journal.nextIndex - 1)
  await goesOn({ ...stored, batches: await allOf(stored) }, "with ten again")
  assert.equal(stored.store.store.indexes.rewrites.rebuilt, 0)
  assert.deepEqual(damageOf(stored.store), [])
})

test("hundreds of partitions: a bounded number of files is open", async () => {
  const files = makeDisk()
  const disk = bounded(files, () => 1_000)
  const stored = await storeBatches(bench, files, 300, 2, { files: disk.files, settings: { open_files_max: 20 } })
  await Promise.all(stored.partitions.map(readAllOf))
  await holds(stored, "all")
  assert.ok(stored.store.store.files.open <= 20, `${stored.store.store.files.open} open`)
  // While more are in use than may be open, they are.
  assert.ok(disk.most() < 700, `${disk.most()} open at a time`)
  await stored.store.close()
})

const readAllOf = (partition: Parameters<typeof readAll>[0]): Promise<Uint8Array> => readAll(partition)

for (const gated of [".log", ".index"]) {
  test(`a partition that is removed while a read of its ${gated} file is under way: the read gives nothing, and nothing is told`, async () => {
    const files = makeDisk()
    let open: () => void = () => {}
    let gate: Promise<void> = Promise.resolve()
    const wrapped = withFiles((file) =>
      file.pathname.endsWith(gated)
        ? { read: (target, start, end, position) => gate.then(() => file.read(target, start, end, position)) }
        : {}
    )(files)
    const stored = await storeBatches(bench, files, 2, 40, { files: wrapped })
    gate = new Promise((resolve) => {
      open = resolve
    })
    const [first, second] = stored.partitions
    const reading = first?.read(0, 4_000)
    const asking = first?.offsetForTimestamp(100)
    await turned()
    await Effect.runPromise(stored.store.engine.remove(keyOf("0")))
    await stored.store.store.checkpoints.flush()
    await stored.store.store.writer.whenIdle()
    const again = await bench.partition(stored.store, keyOf("0"))
    const fresh = await append(again, batchOf([5], 500, 9))
    await stored.store.store.checkpoints.flush()
    open()
    assert.equal((await reading)?.length, 0)
    assert.equal(await asking, undefined)
    assert.deepEqual(await again.read(0, 4_000), fresh)
    assert.ok(second !== undefined && (await readAll(second)).length > 0)
    assert.equal([...files.names()].filter((name) => name.startsWith(`${SEGMENTS}/1/`)).length, 0)
    assertQuiet(stored.store)
  })
}

function assertQuiet({ lines, store }: TestStore): void {
  assert.deepEqual(
    lines.filter((line) => /^(?:warn|error)/.test(line)),
    []
  )
  assert.equal(store.damages, 0)
}
