/** What a journal promises, over crashes: of a small workload before each operation of its disk, of large ones by seed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { FilesShape, OpenFile } from "../platform/Files.ts"
import { keepAll, keepNothing, keepSome } from "../platform/simulated-content.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import type { DiskJournalParts } from "./disk-journal-parts.ts"
import { DIRECTORY, openRig, type RigOptions } from "./fakes.ts"
import { JournalError } from "./JournalError.ts"
import { checkImage, constantRandom, type Image, Recorder, Workload } from "./testing.ts"

const SMALL = { seed: 1, turns: 25, every: 1, powerLosses: 3 }

/** Checks images, and how many starts refused one. */
async function checkAll(workload: Workload, hasFaults: boolean, options?: RigOptions): Promise<void> {
  for (const image of workload.images) await checkImage(image, workload, hasFaults, options)
}

/** The first image that breaks a promise. */
async function broken(workload: Workload, options: RigOptions = {}, recorder = () => new Recorder()): Promise<string> {
  for (const image of workload.images) {
    try {
      await checkImage(image, workload, false, options, recorder())
    } catch (error) {
      return String(error)
    }
  }
  return ""
}

test("a small workload, a crash before and within every operation", async () => {
  const workload = await Workload.run(SMALL)
  assert.ok(workload.operations > 60, `${workload.operations} operations`)
  assert.ok(workload.images.some(({ promised }) => promised.size > 30))
  assert.ok(workload.images.some(({ applied }) => applied > 0))
  await checkAll(workload, false)
})

test("large workloads, sampled by seed", async () => {
  for (let seed = 2; seed < 4; seed++) {
    await checkAll(await Workload.run({ seed, turns: 120, every: 7, powerLosses: 3 }), false)
  }
  // Found faults: files that come back when those behind them do not; a write that tears behind the mark; a first entry that is lost.
  const hybrid: RigOptions = { parts: { stateDurability: "hybrid" } }
  for (const seed of [2_019, 2_023, 2_030]) {
    const rig = seed % 2 === 1 ? hybrid : {}
    await checkAll(await Workload.run({ seed, turns: 60, every: 3, powerLosses: 2, rig }), false)
  }
})

test("disks that fail at any call: what was acknowledged is there, and the journal goes on when the disk does", async () => {
  let failures = 0
  for (let seed = 20; seed < 40; seed++) {
    const workload = await Workload.run({ seed, turns: 60, every: 5, powerLosses: 2, faultsPercent: 4 })
    await checkAll(workload, true)
    const { rig } = workload
    failures += rig.journal.failures
    assert.equal(rig.journal.refusal, 0, `seed ${seed}: it goes on`)
    const ticket = rig.put("1:")
    await rig.settle()
    assert.ok(rig.journal.ticketsOf("persistent").committed >= ticket, `seed ${seed}`)
    assert.equal(rig.journal.ticketsOf("persistent").takeOutcome(ticket), 0, `seed ${seed}`)
  }
  assert.ok(failures > 40, `${failures} failures`)
})

/** What a second start finds, after a crash at any operation of the first one or soon after it. */
async function checkSecondCrash(workload: Workload, image: Image, options: RigOptions = {}): Promise<void> {
  const chance = Xoshiro128.seeded(workload.submitted.length, 9)
  const images: Array<Image> = []
  const { files } = image
  files.hook = (operation) => {
    const during = operation.name === "write" ? operation : undefined
    const kept = keepSome((bound) => chance.below(bound))
    const label = `${image.label}, then ${operation.name} ${operation.pathname}`
    images.push({ ...image, label, isPowerLoss: true, files: files.afterCrash(kept, during) })
    return undefined
  }
  const { ids, rig } = await checkImage(image, workload, false, options)
  files.hook = undefined
  const there = new Set(ids)
  images.push({ ...image, label: `${image.label}, started`, promised: there, files: files.afterCrash(() => [0, 0]) })
  const next = workload.submitted[ids.length]
  if (next !== undefined) {
    rig.put(next.text)
    await rig.settle()
    const promised = new Set([...there, next.id])
    images.push({ ...image, label: `${image.label}, one more`, promised, files: files.afterCrash(() => [0, 0]) })
  }
  // A turn may be half there now: what is submitted is one operation of it.
  for (const second of images) {
    const found = await checkImage(second, workload, true, options)
    assert.ok(found.ids.length <= second.promised.size || second.promised !== images.at(-1)?.promised, second.label)
  }
}

