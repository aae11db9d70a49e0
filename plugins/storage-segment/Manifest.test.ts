import { expect, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import { keepSome } from "../../core/platform/simulated-content.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { inspect } from "./inspect.ts"
import { FRESH_STATE, Manifest, type ManifestChange, type ManifestContent } from "./Manifest.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import { Bench, DIRECTORY, keyOf, makeDisk, refusalOf, reopened, SEGMENTS, storeBatches } from "./testing.ts"

const PATHNAME = `${SEGMENTS}/manifest`

function segmentOf(base: number, end = base + 10): Segment {
  return {
    ...{
      base,
      end,
      bytes: 1_000 + base,
      isSealed: base % 20 === 0,
      firstTimestamp: -5,
      maxTimestamp: 1_234_567_890_123
    },
    ...{ firstAppendedMs: 1, lastAppendedMs: 2, batches: 3, records: 10, headersCrc: 0xffff_ffff, indexEntries: 4 },
    ...{ indexCrc: 0x8000_0001, indexedBytes: 900, indexedEnd: end - 1, tailMaxTimestamp: 7 }
  }
}

function partitionOf(id: number, bases: ReadonlyArray<number>): StoredPartition {
  const segments = bases.map((base) => segmentOf(base))
  const logStart = bases[0] ?? 0
  const figures = { logStart, logEnd: (bases.at(-1) ?? 0) + 10, leaderEpoch: 3, startPosition: 128 }
  return { id, key: keyOf(`topic-${id}`, id), segments, ...figures }
}

const stateOf = (applied: number): ManifestContent["state"] => ({ ...FRESH_STATE, applied, nextId: 9, isClean: false })

/** A manifest with what it has to hold. */
class Kept {
  partitions = new Map<number, StoredPartition>()
  applied = 0
  readonly manifest: Manifest

  constructor(manifest: Manifest) {
    this.manifest = manifest
  }

  static async open(files: SimulatedFiles): Promise<Kept> {
    await Effect.runPromise(files.makeDirectory(SEGMENTS))
    const { manifest, content } = await Manifest.open(files, SEGMENTS)
    const kept = new Kept(manifest)
    kept.partitions = new Map(content.partitions)
    kept.applied = content.state.applied
    return kept
  }

  async add(afters: ReadonlyArray<StoredPartition>, removed: ReadonlyArray<number> = []): Promise<void> {
    const state = stateOf(this.applied + 1)
    const partitions = new Map(this.partitions)
    for (const id of removed) partitions.delete(id)
    for (const after of afters) partitions.set(after.id, after)
    const changed = afters.map((after) => ({ before: this.partitions.get(after.id), after }))
    const change: ManifestChange = { changed, removed, state }
    await this.manifest.add(change, () => ({ partitions, state }))
    this.partitions = partitions
    this.applied += 1
  }
}

const contentOf = async (files: SimulatedFiles): Promise<ManifestContent> =>
  (await Manifest.open(files, SEGMENTS)).content
const sizeOf = (files: SimulatedFiles): number => files.contentUnsafe(PATHNAME).length

/** A manifest of three groups, and where they begin. */
async function threeGroups(): Promise<{ readonly files: SimulatedFiles; readonly starts: ReadonlyArray<number> }> {
  const files = makeDisk()
  const kept = await Kept.open(files)
  const starts: Array<number> = []
  for (const bases of [[0], [0, 10], [0, 10, 20]]) {
    starts.push(starts.length === 0 ? 0 : sizeOf(files))
    await kept.add([partitionOf(1, bases)])
  }
  return { files, starts }
}

test("random changes are read as they were written, after any of them", async () => {
  const chance = Xoshiro128.seeded(4)
  const files = makeDisk()
  let kept = await Kept.open(files)
  for (let round = 0; round < 300; round++) {
    const id = 1 + chance.below(4)
    const before = kept.partitions.get(id)?.segments ?? []
    const kind = chance.below(6)
    const next = (before.at(-1)?.end ?? 0) + 10 * chance.below(2)
    const bases = before.map(({ base }) => base)
    if (kind === 0 && before.length > 0) await kept.add([], [id])
    else if (kind === 1) await kept.add([{ ...partitionOf(id, []), logEnd: next }])
    else if (kind === 2) await kept.add([partitionOf(id, bases.slice(chance.below(bases.length + 1)))])
    else if (kind === 3) await kept.add([partitionOf(id, bases.slice(0, chance.below(bases.length + 1)))])
    else await kept.add([partitionOf(id, [...bases, next])])
    assert.deepEqual((await contentOf(files)).partitions, kept.partitions, `round ${round}`)
    if (chance.chance(1, 10)) kept = await Kept.open(files)
  }
  assert.deepEqual((await contentOf(files)).state, stateOf(300))
})

test("it is written anew when most of it is history", async () => {
  const files = makeDisk()
  const kept = await Kept.open(files)
  // Partitions whose names make it large.
  const names = Array.from({ length: 20 }, (_, at) => ({
    ...partitionOf(at + 1, [0]),
    key: keyOf("x".repeat(4_000), at)
  }))
  let most = 0
  let rewrites = 0
  for (let round = 0; round < 60; round++) {
    const before = kept.manifest.bytes
    await kept.add(names)
    assert.equal(kept.manifest.bytes, sizeOf(files))
    most = Math.max(most, sizeOf(files))
    if (kept.manifest.bytes < before) rewrites += 1
  }
  assert.ok(most > 1_048_576 && most < 1_300_000, `${most} bytes`)
  assert.ok(rewrites >= 3, `written anew ${rewrites} times`)
  assert.deepEqual((await contentOf(files)).partitions, kept.partitions)
})

test("a group that is cut off anywhere is not there, and those before it are", async () => {
  const { files, starts } = await threeGroups()
  const whole = files.contentUnsafe(PATHNAME).slice()
  const [, , last = 0] = starts
  for (let size = last; size < whole.length; size++) {
    files.openUnsafe(PATHNAME, "write").truncateUnsafe(size)
    assert.equal((await contentOf(files)).state.applied, 2, `${size} bytes`)
    files.openUnsafe(PATHNAME, "write").writeUnsafe(whole, 0, whole.length, 0)
  }
  assert.equal((await contentOf(files)).state.applied, 3)
})

test("a crash in the midst of a group that is added: all of it or nothing, and the next one is whole", async () => {
  const chance = Xoshiro128.seeded(8)
  let files = makeDisk(true)
  for (let round = 0; round < 60; round++) {
    const kept = await Kept.open(files)
    const { applied } = kept
    const images: Array<SimulatedFiles> = []
    files.hook = (operation) => {
      const during = operation.name === "write" ? operation : undefined
      images.push(
        files.afterCrash(
          keepSome((bound) => chance.below(bound)),
          during
        )
      )
      return undefined
    }
    await kept.add([partitionOf(1 + chance.below(3), [0, 10, 20].slice(0, chance.below(4)))])
    files.hook = undefined
    images.push(files.afterCrash(() => [0, 0]))
    for (const image of images) {
      const found = (await Kept.open(image)).applied
      assert.ok(found === applied || found === applied + 1, `round ${round}: ${found} after ${applied}`)
    }
    assert.equal((await contentOf(images.at(-1) as SimulatedFiles)).state.applied, applied + 1)
    files = images[chance.below(images.length)] as SimulatedFiles
  }
})

test("a write or a sync that fails: the manifest is written anew, and holds what was added since", async () => {
  for (const name of ["write", "sync", "truncate", "open write"]) {
    const files = makeDisk(true)
    await (await Kept.open(files)).add([partitionOf(1, [0])])
    const kept = await Kept.open(files)
    files.hook = (operation) =>
      operation.name === name && operation.pathname === PATHNAME
        ? { code: "failed", reason: "the test said so", ...(name === "write" ? { written: 30 } : {}) }
        : undefined
    await assert.rejects(kept.add([partitionOf(1, [0, 10])]), /the test said so/)
    files.hook = undefined
    await kept.add([partitionOf(1, [0, 10, 20])])
    assert.deepEqual((await contentOf(files.afterCrash(() => [0, 0]))).partitions, kept.partitions, name)
  }
})

test("a bit that is turned in a group before the last is named with its byte; in the last one, the group was not added", async () => {
  const { files, starts } = await threeGroups()
  const size = sizeOf(files)
  for (let position = 0; position < size; position++) {
    files.flipBit(PATHNAME, position, position % 8)
    const group = starts.findLastIndex((start) => start <= position)
    const start = starts[group] ?? 0
    const isVersion = position - start >= 4 && position - start < 8
    const refusal = await refusalOf(
      contentOf(files).then(({ state }) => Promise.reject(new Error(`applied ${state.applied}`)))
    )
    if (isVersion) assert.match(refusal, new RegExp(`byte ${start}: it has version \\d+; this program knows 1`))
    else if (group === 2) assert.equal(refusal, "Error: applied 2")
    else
      assert.match(
        refusal,
        new RegExp(`${PATHNAME}: byte ${start}: .*damaged; whole again from byte`),
        `byte ${position}`
      )
    files.flipBit(PATHNAME, position, position % 8)
  }
  const short = makeDisk()
  await Effect.runPromise(short.makeDirectory(SEGMENTS))
  short.openUnsafe(PATHNAME, "create").writeUnsafe(new Uint8Array(40), 0, 40, 0)
  await expect(Manifest.open(short, SEGMENTS)).rejects.toThrow(SegmentFault)
})

test("a store whose manifest is damaged does not start, says where, and changes nothing", async () => {
  const bench = new Bench()
  const before = await storeBatches(bench, makeDisk(), 2, 20)
  await before.store.kill()
  before.files.flipBit(PATHNAME, 20, 1)
  const images = new Map([...before.files.names()].map((name) => [name, before.files.contentUnsafe(name).slice()]))
  assert.match(await refusalOf(bench.open(before.files)), /manifest: byte 0: /)
  for (const [name, bytes] of images) {
    if (name.startsWith(SEGMENTS)) assert.deepEqual(before.files.contentUnsafe(name).slice(), bytes, name)
  }
  await bench.close()
})

test("a bit that is turned in the last group: the journal says again what it said, or it is told that this is gone", async () => {
  const bench = new Bench()
  for (const count of [5, 200]) {
    const before = await storeBatches(bench, makeDisk(), 2, count)
    await before.store.kill()
    const { length } = before.files.contentUnsafe(PATHNAME)
    before.files.flipBit(PATHNAME, length - 3, 1)
    const refusal = await refusalOf(reopened(bench, before).then((found) => found.store.kill()))
    if (count === 5) assert.equal(refusal, "")
    else assert.match(refusal, /\.journal|journal/)
  }
  await bench.close()
})

test("verify names a damaged manifest once: its path and its byte stand beside what was found", async () => {
  const bench = new Bench()
  const files = makeDisk()
  await storeBatches(bench, files, 1, 1)
  files.flipBit(PATHNAME, 2, 0)
  const request = { depth: "verify", store: 0, directory: DIRECTORY, files, pace: () => Promise.resolve() } as const
  const [report] = await Effect.runPromise(inspect({}, request))
  assert.equal(report?.damage.length, 1)
  const [damage] = report.damage
  assert.equal(damage?.pathname, PATHNAME)
  assert.ok(damage.position !== undefined && !damage.message.includes(PATHNAME), damage.message)
  await bench.close()
})
