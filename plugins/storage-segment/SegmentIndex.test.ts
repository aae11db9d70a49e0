import { test } from "bun:test"
import assert from "node:assert/strict"
import { crc32c } from "../../core/mod.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { RunBuilder } from "./BatchScan.ts"
import type { Segment } from "./Segment.ts"
import { indexFrom, SegmentIndex } from "./SegmentIndex.ts"
import { encodeRuns, HEADER_BYTES, INDEX_ENTRY_BYTES, INDEX_RUN_BYTES, type IndexRun } from "./segment-format.ts"

interface Batch {
  readonly relativeOffset: number
  readonly position: number
  readonly size: number
  readonly timestamp: number
}

function batchesOf(seed: number, sizeMax: number): ReadonlyArray<Batch> {
  const chance = Xoshiro128.seeded(seed)
  const batches: Array<Batch> = []
  let relativeOffset = 0
  let position = HEADER_BYTES
  for (let count = 0; count < 300; count++) {
    const size = 61 + chance.below(sizeMax)
    batches.push({ relativeOffset, position, size, timestamp: chance.below(1_000) - 500 })
    relativeOffset += 1 + chance.below(5)
    position += size
  }
  return batches
}

function builtFrom(batches: ReadonlyArray<Batch>): RunBuilder {
  const builder = new RunBuilder(HEADER_BYTES, 0)
  for (const { relativeOffset, size, timestamp } of batches) builder.add(relativeOffset, size, timestamp)
  return builder
}

/** Of batches of which these entries are in the file. */
function segmentOf(batches: ReadonlyArray<Batch>, builder: RunBuilder): Segment {
  const last = batches.at(-1)
  const bytes = (last?.position ?? 0) + (last?.size ?? 0)
  const isOpen = builder.end > builder.position
  const end = 1_000 + (last?.relativeOffset ?? 0) + 1
  const entries = encodeRuns(builder.runs)
  return {
    ...{ base: 1_000, end, bytes, isSealed: false, firstTimestamp: 0, maxTimestamp: 0, firstAppendedMs: 0 },
    ...{ lastAppendedMs: 0, batches: batches.length, records: 0, headersCrc: 0, indexEntries: builder.runs.length },
    ...{ indexCrc: crc32c(entries, 0, entries.length), indexedBytes: builder.position },
    ...{
      indexedEnd: isOpen ? 1_000 + builder.relativeOffset : end,
      tailMaxTimestamp: isOpen ? builder.maxTimestamp : 0
    }
  }
}

/** Each batch is found by its offset and its place, and no run is later than it says. */
function agrees(index: SegmentIndex, batches: ReadonlyArray<Batch>): void {
  assert.equal(index.end, (batches.at(-1)?.position ?? 0) + (batches.at(-1)?.size ?? 0))
  for (const { relativeOffset, position, size, timestamp } of batches) {
    const run = index.runOfOffset(relativeOffset)
    assert.equal(index.runOfPosition(position), run)
    assert.ok(index.position(run) <= position && position + size <= index.endOf(run))
    assert.ok(index.relativeOffset(run) <= relativeOffset && timestamp <= index.maxTimestamp(run))
  }
  for (let run = 0; run < index.length; run++) {
    assert.equal(index.position(run), run === 0 ? HEADER_BYTES : index.endOf(run - 1), "no gap")
    const within = batches.filter(({ position }) => index.runOfPosition(position) === run)
    assert.equal(index.maxTimestamp(run), Math.max(...within.map(({ timestamp }) => timestamp)))
    assert.equal(index.relativeOffset(run), within[0]?.relativeOffset)
  }
}

test("an index from its file, with the open run behind it, finds every batch", () => {
  for (const [seed, sizeMax] of [
    [1, 100],
    [2, 3_000],
    [3, 40_000]
  ] as const) {
    const batches = batchesOf(seed, sizeMax)
    for (const count of [1, 2, 50, 299, 300]) {
      const some = batches.slice(0, count)
      const builder = builtFrom(some)
      const index = indexFrom(encodeRuns(builder.runs), segmentOf(some, builder))
      assert.ok(index !== undefined, `seed ${seed}, ${count} batches`)
      agrees(index, some)
    }
  }
})

test("an index that grows batch by batch finds every batch, in about as many runs", () => {
  for (const [seed, sizeMax] of [
    [4, 100],
    [5, 3_000],
    [6, 40_000]
  ] as const) {
    const batches = batchesOf(seed, sizeMax)
    const index = new SegmentIndex()
    for (const { relativeOffset, position, size, timestamp } of batches) {
      index.push({ relativeOffset, position, end: position + size, maxTimestamp: timestamp })
    }
    agrees(index, batches)
    assert.ok(index.length <= 2 * Math.ceil(index.end / INDEX_RUN_BYTES) + 1, `seed ${seed}: ${index.length} runs`)
  }
})

test("bytes that do not say what the segment says are none", () => {
  const batches = batchesOf(7, 3_000)
  const builder = builtFrom(batches)
  const segment = segmentOf(batches, builder)
  const bytes = encodeRuns(builder.runs)
  assert.ok(builder.runs.length > 10)
  assert.notEqual(indexFrom(new Uint8Array([...bytes, ...bytes]), segment), undefined)
  assert.equal(indexFrom(bytes.subarray(0, bytes.length - 1), segment), undefined)
  assert.equal(indexFrom(new Uint8Array(0), segment), undefined)
  for (let entry = 0; entry < builder.runs.length; entry++) {
    const turned = bytes.slice()
    const at = entry * INDEX_ENTRY_BYTES + (entry % INDEX_ENTRY_BYTES)
    turned[at] = (turned[at] ?? 0) ^ (1 << (entry % 8))
    assert.equal(indexFrom(turned, segment), undefined, `entry ${entry}`)
  }
  const changes: ReadonlyArray<(runs: Array<IndexRun>) => void> = [
    (runs) => runs.splice(3, 1),
    (runs) => runs.reverse(),
    // Whole, of the same sizes, and of another time.
    (runs) => (runs[4] = { ...(runs[4] as IndexRun), maxTimestamp: 9_999 }),
    (runs) => (runs[4] = { ...(runs[4] as IndexRun), relativeOffset: (runs[4]?.relativeOffset ?? 0) + 1 })
  ]
  for (const change of changes) {
    const runs = [...builder.runs]
    change(runs)
    assert.equal(indexFrom(encodeRuns(runs), segment), undefined)
  }
  assert.equal(indexFrom(bytes, { ...segment, indexedBytes: segment.indexedBytes + 1 }), undefined)
})
