import { test } from "bun:test"
import assert from "node:assert/strict"
import { crc32cUpdate, recordBatch, type TrimTask } from "../../core/mod.ts"
import { boundsOf, type NewBatch, PlannedPartition, planWrites, type SegmentWrite } from "./CheckpointPlan.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { BATCH_HEADER_BYTES, decodeRun, HEADER_BYTES, INDEX_ENTRY_BYTES } from "./segment-format.ts"
import { batchOf, keyOf } from "./testing.ts"

const KEY = keyOf("topic")
const WIDE = { bytes: 1_000_000_000, ageMs: 1_000_000, records: 1_000_000 }

function batchAt(base: number, records: number, valueBytes: number, epoch = 0, appendedAtMs = 0): NewBatch {
  const timestamps = Array.from({ length: records }, (_, at) => base * 10 + at)
  const bytes = batchOf(timestamps, valueBytes)
  recordBatch.writeBaseOffset(bytes, 0, base)
  recordBatch.writeLeaderEpoch(bytes, 0, epoch)
  return { bytes, appendedAtMs }
}

/** Batches of two records each. */
const batchesFrom = (base: number, count: number, valueBytes: number): ReadonlyArray<NewBatch> =>
  Array.from({ length: count }, (_, at) => batchAt(base + 2 * at, 2, valueBytes, 0, 100 + at))

const bytesOf = (batches: ReadonlyArray<NewBatch>): number => batches.reduce((sum, { bytes }) => sum + bytes.length, 0)

/** What a segment has to say of itself that holds these batches. */
function assertHolds(segment: Segment, batches: ReadonlyArray<NewBatch>): void {
  const [first] = batches
  const last = batches.at(-1)
  assert.ok(first !== undefined && last !== undefined)
  const base = recordBatch.baseOffset(first.bytes, 0)
  const records = batches.reduce((sum, { bytes }) => sum + recordBatch.recordCount(bytes, 0), 0)
  let headersCrc = 0
  for (const { bytes } of batches) headersCrc = crc32cUpdate(headersCrc, bytes, 0, BATCH_HEADER_BYTES)
  const maxTimestamp = Math.max(...batches.map(({ bytes }) => recordBatch.maxTimestamp(bytes, 0)))
  const wanted = {
    ...{ base, end: base + records, bytes: HEADER_BYTES + bytesOf(batches), batches: batches.length, records },
    ...{ headersCrc, maxTimestamp, firstTimestamp: recordBatch.baseTimestamp(first.bytes, 0) },
    ...{ firstAppendedMs: first.appendedAtMs, lastAppendedMs: last.appendedAtMs }
  }
  assert.deepEqual({ ...segment, ...wanted }, segment)
}

test("batches that fit go to one segment, at once or one checkpoint after the other", () => {
  const batches = batchesFrom(10, 40, 900)
  const [whole, ...more] = planWrites(batches, undefined, WIDE)
  assert.ok(whole !== undefined && more.length === 0)
  assertHolds(whole.after, batches)
  let open: Segment | undefined
  const entries: Array<number> = []
  for (let from = 0; from < 40; from += 3) {
    const some = batches.slice(from, from + 3)
    const [write, ...others]: ReadonlyArray<SegmentWrite> = planWrites(some, open, WIDE)
    assert.ok(write !== undefined && others.length === 0)
    assert.equal(write.position, open?.bytes ?? HEADER_BYTES)
    assert.deepEqual(
      write.pieces,
      some.map(({ bytes }) => bytes)
    )
    assert.equal(write.before, open)
    open = write.after
    entries.push(...write.entries)
    assertHolds(open, batches.slice(0, from + 3))
  }
  // The same index, whenever its entries were written.
  assert.deepEqual(open, whole.after)
  assert.deepEqual(entries, [...whole.entries])
  assert.equal(entries.length, whole.after.indexEntries * INDEX_ENTRY_BYTES)
  assert.ok(whole.after.indexEntries > 2 && whole.after.indexedBytes < whole.after.bytes)
})

