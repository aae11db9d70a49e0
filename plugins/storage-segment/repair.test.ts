/** What `storage repair` makes of damaged segments: what is whole stays, what goes is kept aside, wherever the process ends. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import { verifyJournal } from "../../core/journal/verify-journal.ts"
import { FileError, type Partition, type RepairRequest, type RepairStep, recordBatch } from "../../core/mod.ts"
import { keepAll, keepNothing, keepSome } from "../../core/platform/simulated-content.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { Manifest } from "./Manifest.ts"
import { repair } from "./repair.ts"
import {
  append,
  Bench,
  batchOf,
  DIRECTORY,
  damagesOf,
  endOf,
  keyOf,
  logsOf,
  makeDisk,
  put,
  readAll,
  SEGMENTS,
  until,
  verified
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const MANIFEST = `${SEGMENTS}/manifest`
const SETTINGS = { settings: { segment_bytes: 20_000 } }

type Options = Partial<Pick<RepairRequest, "isApplied" | "broken" | "rebuildsManifest">>

async function repaired(files: SimulatedFiles, options: Options = {}): Promise<ReadonlyArray<RepairStep>> {
  const { firstIndex } = await Effect.runPromise(verifyJournal(files, DIRECTORY))
  const request: RepairRequest = {
    ...{ store: 0, directory: DIRECTORY, files, nowMs: 1_000, pace: () => Promise.resolve() },
    ...{ isApplied: true, broken: "leave", rebuildsManifest: false, journalBegins: firstIndex - 1 },
    ...options
  }
  return await Effect.runPromise(repair({}, request))
}

interface Filled {
  readonly files: SimulatedFiles
  /** The batches of the partitions "0" and "1". */
  readonly batches: ReadonlyArray<ReadonlyArray<Uint8Array>>
  /** The leader epoch that the first one had. */
  readonly epoch: number
}

/** Two partitions of three segments each, all put away, and closed in good order unless `isKilled`. */
async function filled(isLossy = false, isKilled = false): Promise<Filled> {
  const files = makeDisk(isLossy)
  const store = await bench.open(files, SETTINGS)
  const partitions: Array<Partition> = []
  const batches: Array<Array<Uint8Array>> = []
  for (const topic of ["0", "1"]) {
    const partition = await bench.partition(store, keyOf(topic))
    partitions.push(partition)
    const own: Array<Uint8Array> = []
    for (let each = 0; each < 24; each++) own.push(put(partition, batchOf([each * 2, each * 2 + 1], 1_000, each)))
    await until(() => partition.highWatermark === partition.logEndOffset)
    batches.push(own)
  }
  await store.store.checkpoints.flush()
  const [first] = partitions
  if (isKilled && first !== undefined) batches[0]?.push(await append(first, batchOf([7], 500, 99)))
  await (isKilled ? store.kill() : store.close())
  assert.deepEqual(
    [1, 2].map((id) => logsOf(files, id).length),
    [3, 3]
  )
  return { files, batches, epoch: first?.leaderEpoch ?? 0 }
}

function snapshot(files: SimulatedFiles, prefix: string): Record<string, string> {
  const names = [...files.names()].filter((name) => name.startsWith(prefix)).toSorted()
  return Object.fromEntries(names.map((name) => [name, Buffer.from(files.contentUnsafe(name)).toString("base64")]))
}

/** Where a batch of the first partition lies. */
function placeOf({ files, batches }: Filled, which: number): readonly [pathname: string, position: number] {
  for (const pathname of logsOf(files)) {
    const at = Buffer.from(files.contentUnsafe(pathname)).indexOf(Buffer.from(batches[0]?.[which] ?? []))
    if (at >= 0) return [pathname, at]
  }
  throw new Error(`batch ${which} is not there`)
}

const joined = (batches: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat([...batches]))

