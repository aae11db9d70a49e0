/** What retention takes is counted by its reason; what is oldest goes where there is too little room. */
import assert from "node:assert/strict"
import { after, test } from "node:test"
import type { Partition } from "../../core/mod.ts"
import type { TestStore } from "./fakes.ts"
import { OldestSegments } from "./OldestSegments.ts"
import { fileBytes, type Segment, type StoredPartition } from "./Segment.ts"
import {
  append,
  Bench,
  batchOf,
  fastClock,
  keyOf,
  logsOf,
  makeDisk,
  readAll,
  refusalOf,
  reopened,
  SEGMENTS,
  UNLIMITED
} from "./testing.ts"

const bench = new Bench()
after(() => bench.close())

/** Bytes of the files of segments. */
function filesOf(files: ReturnType<typeof makeDisk>): number {
  let bytes = 0
  for (const name of files.names()) {
    if (name.startsWith(`${SEGMENTS}/`) && /\.(?:log|index)$/.test(name)) bytes += files.contentUnsafe(name).length
  }
  return bytes
}

const linesOf = ({ lines }: TestStore): ReadonlyArray<string> => lines.filter((line) => line.includes("were deleted"))

test("what goes for its age, for the size and for the records is counted apart and told, partition by partition", async () => {
  let nowMs = 1_700_000_000_000
  const clock = { ...fastClock, nowMs: () => nowMs }
  const store = await bench.open(makeDisk(), { clock, settings: { segment_bytes: 1_000 } })
  const { checkpoints, retention } = store.store
  const bySize = await bench.partition(store, keyOf("size"), { ...UNLIMITED, sizeBytesMax: 2_500 })
  const byRecords = await bench.partition(store, keyOf("records"), { ...UNLIMITED, recordsMax: 2 })
  const byAge = await bench.partition(store, keyOf("age"), { ...UNLIMITED, ageMsMax: 60_000 })
  for (let count = 0; count < 6; count++) {
    await append(bySize, batchOf([count], 900))
    await append(byRecords, batchOf([count], 900))
  }
  await append(byAge, batchOf([1], 900))
  await checkpoints.flush()
  const { logStartOffset: sizeStart } = bySize
  assert.ok(sizeStart > 0 && byRecords.logStartOffset === 4)
  const of = ({ time, bytes, records }: typeof retention.records): ReadonlyArray<number> => [time, bytes, records]
  assert.deepEqual(of(retention.records), [0, sizeStart, 4])
  nowMs += 120_000
  await append(byAge, batchOf([2], 900))
  await checkpoints.flush()
  assert.equal(byAge.logStartOffset, 1)
  assert.deepEqual(of(retention.records), [1, sizeStart, 4])
  assert.ok(retention.bytes.time > 900 && retention.bytes.time < 1_100, `${retention.bytes.time} bytes`)
  assert.deepEqual([retention.bytes.budget, retention.bytes.tenant], [0, 0])
  const told = linesOf(store)
  assert.equal(told.length, 3)
  assert.match(told.at(-1) ?? "", /"topic":"age","partition":0,"from":0,"to":1,"bytes":9\d\d,"reason":"time"/)
})

/** Two tenants with two partitions each, that get a batch in turn, a second apart. */
async function filled(): Promise<{
  readonly files: ReturnType<typeof makeDisk>
  readonly store: TestStore
  readonly partitions: ReadonlyArray<Partition>
}> {
  let nowMs = 1_700_000_000_000
  const files = makeDisk()
  const store = await bench.open(files, { clock: { ...fastClock, nowMs: () => (nowMs += 1_000) } })
  const keys = [0, 1].flatMap((tenant) => ["a", "b"].map((topicId) => ({ ...keyOf(topicId), tenant })))
  const partitions = await Promise.all(keys.map((key) => bench.partition(store, key)))
  for (let round = 0; round < 60; round++) {
    for (const partition of partitions) await append(partition, batchOf([round], 400, round))
    if (round % 5 === 4) await store.store.checkpoints.flush()
  }
  return { files, store, partitions }
}