test("a segment ends when the next batch would make it too large, or it is too old; its index then has all of it", () => {
  const batches = batchesFrom(0, 30, 400)
  const size = batches[0]?.bytes.length ?? 0
  const bounds = { ...WIDE, bytes: HEADER_BYTES + 7 * size }
  const writes = planWrites(batches, undefined, bounds)
  assert.deepEqual(
    writes.map(({ pieces }) => pieces.length),
    [7, 7, 7, 7, 2]
  )
  assert.deepEqual(
    writes.map(({ after }) => after.isSealed),
    [true, true, true, true, false]
  )
  let at = 0
  for (const { after, pieces, entries } of writes) {
    assertHolds(after, batches.slice(at, at + pieces.length))
    at += pieces.length
    if (!after.isSealed) continue
    assert.equal(after.indexedBytes, after.bytes)
    assert.equal(decodeRun(entries, entries.length - INDEX_ENTRY_BYTES)?.end, after.bytes)
  }
  const aged = planWrites(batches, undefined, { ...WIDE, ageMs: 9 })
  assert.deepEqual(
    aged.map(({ pieces }) => pieces.length),
    [10, 10, 10]
  )
  // Records end one that is not small.
  const counted = planWrites(batchesFrom(0, 300, 400), undefined, { ...WIDE, records: 10 })
  const small = Math.ceil((65_536 - HEADER_BYTES) / size)
  assert.deepEqual(
    counted.slice(0, 2).map(({ pieces }) => pieces.length),
    [small, small]
  )
  // A batch that is larger than a segment may be has one of its own.
  const large = planWrites([batchAt(0, 1, 10), batchAt(1, 1, 50_000), batchAt(2, 1, 10)], undefined, bounds)
  assert.deepEqual(
    large.map(({ after }) => after.base),
    [0, 1, 2]
  )
  // One that is full already is ended without a batch.
  const [full] = planWrites(batches.slice(0, 7), undefined, bounds)
  const [ended, fresh] = planWrites(batches.slice(7, 8), full?.after, bounds)
  assert.ok(ended?.after.isSealed === true && ended.pieces.length === 0)
  assertHolds(ended.after, batches.slice(0, 7))
  assert.equal(fresh?.after.base, 14)
})

test("no batches, no writes", () => {
  const [write] = planWrites(batchesFrom(0, 3, 10), undefined, WIDE)
  assert.deepEqual(planWrites([], undefined, WIDE), [])
  assert.deepEqual(planWrites([], write?.after, WIDE), [])
})

const storedOf = (...segments: ReadonlyArray<Segment>): StoredPartition => ({
  ...{ id: 1, key: KEY, logStart: segments[0]?.base ?? 0, logEnd: segments.at(-1)?.end ?? 0 },
  ...{ leaderEpoch: 3, segments, startPosition: HEADER_BYTES }
})

const segmentOf = (base: number, count: number): Segment =>
  planWrites(batchesFrom(base, count, 100), undefined, WIDE)[0]?.after as Segment

const figuresOf = (planned: PlannedPartition): ReadonlyArray<number | boolean> => {
  const { logStart, logEnd, keptEnd, leaderEpoch, isCut } = planned
  return [logStart, logEnd, keptEnd, leaderEpoch, isCut, planned.added.length]
}