/** The store is whole, serves these batches, and takes more under an epoch that was not seen before. */
async function serves(
  { files, batches, epoch }: Filled,
  kept: ReadonlyArray<Uint8Array>,
  label: string
): Promise<void> {
  assert.deepEqual(await damagesOf(files), [], label)
  const store = await bench.open(files, SETTINGS)
  const [first, second] = [await bench.partition(store, keyOf("0")), await bench.partition(store, keyOf("1"))]
  assert.deepEqual(await readAll(first), joined(kept), label)
  assert.deepEqual(await readAll(second), joined(batches[1] ?? []), label)
  const last = endOf(batches[0]?.at(-1) ?? new Uint8Array(61))
  if (first.logEndOffset < last)
    assert.ok(first.leaderEpoch > epoch, `${label}: epoch ${first.leaderEpoch} after ${epoch}`)
  const added = await append(first, batchOf([1, 2], 900, 5))
  await store.store.checkpoints.flush()
  assert.deepEqual(await readAll(first), joined([...kept, added]), label)
  assert.deepEqual(
    store.lines.filter((line) => /damaged|^error/.test(line)),
    [],
    label
  )
  await store.close()
  assert.deepEqual(await damagesOf(files), [], label)
}

/** Every batch that was ever there is in some file. */
function nothingIsDeleted(files: SimulatedFiles, wanted: ReadonlyArray<Uint8Array>, label: string): void {
  const all = Buffer.concat(
    [...files.names()].filter((name) => name.startsWith(SEGMENTS)).map((name) => files.contentUnsafe(name))
  )
  for (const [at, batch] of wanted.entries()) assert.ok(all.indexOf(batch) >= 0, `${label}: batch ${at} is nowhere`)
}

/** Breaks something of the first partition, and tells which batches are as good as lost by it, and which are in no file any more. */
interface Breakage {
  readonly name: string
  readonly change: (filled: Filled) => Promise<void>
  /** The first batch that is broken, and what of the segment is gone with its file. */
  readonly first: number
  readonly lost: readonly [from: number, to: number]
}

const flip = (which: number): Breakage => ({
  name: `a bit of batch ${which}`,
  change: async (stored) => {
    const [pathname, position] = placeOf(stored, which)
    stored.files.flipBit(pathname, position + 500, 3)
  },
  first: which,
  lost: [which, which + 1]
})
const perSegment = 9
const removed = (segment: number): Breakage => ({
  name: `no file of segment ${segment}`,
  change: async ({ files }) => Effect.runPromise(files.remove(logsOf(files)[segment] ?? "")),
  first: segment * perSegment,
  lost: [segment * perSegment, (segment + 1) * perSegment]
})
const BREAKAGES = [0, 4, 9, 12, 17, 18, 23].map(flip).concat([0, 1, 2].map(removed))

/** What the log holds after a repair. */
function keptOf(
  { batches }: Filled,
  { first }: Breakage,
  broken: "truncate" | "quarantine"
): ReadonlyArray<Uint8Array> {
  const own = batches[0] ?? []
  if (broken === "truncate") return own.slice(0, first)
  const segment = Math.floor(first / perSegment)
  return own.filter((_, at) => Math.floor(at / perSegment) !== segment)
}

test("a dry run says what would be done and changes nothing; without an option what is broken stays", async () => {
  const stored = await filled()
  await flip(12).change(stored)
  const [log = ""] = logsOf(stored.files)
  stored.files.flipBit(log.replace(/log$/, "index"), 3, 3)
  const before = snapshot(stored.files, DIRECTORY)
  for (const broken of ["leave", "truncate", "quarantine"] as const) {
    const dry = await repaired(stored.files, { isApplied: false, broken })
    assert.deepEqual(snapshot(stored.files, DIRECTORY), before)
    assert.ok(dry.every(({ isDone }) => !isDone))
    const files = stored.files
    if (broken === "leave")
      assert.deepEqual(
        dry.filter(({ needs }) => needs !== "").map(({ needs }) => needs),
        ["--truncate or --quarantine"]
      )
    const copy = (await filled()).files
    for (const name of files.names()) {
      const file = copy.openUnsafe(name, "create")
      file.truncateUnsafe(0)
      file.writeUnsafe(files.contentUnsafe(name), 0, files.contentUnsafe(name).length, 0)
    }
    const done = await repaired(copy, { broken })
    assert.deepEqual(
      done.map((step) => ({ ...step, isDone: step.needs === "" })),
      done
    )
    assert.deepEqual(
      done.map((step) => ({ ...step, isDone: false })),
      dry
    )
    if (broken === "leave") assert.deepEqual((await damagesOf(copy)).length, 1)
  }
})