test("the oldest segments of all partitions go, about as much as was asked for, and files are as large as was counted", async () => {
  const { files, store, partitions } = await filled()
  const { account, checkpoints, writer, retention } = store.store
  const before = await account.measure()
  assert.equal(before.usedBytes - store.store.manifest.bytes, filesOf(files))
  assert.deepEqual(
    before.tenants.map(([tenant]) => tenant),
    [0, 1]
  )
  const pieces = await account.oldest(20_000, undefined)
  const sum = pieces.reduce((total, { bytes }) => total + bytes, 0)
  assert.ok(sum >= 20_000 && sum < 26_000, `${sum} bytes`)
  assert.deepEqual(
    pieces.map(({ appendedMs }) => appendedMs),
    pieces.map(({ appendedMs }) => appendedMs).toSorted((one, other) => one - other)
  )
  await account.deleteOldest({ bytes: 20_000, tenant: undefined, reason: "budget" })
  await writer.whenIdle()
  const gone = before.usedBytes - (await account.measure()).usedBytes
  assert.ok(gone > 18_000 && gone < 26_000, `${gone} bytes`)
  assert.equal((await account.measure()).usedBytes - store.store.manifest.bytes, filesOf(files))
  // Fairly: all have given up what is about as old.
  const starts = partitions.map(({ logStartOffset }) => logStartOffset)
  assert.ok(Math.min(...starts) > 5 && Math.max(...starts) - Math.min(...starts) <= 8, String(starts))
  assert.ok(retention.bytes.budget > 15_000 && retention.bytes.tenant === 0)
  assert.match(linesOf(store).at(-1) ?? "", /"from":0,"to":\d+,"bytes":\d+,"reason":"budget"/)
  // What a reader had not read yet is out of range, and what is left is whole.
  for (const partition of partitions) {
    assert.equal((await partition.read(partition.logStartOffset - 1, 1)).length, 0)
    assert.equal(await refusalOf(readAll(partition)), "")
  }
  assert.equal(checkpoints.failures, 0)
})

test("a tenant's own go where it has too much; the others keep theirs", async () => {
  const { store, partitions } = await filled()
  const { account, retention } = store.store
  await account.deleteOldest({ bytes: 10_000, tenant: 1, reason: "tenant" })
  const starts = partitions.map(({ logStartOffset }) => logStartOffset > 0)
  assert.deepEqual(starts, [false, false, true, true])
  assert.ok(retention.bytes.tenant > 8_000 && retention.bytes.budget === 0)
})

test("each partition keeps its newest segment, whatever is asked for; a start finds what is left, and the same order", async () => {
  const { files, store, partitions } = await filled()
  const { account } = store.store
  await account.deleteOldest({ bytes: Number.MAX_SAFE_INTEGER, tenant: undefined, reason: "budget" })
  await store.store.writer.whenIdle()
  for (const id of [1, 2, 3, 4]) assert.equal(logsOf(files, id).length, 1)
  assert.ok(partitions.every(({ logStartOffset, logEndOffset }) => logStartOffset < logEndOffset))
  assert.deepEqual(await account.oldest(1, undefined), [])
  await account.deleteOldest({ bytes: 1, tenant: undefined, reason: "budget" })
  const starts = partitions.map(({ logStartOffset }) => logStartOffset)
  const { usedBytes } = await account.measure()
  const again = await reopened(bench, { files, store, partitions: [], batches: [] })
  assert.equal((await again.store.store.account.measure()).usedBytes, usedBytes)
  const rows = [...again.store.store.catalogue.all.values()].map(({ logStart }) => logStart)
  assert.deepEqual(rows, starts)
})