test("operations leave a log as they would one after the other", () => {
  const before = storedOf(segmentOf(0, 5), segmentOf(10, 5))
  const planned = new PlannedPartition(1, KEY, before)
  const add = (base: number, epoch: number): void => planned.append(batchAt(base, 2, 10, epoch).bytes, 0)
  assert.deepEqual(figuresOf(planned), [0, 20, 20, 3, false, 0])
  add(20, 4)
  add(22, 4)
  assert.deepEqual(figuresOf(planned), [0, 24, 20, 4, false, 2])
  // What is not stored yet is cut off without a trace.
  planned.cut(22, 5)
  assert.deepEqual(figuresOf(planned), [0, 22, 20, 5, false, 1])
  planned.cut(14, 6)
  assert.deepEqual(figuresOf(planned), [0, 14, 14, 6, true, 0])
  add(14, 6)
  planned.cut(16, 7)
  assert.deepEqual(figuresOf(planned), [0, 16, 14, 7, true, 1])
  // Where the journal says again what is there, it takes the place of that.
  add(12, 8)
  assert.deepEqual(figuresOf(planned), [0, 14, 12, 8, true, 1])
  planned.delete(13)
  planned.delete(5)
  assert.deepEqual(figuresOf(planned), [13, 14, 12, 8, true, 1])
  planned.delete(100)
  assert.deepEqual(figuresOf(planned), [14, 14, 12, 8, true, 1])
  // A log that holds nothing begins with what comes next.
  planned.append(batchAt(30, 2, 10, 8).bytes, 0)
  assert.deepEqual(figuresOf(planned), [30, 32, 12, 8, true, 2])
  assert.equal(before.logEnd, 20, "the catalogue's is as it was")
})

test("a cut at the end of what is stored, or of a log without segments, cuts no segment", () => {
  const planned = new PlannedPartition(1, KEY, storedOf(segmentOf(0, 5)))
  planned.cut(10, 4)
  assert.equal(planned.isCut, false)
  planned.cut(9, 5)
  assert.equal(planned.isCut, true)
  const empty = new PlannedPartition(1, KEY, undefined)
  empty.cut(0, 1)
  assert.equal(empty.isCut, false)
})

test("trimming takes whole segments from the old end, and never the newest for its size", () => {
  const segments = [segmentOf(0, 5), segmentOf(10, 5), segmentOf(20, 5)]
  const one = (segments[0]?.bytes ?? 0) - HEADER_BYTES
  const none: TrimTask = { id: 1, sizeBytesMax: 1e9, recordsMax: 1e9, appendedBeforeMs: 0 }
  const cases: ReadonlyArray<readonly [Partial<TrimTask>, number]> = [
    [{}, 0],
    [{ sizeBytesMax: 3 * one }, 0],
    [{ sizeBytesMax: 3 * one - 1 }, 10],
    [{ sizeBytesMax: 2 * one - 1 }, 20],
    [{ sizeBytesMax: 1 }, 20],
    [{ recordsMax: 29 }, 10],
    [{ recordsMax: 1 }, 20],
    [{ appendedBeforeMs: 104 }, 0],
    [{ appendedBeforeMs: 105 }, 30]
  ]
  for (const [bound, start] of cases) {
    const planned = new PlannedPartition(1, KEY, storedOf(...segments))
    planned.trim(segments, { ...none, ...bound })
    assert.equal(planned.logStart, start, JSON.stringify(bound))
  }
})

test("segments of a log that is bounded are a part of the bound", () => {
  const trim: TrimTask = { id: 1, sizeBytesMax: 8_000_000, recordsMax: 1e9, appendedBeforeMs: 0 }
  const bounds = { bytes: 10_000_000, ageMs: 80_000, records: Number.POSITIVE_INFINITY }
  assert.deepEqual(boundsOf(bounds, undefined, 1_000_000), bounds)
  assert.deepEqual(boundsOf(bounds, trim, 1_000_000), { bytes: 1_000_000, ageMs: 80_000, records: 125_000_000 })
  assert.deepEqual(boundsOf(bounds, { ...trim, sizeBytesMax: 1 }, 1_000_000).bytes, 65_536)
  assert.deepEqual(boundsOf(bounds, { ...trim, recordsMax: 80 }, 1_000_000).records, 10)
  assert.deepEqual(boundsOf(bounds, { ...trim, appendedBeforeMs: 840_000 }, 1_000_000).ageMs, 20_000)
})