test("what is derived is made anew as it was: indexes, headers, footers, and what the manifest says of them", async () => {
  const stored = await filled()
  const { files } = stored
  const before = snapshot(files, SEGMENTS)
  const [first = "", second = "", third = ""] = logsOf(files)
  const { content } = await Manifest.open(files, SEGMENTS)
  const [segment] = content.partitions.get(1)?.segments ?? []
  assert.ok(segment?.isSealed === true)
  await Effect.runPromise(files.remove(first.replace(/log$/, "index")))
  files.flipBit(second.replace(/log$/, "index"), 7, 2)
  files.flipBit(second, 20, 1)
  files.flipBit(third, 60, 1)
  files.flipBit(first, segment.bytes + 30, 5)
  const steps = await repaired(files)
  assert.equal(steps.length, 5, JSON.stringify(steps))
  assert.deepEqual(snapshot(files, SEGMENTS), before)
  assert.deepEqual(await repaired(files), [])
  const [partition] = [content.partitions.get(1)]
  assert.ok(partition !== undefined)
  const wrong = {
    ...partition,
    startPosition: 500,
    segments: partition.segments.with(1, { ...partition.segments[1], maxTimestamp: 1 } as never)
  }
  await Manifest.write(files, SEGMENTS, { ...content, partitions: new Map([...content.partitions, [1, wrong]]) })
  assert.equal((await damagesOf(files)).length > 0, true)
  await repaired(files)
  await serves(stored, stored.batches[0] ?? [], "lies")
})

for (const broken of ["truncate", "quarantine"] as const) {
  test(`${broken}: the log is whole, offsets that go are named, other partitions keep every byte`, async () => {
    for (const breakage of BREAKAGES) {
      const stored = await filled()
      const { files, batches } = stored
      await breakage.change(stored)
      const label = `${broken}, ${breakage.name}`
      const other = snapshot(files, `${SEGMENTS}/2/`)
      const whole = (batches[0] ?? []).filter((_, at) => at < breakage.lost[0] || at >= breakage.lost[1])
      const steps = await repaired(files, { broken })
      assert.deepEqual(snapshot(files, `${SEGMENTS}/2/`), other, label)
      nothingIsDeleted(files, whole, label)
      const kept = keptOf(stored, breakage, broken)
      const gone = (batches[0] ?? []).filter((batch) => !kept.includes(batch))
      const [from, to] = [
        recordBatch.baseOffset(gone[0] ?? new Uint8Array(61), 0),
        endOf(gone.at(-1) ?? new Uint8Array(61)) - 1
      ]
      assert.ok(
        steps.some(({ message }) => message.includes(`offsets ${from} to ${to} are gone`)),
        `${label}: ${JSON.stringify(steps)}`
      )
      assert.ok(steps.every(({ isDone }) => isDone))
      assert.deepEqual(await repaired(files, { broken }), [], label)
      await serves(stored, kept, label)
      nothingIsDeleted(files, whole, label)
    }
  })

  test(`${broken}: a process that ends at any operation leaves what another repair takes up`, async () => {
    for (const breakage of [flip(12), flip(4), removed(1), flip(23)]) {
      const stored = await filled(true)
      const { files, batches } = stored
      await breakage.change(stored)
      // What was damaged is on the disk, too.
      for (const name of files.names()) await files.openUnsafe(name, "write").sync()
      for (const directory of files.directories) await Effect.runPromise(files.syncDirectory(directory))
      const images: Array<readonly [string, SimulatedFiles]> = []
      const chance = Xoshiro128.seeded(breakage.first)
      files.hook = (operation) => {
        if (/^(?:read|read late|list|size|open read)$/.test(operation.name)) return undefined
        const during = operation.name === "write" ? operation : undefined
        const label = `${broken}, ${breakage.name}, ${images.length}: ${operation.name} ${operation.pathname}`
        const some = keepSome((bound) => chance.below(bound))
        for (const kept of [keepNothing, keepAll, some]) images.push([label, files.afterCrash(kept, during, some)])
        return undefined
      }
      await repaired(files, { broken })
      files.hook = undefined
      assert.ok(images.length > 20, `${images.length} images`)
      const whole = (batches[0] ?? []).filter((_, at) => at < breakage.lost[0] || at >= breakage.lost[1])
      const kept = keptOf(stored, breakage, broken)
      for (const [at, [label, image]] of images.entries()) {
        nothingIsDeleted(image, whole, label)
        // Now and then a node runs before the next repair: what is whole is served, and nothing that was put aside is lost by it.
        if (at % 7 === 0) {
          const store = await bench.open(image, SETTINGS)
          const second = await bench.partition(store, keyOf("1"))
          assert.deepEqual(await readAll(second), joined(batches[1] ?? []), label)
          await store.close()
        }
        await repaired(image, { broken })
        await serves({ ...stored, files: image }, kept, label)
        nothingIsDeleted(image, whole, label)
      }
    }
  })
}