test("a second crash, during the start after the first or right behind it", async () => {
  const workload = await Workload.run({ ...SMALL, seed: 3 })
  const torn = workload.images.filter((_, index) => index % 50 === 4)
  assert.ok(torn.length > 8)
  for (const image of torn) await checkSecondCrash(workload, image)
})

/** A disk whose files are changed by `change`. */
function disk(change: (file: OpenFile) => Partial<OpenFile>): RigOptions {
  const files = new SimulatedFiles({ trace: () => {}, later: () => {} })
  const changed: FilesShape = {
    ensureWritableDirectory: (pathname) => files.ensureWritableDirectory(pathname),
    makeDirectory: (pathname) => files.makeDirectory(pathname),
    removeDirectory: (pathname) => files.removeDirectory(pathname),
    readText: (pathname) => files.readText(pathname),
    list: (pathname) => files.list(pathname),
    remove: (pathname) => files.remove(pathname),
    renameUnsafe: (from, to) => files.renameUnsafe(from, to),
    freeBytes: (pathname) => files.freeBytes(pathname),
    syncDirectory: (pathname) => files.syncDirectory(pathname),
    lock: (pathname) => files.lock(pathname),
    openUnsafe: (pathname, mode) => {
      const file = files.openUnsafe(pathname, mode)
      const faithful: OpenFile = {
        pathname,
        sizeUnsafe: () => file.sizeUnsafe(),
        readUnsafe: (...given) => file.readUnsafe(...given),
        read: (...given) => file.read(...given),
        writeUnsafe: (...given) => file.writeUnsafe(...given),
        write: (...given) => file.write(...given),
        truncateUnsafe: (size) => file.truncateUnsafe(size),
        sync: () => file.sync(),
        close: () => file.close()
      }
      return { ...faithful, ...change(file) }
    }
  }
  return { files, parts: { files: changed } }
}

test("a planted bug is found: an acknowledgement before the sync", async () => {
  assert.equal(await broken(await Workload.run({ ...SMALL, rig: disk(() => ({})) })), "")
  const early = disk((file) => ({
    sync: () => {
      void file.sync()
      return Promise.resolve()
    }
  }))
  assert.match(await broken(await Workload.run({ ...SMALL, rig: early })), /promised and not there|had been synced/)
})

test("a planted bug is found: a checksum that nobody looks at", async () => {
  const rig: RigOptions = { parts: { checksum: () => 0 } }
  assert.match(await broken(await Workload.run({ ...SMALL, rig }), rig), /Error/)
})

test("a planted bug is found: an entry that is applied twice", async () => {
  class Forgetful extends Recorder {
    override claims(index: number): number {
      return Math.max(0, index - 1)
    }
  }
  assert.match(await broken(await Workload.run(SMALL), {}, () => new Forgetful()), /follows|indexes rise/)
})

/**
 * Entries of one size that ask for no sync, of which a crash tears the first in a segment and keeps those behind it; then a start, and
 * entries until that file is in use again. What is found wrong then.
 */
