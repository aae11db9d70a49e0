/** What goes for a bound, who reads it meanwhile, and what readers share. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { type Partition, type PartitionLimits, recordBatch } from "../../core/mod.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { TestStore } from "./fakes.ts"
import {
  append,
  Bench,
  batchOf,
  DIRECTORY,
  fastClock,
  keyOf,
  logsOf,
  makeDisk,
  readAll,
  reopened,
  SEGMENTS,
  storeBatches,
  turned,
  UNLIMITED
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

/** Reads anywhere, all the time: what is given is whole and as it was written, nothing only where the log does not begin so early. */
class Reader {
  reads = 0
  gone = 0
  #isOver = false
  readonly #done: Promise<void>

  constructor(partition: Partition, batches: ReadonlyArray<Uint8Array>, seed: number) {
    this.#done = this.#run(partition, batches, Xoshiro128.seeded(seed))
  }

  async #run(partition: Partition, batches: ReadonlyArray<Uint8Array>, chance: Xoshiro128): Promise<void> {
    while (!this.#isOver) {
      // Near the start most of all, where it goes.
      const span = chance.chance(1, 2) ? 6 : Math.max(1, partition.highWatermark - partition.logStartOffset)
      const offset = partition.logStartOffset + chance.below(span)
      const { highWatermark } = partition
      const bytes = await partition.read(offset, chance.below(3_000))
      // What lies in memory is given at once.
      await turned()
      this.reads += 1
      if (bytes.length === 0) {
        assert.ok(offset < partition.logStartOffset || offset >= highWatermark, `nothing at ${offset}`)
        this.gone += 1
        continue
      }
      let which = batches.findIndex((batch) => endOf(batch) > offset)
      for (let at = 0; at < bytes.length; which++) {
        const wanted = batches[which] ?? new Uint8Array(0)
        assert.deepEqual(bytes.slice(at, at + wanted.length), wanted)
        at += wanted.length
      }
    }
  }

  end(): Promise<void> {
    this.#isOver = true
    return this.#done
  }
}

const endOf = (batch: Uint8Array): number => recordBatch.baseOffset(batch, 0) + recordBatch.recordCount(batch, 0)

const BOUNDS: Record<string, readonly [limits: Partial<PartitionLimits>, left: (partition: Partition) => boolean]> = {
  bytes: [{ sizeBytesMax: 9_000 }, ({ sizeBytes }) => sizeBytes > 4_000 && sizeBytes <= 9_000],
  records: [
    { recordsMax: 40 },
    ({ logStartOffset, logEndOffset }) => logEndOffset - logStartOffset > 20 && logEndOffset - logStartOffset <= 40
  ],
  // A batch each second; a segment is as old as its newest.
  age: [
    { ageMsMax: 30_000 },
    ({ logStartOffset }) => logStartOffset >= 2 * (400 - 50) && logStartOffset <= 2 * (400 - 28)
  ]
}

for (const [name, [limits, isLeft]] of Object.entries(BOUNDS)) {
  test(`a bound by ${name}: whole segments go with their files, and readers are told, never torn`, async () => {
    let nowMs = 1_700_000_000_000
    const clock = { ...fastClock, nowMs: () => nowMs }
    const files = makeDisk()
    const store = await bench.open(files, { clock })
    const partition = await bench.partition(store, keyOf("0"), { ...UNLIMITED, ...limits })
    const batches: Array<Uint8Array> = []
    const readers = [1, 2, 3].map((seed) => new Reader(partition, batches, seed))
    for (let round = 0; round < 400; round++) {
      batches.push(await append(partition, batchOf([round, round], 100, round)))
      nowMs += 1_000
      if (round % 7 === 6) void store.store.checkpoints.flush()
    }
    await store.store.checkpoints.flush()
    await Promise.all(readers.map((reader) => reader.end()))
    await store.store.writer.whenIdle()
    assert.ok(isLeft(partition), `${partition.logStartOffset}-${partition.logEndOffset}, ${partition.sizeBytes} bytes`)
    assert.ok(
      readers.every(({ reads }) => reads > 100),
      `${readers.map(({ reads }) => reads)} reads`
    )
    assertOnlyNamed(store, files.names())
    assert.equal(store.store.damages, 0)
    // What is left is what a start finds.
    const { logStartOffset, sizeBytes } = partition
    const again = await reopened(bench, { files, store, partitions: [partition], batches: [batches] }, { clock })
    const [found] = again.partitions
    assert.deepEqual([found?.logStartOffset, found?.sizeBytes], [logStartOffset, sizeBytes])
    assert.equal((await again.partitions[0]?.read(logStartOffset - 1, 1))?.length, 0)
    await again.store.kill()
  })
}