test("a disk that fails in the midst of a repair is told, and the next one takes it up", async () => {
  const stored = await filled()
  await flip(12).change(stored)
  let isTriggered = true
  for (let failing = 0; isTriggered; failing++) {
    isTriggered = false
    let operations = 0
    stored.files.hook = ({ name }) => {
      if (!/^(?:write|sync|sync directory|truncate|rename|rename to|open create|directory)$/.test(name))
        return undefined
      if (operations++ !== failing) return undefined
      isTriggered = true
      return { code: "disk-full", reason: "the disk is full" }
    }
    const failure = await repaired(stored.files, { broken: "truncate" }).then(
      () => "",
      (error: Error) => error.message
    )
    stored.files.hook = undefined
    if (isTriggered) assert.match(failure, /^\/store\/segments.*: the disk is full$/)
  }
  await serves(stored, keptOf(stored, flip(12), "truncate"), "in the end")
})

test("files that this user may not read are nobody's damage: nothing is moved", async () => {
  const stored = await filled()
  const before = snapshot(stored.files, DIRECTORY)
  for (const name of logsOf(stored.files))
    stored.files.faults.set(name, { code: "not-permitted", reason: "not permitted" })
  await assert.rejects(repaired(stored.files, { broken: "quarantine" }), /not permitted/)
  stored.files.faults.clear()
  assert.deepEqual(snapshot(stored.files, DIRECTORY), before)
})

test("batches that the journal alone has are behind the gap after a log was cut", async () => {
  const stored = await filled(false, true)
  const { files, batches } = stored
  await flip(20).change(stored)
  await repaired(files, { broken: "truncate" })
  const own = batches[0] ?? []
  await serves(stored, [...own.slice(0, 20), own.at(-1) as Uint8Array], "journal")
  assert.match(String((await verified(files)).notes), /8 of the offsets 36 to 50 are missing/)
})