async function afterTornTail(parts: Partial<DiskJournalParts>): Promise<string> {
  const options: RigOptions = { isLossy: true, parts }
  const rig = await openRig(options)
  const text = "x".repeat(58)
  while (rig.journal.segments < 3) {
    rig.put(text, "hybrid")
    await rig.settle()
  }
  for (let count = 0; count < 2; count++) rig.put(text, "hybrid")
  await rig.settle()
  const torn = rig.files.afterCrash(keepAll)
  const last = journalsOf(torn).at(-1) ?? ""
  torn.flipBit(last, 100, 0)
  try {
    const again = await openRig({ ...options, files: torn })
    assert.match(again.log.lines.join(), /left out/)
    for (let count = 1; count < 30; count++) {
      again.put(text)
      await again.settle()
      const next = await openRig({ ...options, files: again.files.afterCrash(keepAll) })
      assert.equal(next.consumer.replayed.length, again.consumer.replayed.length + count)
      assert.deepEqual(next.log.lines, [])
    }
    return ""
  } catch (error) {
    return String(error)
  }
}

const journalsOf = (files: SimulatedFiles): ReadonlyArray<string> =>
  [...files.names()].filter((name) => name.startsWith(DIRECTORY) && name.endsWith(".journal")).sort()

test("a planted bug is found: what a torn tail left behind is not cut off", async () => {
  assert.equal(await afterTornTail({}), "")
  assert.notEqual(await afterTornTail({ random: constantRandom }), "")
})

test("a bit that is turned in what was synced is reported, never skipped", async () => {
  const rig = await openRig({ isLossy: true })
  for (let count = 0; count < 30; count++) {
    rig.put(`${count}`.repeat(20))
    await rig.settle()
  }
  await rig.close()
  const chance = Xoshiro128.seeded(5)
  const names = journalsOf(rig.files)
  let reported = 0
  for (let round = 0; round < 600; round++) {
    const files = rig.files.afterCrash(keepAll)
    const pathname = names[chance.below(names.length)] ?? ""
    const position = chance.below(files.contentUnsafe(pathname).length)
    files.flipBit(pathname, position, chance.below(8))
    const consumer = new Recorder()
    try {
      const { log } = await openRig({ files, consumer })
      // What is turned stands where nothing is, or in the very last entry, of which no other speaks.
      assert.equal(consumer.replayed.length, 30, `${pathname} byte ${position}`)
      assert.ok(log.lines.length <= 1)
    } catch (error) {
      assert.ok(error instanceof JournalError, String(error))
      assert.ok(error.message.startsWith(pathname) && !error.message.includes("\n"), error.message)
      reported += 1
    }
  }
  assert.ok(reported > 300, `${reported} of 600 were in what is needed`)
})

test("what a start after a kill replays is durable from then on", async () => {
  const killed = await openRig({ isLossy: true })
  killed.put("a", "hybrid")
  await killed.settle()
  const again = await openRig({ files: killed.files })
  assert.equal(again.consumer.replayed.length, 1)
  const last = await openRig({ files: again.files.afterCrash(keepNothing) })
  assert.equal(last.consumer.replayed.length, 1)
})

test("hybrid operations of several segments that are written again: a kill finds them at any moment", async () => {
  const rig = await openRig({ isLossy: true })
  for (const text of ["1:", "2:", "3:", "4:"]) {
    rig.put(text.padEnd(500, "x"), "hybrid")
    await rig.settle()
  }
  assert.equal(rig.journal.ticketsOf("hybrid").committed, 4)
  assert.ok(rig.journal.segments > 1)
  const images: Array<SimulatedFiles> = []
  let hasFailed = false
  rig.files.hook = ({ name, pathname }) => {
    if (hasFailed) images.push(rig.files.afterCrash(keepAll))
    if (hasFailed || name !== "sync" || !pathname.endsWith(".journal")) return undefined
    hasFailed = true
    return { code: "failed", reason: "the test said so" }
  }
  await rig.settle(rig.simulation.clock.monotonicMs() + 400)
  assert.ok(images.length > 5 && rig.journal.refusal === 0)
  for (const files of images) {
    const { consumer } = await openRig({ files, consumer: new Recorder() })
    assert.deepEqual((consumer as Recorder).ids, [1, 2, 3, 4])
  }
})
