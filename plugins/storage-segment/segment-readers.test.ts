/**
 * Readers all the time while a log is cut, grows and is put away: they get what was written, and are never told of damage. What they were
 * given stays as it was, with a lease until its end.
 */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { type Partition, ReadLease, recordBatch } from "../../core/mod.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { append, Bench, batchOf, keyOf, makeDisk, put, readAll, turned, until, withFiles } from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

/** By base offset and leader epoch, which no two batches share. */
const nameOf = (batch: Uint8Array): string =>
  `${recordBatch.baseOffset(batch, 0)} of epoch ${recordBatch.partitionLeaderEpoch(batch, 0)}`

interface Scene {
  readonly partition: Partition
  readonly written: Map<string, Uint8Array>
  isOver: boolean
  reads: number
}

async function reader(scene: Scene, seed: number): Promise<void> {
  const { partition, written } = scene
  const chance = Xoshiro128.seeded(seed, 2)
  const used: Array<{ readonly bytes: Uint8Array; readonly copy: Uint8Array; readonly lease: ReadLease | undefined }> =
    []
  const letGo = (at: number): void => {
    const [given] = used.splice(at, 1)
    assert.deepEqual(given?.bytes, given?.copy)
    given?.lease?.end()
  }
  while (!scene.isOver) {
    const { leaderEpoch, logStartOffset, highWatermark } = partition
    const offset = logStartOffset + chance.below(Math.max(1, highWatermark - logStartOffset))
    if (chance.chance(1, 4)) await partition.offsetForTimestamp(chance.below(3_000))
    const lease = chance.chance(2, 3) ? new ReadLease() : undefined
    const bytes = await partition.read(offset, chance.below(5_000), lease)
    used.push({ bytes, copy: bytes.slice(), lease })
    if (used.length > chance.below(12)) letGo(chance.below(used.length))
    scene.reads += 1
    let next = offset
    for (let at = 0; at < bytes.length; ) {
      const size = recordBatch.batchSize(bytes, at, bytes.length)
      assert.ok(size > 0, "whole batches")
      const batch = bytes.slice(at, at + size)
      const base = recordBatch.baseOffset(batch, 0)
      assert.ok(at === 0 ? base <= offset : base === next, `${base} follows ${next}, asked for ${offset}`)
      assert.deepEqual(batch, written.get(nameOf(batch)), nameOf(batch))
      next = base + recordBatch.recordCount(batch, 0)
      at += size
    }
    const isThere = offset < highWatermark && offset >= partition.logStartOffset
    assert.ok(next > offset || !isThere || leaderEpoch !== partition.leaderEpoch, `nothing at ${offset}`)
    await turned()
  }
  while (used.length > 0) letGo(0)
}

async function play(seed: number, segmentBytes: number, valueBytes: number): Promise<number> {
  const settings = { segment_bytes: segmentBytes, cold_bytes_max: 300_000 }
  const store = await bench.open(makeDisk(), { settings })
  const partition = await bench.partition(store, keyOf("0"))
  const scene: Scene = { partition, written: new Map(), isOver: false, reads: 0 }
  const chance = Xoshiro128.seeded(seed)
  const add = (): void => {
    const stored = put(partition, batchOf([chance.below(3_000)], chance.below(valueBytes), scene.written.size))
    scene.written.set(nameOf(stored), stored)
  }
  const readers = [1, 2, 3, 4].map((each) => reader(scene, seed * 10 + each))
  // One that fails ends the others.
  const failed = Promise.all(readers).catch((error) => {
    scene.isOver = true
    throw error
  })
  failed.catch(() => {})
  for (let round = 0; round < 250 && !scene.isOver; round++) {
    for (let count = chance.below(8); count > 0; count--) add()
    await until(() => partition.highWatermark === partition.logEndOffset)
    const span = partition.logEndOffset - partition.logStartOffset
    if (chance.chance(1, 6)) await partition.truncateTo(partition.logEndOffset - chance.below(Math.min(span, 40) + 1))
    if (chance.chance(1, 15))
      await partition.deleteBefore(partition.logStartOffset + chance.below(Math.min(span, 20) + 1))
    if (chance.chance(1, 3)) void store.store.checkpoints.flush()
    for (let turns = chance.below(6); turns > 0; turns--) await turned()
  }
  scene.isOver = true
  await failed
  await append(partition, batchOf([1], 10))
  await store.store.checkpoints.flush()
  await readAll(partition)
  assert.equal(store.store.damages, 0, store.lines.join("\n"))
  assert.deepEqual(
    store.lines.filter((line) => /^(?:warn|error)/.test(line)),
    []
  )
  await store.kill()
  return scene.reads
}

test("readers of a log that is cut, grows and is put away all the time", async () => {
  let reads = 0
  const count = Number(process.env["SEEDS"] ?? 6)
  // 11: a reader that had a segment before it was cut, and read it afterwards.
  for (const seed of new Set([...Array.from({ length: count }, (_, at) => at + 1), 11])) {
    for (const [segmentBytes, valueBytes] of [
      [3_000, 300],
      [400_000, 8_000]
    ] as const) {
      reads += await play(seed, segmentBytes, valueBytes).catch((error) => {
        throw new Error(`seed ${seed}, segments of ${segmentBytes}: ${String(error).slice(0, 900)}`)
      })
    }
  }
  assert.ok(reads > 5_000, `${reads} reads`)
})

test("a run that grows while a window of it is read: what is new is not missing from the window", async () => {
  const files = makeDisk()
  let open: () => void = () => {}
  let gate: Promise<void> = Promise.resolve()
  const wrapped = withFiles((file) =>
    file.pathname.endsWith(".log")
      ? { read: (target, start, end, position) => gate.then(() => file.read(target, start, end, position)) }
      : {}
  )(files)
  const store = await bench.open(files, { files: wrapped, settings: { segment_bytes: 1_000_000 } })
  const partition = await bench.partition(store, keyOf("0"))
  for (const timestamp of [1_000, 1, 2]) await append(partition, batchOf([timestamp], 50))
  await store.store.checkpoints.flush()
  // The run's latest time is that of a batch which is not searched any more.
  await partition.deleteBefore(1)
  gate = new Promise((resolve) => {
    open = resolve
  })
  const asking = partition.offsetForTimestamp(500)
  const reading = partition.read(1, 10_000)
  await turned()
  await append(partition, batchOf([3], 50))
  await store.store.checkpoints.flush()
  open()
  assert.equal(await asking, undefined)
  assert.ok((await reading).length > 0)
  assert.equal(store.store.damages, 0)
})