/** Every file of a segment is named by the manifest, and the other way round. */
function assertOnlyNamed({ store }: TestStore, names: Iterable<string>): void {
  const there = [...names].filter((name) => /\/\d+\/\d+\.(?:log|index)$/.test(name)).sort()
  const wanted: Array<string> = []
  for (const { id, segments } of store.catalogue.all.values()) {
    for (const { base } of segments) {
      for (const kind of ["index", "log"]) wanted.push(`${SEGMENTS}/${id}/${String(base).padStart(20, "0")}.${kind}`)
    }
  }
  assert.deepEqual(there, wanted.sort())
}

test("a log that is bounded by its records has segments that are a part of the bound, however large segments may be", async () => {
  const store = await bench.open(makeDisk(), { settings: { segment_bytes: 100_000_000 } })
  const partition = await bench.partition(store, keyOf("0"), { ...UNLIMITED, recordsMax: 800 })
  for (let round = 0; round < 60; round++) {
    await append(partition, batchOf(Array(50).fill(round), 600, round))
    if (round % 5 === 4) await store.store.checkpoints.flush()
  }
  const records = partition.logEndOffset - partition.logStartOffset
  assert.ok(records > 600 && records <= 800, `${records} records`)
})

test("two who read the same place share one read of the disk, and who comes later needs none", async () => {
  const before = await storeBatches(bench, makeDisk(), 1, 100, { settings: { segment_bytes: 1_000_000 } })
  const { partitions, store, batches } = await reopened(bench, before, {
    settings: { segment_bytes: 1_000_000, cold_bytes_max: 1_000_000 }
  })
  const [partition] = partitions
  assert.ok(partition !== undefined)
  const offsets = [0, 0, 3, 40, 90, 120, 199]
  const found = await Promise.all(offsets.map((offset) => partition.read(offset, 500)))
  assert.equal(store.store.reads.reads, 1)
  for (const [at, bytes] of found.entries()) {
    const wanted = (batches[0] ?? []).filter((batch) => endOf(batch) > (offsets[at] ?? 0))
    assert.deepEqual(bytes, new Uint8Array(Buffer.concat(wanted)).slice(0, bytes.length))
    assert.ok(bytes.length > 0)
  }
  await readAll(partition)
  assert.equal(store.store.reads.reads, 1)
  // What was added since is read once more, with what lies before it.
  const fresh = await append(partition, batchOf([1], 100, 7))
  await store.store.checkpoints.flush()
  const both = await Promise.all([partition.read(200, 500), partition.read(200, 500)])
  assert.deepEqual(both, [fresh, fresh])
  assert.equal(store.store.reads.reads, 2)
})

test("many readers of a log that grows share reads: a reader that follows closely reads each stretch a few times", async () => {
  const before = await storeBatches(bench, makeDisk(), 1, 2_000, { settings: { segment_bytes: 10_000_000 } })
  const { partitions, store } = await reopened(bench, before, {
    settings: { segment_bytes: 10_000_000, cold_bytes_max: 600_000 }
  })
  const [partition] = partitions
  assert.ok(partition !== undefined)
  const bytes = (before.batches[0] ?? []).reduce((sum, batch) => sum + batch.length, 0)
  await Promise.all(Array.from({ length: 10 }, () => readAll(partition)))
  const windows = Math.ceil(bytes / 262_144)
  assert.ok(store.store.reads.reads <= windows + 1, `${store.store.reads.reads} reads of ${windows} windows`)
})

test("a new store's directory is durable before its manifest is", async () => {
  const files = makeDisk()
  const seen: Array<string> = []
  files.hook = ({ name, pathname }) => {
    seen.push(`${name} ${pathname}`)
    return undefined
  }
  const store = await bench.open(files)
  await bench.partition(store, keyOf("0"))
  const made = seen.indexOf(`directory ${SEGMENTS}`)
  const synced = seen.indexOf(`sync directory ${DIRECTORY}`, made)
  const named = seen.indexOf(`rename to ${SEGMENTS}/manifest`)
  assert.ok(made >= 0 && synced > made && named > synced, seen.slice(made).join("; "))
  assert.equal(logsOf(files).length, 0)
})