test("a partition that nobody has opened gives up what is oldest all the same", async () => {
  const { files, store } = await filled()
  const again = await reopened(bench, { files, store, partitions: [], batches: [] })
  const { account, partitions, catalogue } = again.store.store
  await account.deleteOldest({ bytes: 20_000, tenant: undefined, reason: "budget" })
  assert.equal(partitions.size, 0)
  assert.ok([...catalogue.all.values()].every(({ logStart }) => logStart > 0))
})

test("where the disk refuses, what is to go goes later; where the store is closed nobody waits for it", async () => {
  const { files, store } = await filled()
  const { account, retention } = store.store
  let failures = 1
  files.hook = ({ name, pathname }) => {
    if (!pathname.endsWith("/manifest") || name !== "write" || failures === 0) return undefined
    failures -= 1
    return { code: "disk-full", reason: "the disk is full" }
  }
  await account.deleteOldest({ bytes: 10_000, tenant: undefined, reason: "budget" })
  assert.equal(failures, 0)
  assert.ok(retention.bytes.budget > 8_000 && retention.bytes.budget < 16_000, `${retention.bytes.budget} bytes`)
  files.hook = ({ name }) => (name === "write" ? { code: "disk-full", reason: "the disk is full" } : undefined)
  const stuck = account.deleteOldest({ bytes: 10_000, tenant: undefined, reason: "budget" })
  await store.kill()
  await stuck
})

const segmentOf = (base: number, lastAppendedMs: number): Segment => ({
  ...{ base, end: base + 10, bytes: 1_000, isSealed: true, firstTimestamp: 0, maxTimestamp: 0 },
  ...{ firstAppendedMs: 0, lastAppendedMs, batches: 1, records: 10, headersCrc: 0 },
  ...{ indexEntries: 2, indexCrc: 0, indexedBytes: 0, indexedEnd: 0, tailMaxTimestamp: 0 }
})
const storedOf = (id: number, tenant: number, segments: ReadonlyArray<Segment>): StoredPartition => ({
  ...{ id, key: { ...keyOf(String(id)), tenant }, logStart: 0, logEnd: 0, leaderEpoch: 0, segments, startPosition: 128 }
})

test("the order of segments is kept while partitions grow, are cut and go, and what has gone takes no memory for good", () => {
  const partitions = new Map<number, StoredPartition>()
  const set = (after: StoredPartition): void => {
    const before = partitions.get(after.id)
    partitions.set(after.id, after)
    oldest.changed(before, after)
  }
  partitions.set(1, storedOf(1, 0, [segmentOf(0, 30), segmentOf(10, 50), segmentOf(20, 60)]))
  partitions.set(2, storedOf(2, 7, [segmentOf(0, 20), segmentOf(10, 40)]))
  const oldest = new OldestSegments(partitions.values(), (id) => partitions.get(id))
  const found = (tenant?: number): ReadonlyArray<string> =>
    [...oldest.walk(tenant)].map(({ id, segment }) => `${id}/${segment.base}`)
  assert.deepEqual(found(), ["2/0", "1/0", "1/10"])
  assert.deepEqual([found(7), found(3)], [["2/0"], []])
  set(storedOf(2, 7, [segmentOf(10, 40), segmentOf(20, 70)]))
  assert.deepEqual(found(), ["1/0", "2/10", "1/10"])
  // Cut: what was in the middle is the newest now.
  set(storedOf(1, 0, [segmentOf(0, 30), segmentOf(10, 50)]))
  assert.deepEqual(found(), ["1/0", "2/10"])
  partitions.delete(2)
  assert.deepEqual(found(), ["1/0"])
  for (let base = 20; base < 200_000; base += 10)
    set(storedOf(1, 0, [segmentOf(base - 10, base), segmentOf(base, base + 1)]))
  assert.deepEqual(found(), ["1/199980"])
  assert.ok(oldest.size < 3_000, `${oldest.size} entries`)
  assert.equal(fileBytes(segmentOf(0, 0)), 1_000 + 96 + 48)
})