for (const what of ["missing", "damaged", "all there"] as const) {
  test(`a manifest that is ${what} is made of the segments, and what the journal holds comes on top`, async () => {
    for (const isKilled of [false, true]) {
      const stored = await filled(false, isKilled)
      const { files, batches } = stored
      if (what === "missing") await Effect.runPromise(files.remove(MANIFEST))
      else if (what === "damaged") files.flipBit(MANIFEST, 30, 2)
      const logs = snapshot(files, `${SEGMENTS}/1/`)
      const asked = await repaired(files)
      if (what === "all there") assert.deepEqual(asked, [])
      else
        assert.deepEqual(
          asked.map(({ needs, isDone }) => [needs, isDone]),
          [["--rebuild-manifest", false]]
        )
      const steps = await repaired(files, { rebuildsManifest: true })
      assert.equal(steps.length, what === "all there" ? 0 : 1, JSON.stringify(steps))
      assert.deepEqual(snapshot(files, `${SEGMENTS}/1/`), logs)
      await serves(stored, batches[0] ?? [], `${what}, ${isKilled}`)
    }
  })
}

test("making a manifest: a process that ends anywhere leaves what another one takes up", async () => {
  const stored = await filled(true, true)
  const { files, batches } = stored
  await flip(12).change(stored)
  files.flipBit(MANIFEST, 30, 2)
  const images: Array<SimulatedFiles> = []
  files.hook = (operation) => {
    if (/^(?:read|read late|list|size|open read)$/.test(operation.name)) return undefined
    const during = operation.name === "write" ? operation : undefined
    images.push(files.afterCrash(keepNothing, during), files.afterCrash(keepAll))
    return undefined
  }
  await repaired(files, { rebuildsManifest: true })
  files.hook = undefined
  const own = batches[0] ?? []
  // What is whole before the damage, and the segments behind it; all of it where the journal has let go of nothing.
  const kept = own.filter((_, at) => at < 12 || at >= 2 * perSegment)
  const found = new Set<number>()
  for (const [at, image] of [...images, files].entries()) {
    await repaired(image, { rebuildsManifest: true })
    nothingIsDeleted(
      image,
      own.filter((_, which) => which !== 12 && which < 24),
      `image ${at}`
    )
    const { firstIndex } = await Effect.runPromise(verifyJournal(image, DIRECTORY))
    found.add(firstIndex)
    await serves({ ...stored, files: image }, firstIndex === 1 ? own : kept, `image ${at}`)
  }
  assert.equal(found.size, 2, "journals of both kinds")
})

test("making a manifest: what was cut off and lies there still is moved aside, by its leader epoch", async () => {
  const stored = await filled()
  const { files, batches } = stored
  const [, , third = ""] = logsOf(files)
  const old = files.contentUnsafe(third).slice()
  const store = await bench.open(files, SETTINGS)
  const partition = await bench.partition(store, keyOf("0"))
  await partition.truncateTo(20)
  const kept = [...(batches[0] ?? []).slice(0, 10)]
  for (let each = 0; each < 4; each++) kept.push(await append(partition, batchOf([each], 1_000, each)))
  await store.store.checkpoints.flush()
  await store.store.writer.whenIdle()
  await store.close()
  const file = files.openUnsafe(third, "create")
  file.writeUnsafe(old, 0, old.length, 0)
  await Effect.runPromise(files.remove(MANIFEST))
  const steps = await repaired(files, { rebuildsManifest: true })
  assert.deepEqual(
    steps.map(({ action }) => action),
    ["quarantine", "rebuild"]
  )
  nothingIsDeleted(files, (batches[0] ?? []).slice(18), "stale")
  await serves(stored, kept, "stale")
})

test("without a journal that can be read no manifest is made", async () => {
  const { files } = await filled()
  await Effect.runPromise(files.remove(MANIFEST))
  const request = {
    ...{ store: 0, directory: DIRECTORY, files, nowMs: 1, pace: () => Promise.resolve() },
    isApplied: true
  }
  const steps = await Effect.runPromise(
    repair({}, { ...request, broken: "leave", rebuildsManifest: true, journalBegins: undefined })
  )
  assert.deepEqual(
    steps.map(({ isDone, needs }) => [isDone, needs]),
    [[false, "a journal that is whole"]]
  )
  assert.throws(() => files.contentUnsafe(MANIFEST), FileError)
})
