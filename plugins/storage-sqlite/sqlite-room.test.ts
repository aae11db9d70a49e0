/** What retention takes is counted by its reason; what is oldest goes where there is too little room. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { type Partition, type PartitionLimits, RecordBatchBuilder } from "../../core/mod.ts"
import { systemClock } from "../../core/platform/system.ts"
import { WALK_ROWS } from "./database/RowRetention.ts"
import { openTestStore, type TestStore, type TestStoreOptions } from "./fakes.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-sqlite-room-"))
const stores: Array<TestStore> = []
const scope = Scope.makeUnsafe()
after(async () => {
  await Promise.all(stores.map((store) => store.kill()))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(root, { recursive: true, force: true })
})

let folders = 0
const freshFolder = (): string => join(root, String(++folders))
const settings = { checkpoint_interval_ms: 3_600_000, checkpoint_bytes: 1_000_000_000 }
async function open(folder: string, changed: TestStoreOptions = {}): Promise<TestStore> {
  const store = await openTestStore(folder, { settings, ...changed })
  stores.push(store)
  return store
}

const UNLIMITED = { sizeBytesMax: Number.POSITIVE_INFINITY, recordsMax: Number.POSITIVE_INFINITY, ageMsMax: 0 }

function partitionOf({ engine }: TestStore, topicId: string, tenant = 0, limits: PartitionLimits = UNLIMITED) {
  const events = { committed: () => {}, failed: () => {} }
  const opening = engine.open({ tenant, topicId, partition: 0 }, { limits, mode: "persistent", events })
  return Effect.runPromise(Scope.provide(opening, scope))
}

const until = async (holds: () => boolean): Promise<void> => {
  const startMs = performance.now()
  while (!holds()) {
    assert.ok(performance.now() - startMs < 20_000, "in the end")
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

function put(partition: Partition, valueBytes: number): void {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(valueBytes).fill(0xab), 0, valueBytes)
  const bytes = builder.bytes.slice(0, builder.finish())
  assert.ok(partition.tryAppendUnsafe(bytes, 0, bytes.length, 1) >= 0)
}

async function append(partition: Partition, valueBytes: number): Promise<void> {
  put(partition, valueBytes)
  await until(() => partition.highWatermark === partition.logEndOffset)
}

const linesOf = ({ lines }: TestStore): ReadonlyArray<string> => lines.filter((line) => line.includes("were deleted"))

test("what goes for its age, for the size and for the records is counted apart and told, partition by partition", async () => {
  let nowMs = 1_700_000_000_000
  const store = await open(freshFolder(), { clock: { ...systemClock, nowMs: () => nowMs } })
  const { checkpoints, retention } = store.store
  const bySize = await partitionOf(store, "size", 0, { ...UNLIMITED, sizeBytesMax: 3_500 })
  const byRecords = await partitionOf(store, "records", 0, { ...UNLIMITED, recordsMax: 2 })
  const both = await partitionOf(store, "both", 0, { ...UNLIMITED, recordsMax: 2, ageMsMax: 60_000 })
  for (let count = 0; count < 6; count++) {
    if (count === 3) nowMs += 120_000
    for (const partition of [bySize, byRecords, both]) await append(partition, 900)
  }
  await checkpoints.flush()
  assert.deepEqual([bySize.logStartOffset, byRecords.logStartOffset, both.logStartOffset], [3, 4, 4])
  const { time, bytes, records, budget, tenant } = retention.records
  assert.deepEqual([time, bytes, records, budget, tenant], [3, 3, 4 + 1, 0, 0])
  assert.ok(retention.bytes.time > 2_700 && retention.bytes.time < 3_000, `${retention.bytes.time} bytes`)
  const told = linesOf(store)
  assert.equal(told.length, 4)
  const [ofTime = "", ofRecords = ""] = told.filter((line) => line.includes('"topic":"both"'))
  assert.match(ofTime, /"partition":0,"from":0,"to":3,"bytes":2\d\d\d,"reason":"time","engine":"sqlite"/)
  assert.match(ofRecords, /"partition":0,"from":3,"to":4,"bytes":9\d\d,"reason":"records","engine":"sqlite"/)
})

/** Two tenants with two partitions each, that get a batch of a kilobyte in turn. */
async function filled(
  folder: string,
  rounds = 60
): Promise<{ readonly store: TestStore; readonly partitions: ReadonlyArray<Partition> }> {
  const store = await open(folder)
  const partitions: Array<Partition> = []
  for (const tenant of [0, 1]) for (const id of ["a", "b"]) partitions.push(await partitionOf(store, id, tenant))
  for (let round = 0; round < rounds; round++) {
    for (const partition of partitions) put(partition, 900)
    if (round % 20 !== 19) continue
    await until(() => partitions.every(({ highWatermark, logEndOffset }) => highWatermark === logEndOffset))
    await store.store.checkpoints.flush()
  }
  return { store, partitions }
}

test("the oldest batches of all partitions go, as much as was asked for; what is free in the database does not count", async () => {
  const folder = freshFolder()
  const { store, partitions } = await filled(folder)
  const { account, retention } = store.store
  const before = await account.measure()
  const stored = partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  assert.equal(
    before.tenants.reduce((sum, [, bytes]) => sum + bytes, 0),
    stored
  )
  // The pages, and the write-ahead log, which has copies of some.
  const logBytes = (): number => statSync(join(folder, "state.sqlite-wal")).size
  const logBefore = logBytes()
  const pages = before.usedBytes - logBefore
  assert.ok(pages > stored && pages < 1.5 * stored, `${pages} of ${stored}`)
  const pieces = await account.oldest(100_000, undefined)
  const sum = pieces.reduce((total, { bytes }) => total + bytes, 0)
  assert.ok(sum >= 100_000 && sum < 110_000 && pieces.length > 8 && pieces.length < 64, `${pieces.length}: ${sum}`)
  await account.deleteOldest({ bytes: 100_000, tenant: undefined, reason: "budget" })
  const deleted = pages - ((await account.measure()).usedBytes - logBytes())
  assert.ok(deleted > 80_000 && deleted < 110_000, `${deleted} bytes`)
  assert.ok(retention.bytes.budget >= 100_000 && retention.bytes.budget < 102_000, `${retention.bytes.budget}`)
  const starts = partitions.map(({ logStartOffset }) => logStartOffset)
  assert.ok(Math.min(...starts) > 20 && Math.max(...starts) - Math.min(...starts) <= 1, String(starts))
  const left = partitions.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
  assert.equal(
    (await account.measure()).tenants.reduce((total, [, bytes]) => total + bytes, 0),
    left
  )
  assert.ok(linesOf(store).some((line) => /"from":0,"to":\d+,"bytes":\d+,"reason":"budget"/.test(line)))
  // Rows go some at a time, by way of the write-ahead log; the pages that are used do not jump by that.
  let after = await account.measure()
  for (let attempt = 0; attempt < 200 && after.freeBytes <= 80_000; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 25))
    after = await account.measure()
  }
  const drift = after.usedBytes - logBytes() - (pages - deleted)
  assert.ok(after.freeBytes > 80_000 && Math.abs(drift) < 30_000, `${drift} bytes, ${after.freeBytes} free`)
  for (const partition of partitions) assert.equal((await partition.read(0, 100)).length, 0)
})

test("a tenant's own go where it has too much; the others keep theirs, and so do those who wait to be opened", async () => {
  const folder = freshFolder()
  const { store } = await filled(folder)
  await store.kill()
  const again = await open(folder)
  const { account, partitions, retention } = again.store
  const [one, other] = (await account.measure()).tenants
  assert.equal(one?.[1], other?.[1])
  await account.deleteOldest({ bytes: 30_000, tenant: 1, reason: "tenant" })
  assert.equal(partitions.size, 0)
  const [kept, less] = (await account.measure()).tenants
  assert.deepEqual([kept, (one?.[1] ?? 0) - (less?.[1] ?? 0)], [one, retention.bytes.tenant])
  const found = await Promise.all([0, 1].map((tenant) => partitionOf(again, "a", tenant)))
  assert.deepEqual(
    found.map(({ logStartOffset }) => logStartOffset > 0),
    [false, true]
  )
})

test("the newest batch of each partition stays, whatever is asked for", async () => {
  const { store, partitions } = await filled(freshFolder())
  const { account } = store.store
  await account.deleteOldest({ bytes: Number.MAX_SAFE_INTEGER, tenant: undefined, reason: "budget" })
  assert.deepEqual(
    partitions.map(({ logStartOffset, logEndOffset }) => logEndOffset - logStartOffset),
    [1, 1, 1, 1]
  )
  assert.deepEqual(await account.oldest(1, undefined), [])
})

test("more idle partitions than one walk looks at do not keep the others' batches from going", async () => {
  const store = await open(freshFolder(), { settings: { ...settings, resident_bytes_max: 1_000_000_000 } })
  const { account, checkpoints } = store.store
  for (let count = 0; count < WALK_ROWS + 500; count++) put(await partitionOf(store, `idle-${count}`), 1)
  await checkpoints.flush()
  const busy = await partitionOf(store, "busy")
  for (let count = 0; count < 50; count++) put(busy, 900)
  await until(() => busy.highWatermark === busy.logEndOffset)
  await checkpoints.flush()
  assert.deepEqual(await account.oldest(10_000, undefined), [], "the first walk meets the idle ones alone")
  assert.ok((await account.oldest(10_000, undefined)).length > 0)
  await account.deleteOldest({ bytes: 10_000, tenant: undefined, reason: "budget" })
  assert.ok(busy.logStartOffset >= 10 && busy.logStartOffset < 13, `starts at ${busy.logStartOffset}`)
})

test("a checkpoint that the database refuses takes nothing away, and counts nothing, until it is put", async () => {
  const folder = freshFolder()
  const fast = { ...systemClock, after: (ms: number, task: () => void) => systemClock.after(ms / 50, task) }
  const { store, partitions } = await filled(folder)
  await store.kill()
  const again = await open(folder, { clock: fast })
  const { account, checkpoints, retention } = again.store
  const before = await account.measure()
  const partition = await partitionOf(again, "a")
  again.limitPages(1)
  for (let count = 0; count < 40; count++) put(partition, 30_000)
  await until(() => partition.highWatermark === partition.logEndOffset)
  let isDone = false
  const deleted = account.deleteOldest({ bytes: 50_000, tenant: 1, reason: "tenant" }).then(() => {
    isDone = true
  })
  await until(() => checkpoints.failures > 1)
  assert.deepEqual([isDone, retention.bytes.tenant, retention.records.tenant], [false, 0, 0])
  assert.deepEqual((await account.measure()).tenants, before.tenants)
  again.limitPages(1_000_000)
  await deleted
  assert.ok(retention.bytes.tenant >= 50_000 && retention.bytes.tenant < 52_000)
  assert.equal(partitions.length, 4)
})
