/** Gathered batches that are compressed: the same records, the right form, and what stays plain. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { TurnTask } from "../platform/Turn.ts"
import { BatchCompressor, COMPRESSED_BYTES_MAX, COMPRESSED_BYTES_MIN } from "./BatchCompressor.ts"
import { CALL_BYTES, CompressionBudget, TURN_BYTES_MAX } from "./CompressionBudget.ts"
import { checkRecords, defaultRecordLimits } from "./check-records.ts"
import { CODEC_NONE, CODEC_ZSTD } from "./compression.ts"
import { crc32c } from "./crc32c.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { RecordCursor } from "./RecordCursor.ts"
import * as batch from "./record-batch.ts"
import { COMPRESSION_CORRUPT, COMPRESSION_TOO_LARGE } from "./refusals.ts"
import { SealedBatches, sealedBatches } from "./SealedBatches.ts"

const encoder = new TextEncoder()

/** Finishes what `fill` appends; held for nobody, so that readers inflate it, unless `sealed` is the thread's. */
function finished(
  fill: (builder: RecordBatchBuilder) => void,
  sealed = new SealedBatches(0)
): { readonly bytes: Uint8Array; readonly compressor: BatchCompressor } {
  const builder = new RecordBatchBuilder(2 ** 24)
  fill(builder)
  const compressor = new BatchCompressor({ sealed })
  return { bytes: builder.bytes.slice(0, compressor.finish(builder)), compressor }
}

/** Bytes that do not repeat. */
function noise(size: number): Uint8Array {
  let state = size >>> 0 || 1
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  })
}

const oneValue = (value: Uint8Array) => (builder: RecordBatchBuilder) =>
  void builder.append(1_000, undefined, 0, 0, value, 0, value.length)
/** One record with so many bytes of records in all: what a value does not fill is its lengths. */
const ofSize = (size: number, fill: (length: number) => Uint8Array) => (builder: RecordBatchBuilder) => {
  const frame = size > 16_384 ? 12 : size > 128 ? 10 : 8
  for (let length = size - frame; builder.byteLength - batch.RECORDS_POSITION !== size; length++) {
    builder.reset()
    oneValue(fill(length))(builder)
    assert.ok(length < size, "there is a record of this size")
  }
}

function recordsOf(bytes: Uint8Array): ReadonlyArray<unknown> {
  const cursor = new RecordCursor()
  assert.equal(cursor.reset(bytes, 0, bytes.length), 0)
  const part = (start: number, end: number): string | null =>
    start < 0 ? null : Buffer.from(cursor.bytes.subarray(start, end)).toString("hex")
  const found: Array<unknown> = []
  while (cursor.next()) {
    const { offset, timestamp, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd, headerCount } = cursor
    const headers = part(headersStart, headersEnd)
    found.push([offset, timestamp, part(keyStart, keyEnd), part(valueStart, valueEnd), headerCount, headers])
  }
  assert.equal(cursor.refusal, 0)
  return found
}

test("the header of a compressed batch, and a checksum of what is stored", () => {
  const text = encoder.encode("21.5 degrees; ".repeat(100))
  const fill = (builder: RecordBatchBuilder): void => {
    for (const timestamp of [5_000, 4_000, 9_000]) builder.append(timestamp, text, 0, 4, text, 0, text.length)
  }
  const { bytes, compressor } = finished(fill)
  assert.equal(batch.checkBatch(bytes, 0, bytes.length), 0)
  assert.equal(checkRecords(bytes, 0, bytes.length, defaultRecordLimits), 0)
  assert.equal(batch.attributes(bytes, 0), batch.GATHERED | CODEC_ZSTD)
  assert.equal(batch.crc(bytes, 0), crc32c(bytes, batch.ATTRIBUTES_POSITION, bytes.length))
  assert.equal(batch.recordCount(bytes, 0), 3)
  assert.deepEqual([batch.baseTimestamp(bytes, 0), batch.maxTimestamp(bytes, 0)], [5_000, 9_000])
  const { counts } = compressor
  assert.deepEqual([counts.compressed, counts.outputBytes], [1, bytes.length])
  const builder = new RecordBatchBuilder()
  fill(builder)
  assert.equal(counts.inputBytes, builder.finish())
  assert.ok(counts.outputBytes * 4 < counts.inputBytes)
})

test("any messages are the same records, compressed or not, inflated or remembered", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(fc.string({ minLength: 1, maxLength: 9 }), fc.nat(200))
      .map(([text, times]) => encoder.encode(text.repeat(times)))
  )
  const record = fc.record({
    timestamp: fc.integer({ min: 0, max: 2 ** 45 }),
    key: bytes,
    value: fc.option(bytes, { nil: undefined })
  })
  const isCompressed = { yes: 0, no: 0 }
  const property = fc.property(fc.array(record, { minLength: 1, maxLength: 40 }), (records) => {
    const fill = (builder: RecordBatchBuilder): void => {
      for (const { timestamp, key, value } of records)
        builder.append(timestamp, key, 0, key.length, value, 0, value?.length ?? 0)
    }
    const builder = new RecordBatchBuilder()
    fill(builder)
    const plain = builder.bytes.slice(0, builder.finish())
    for (const sealed of [new SealedBatches(0), sealedBatches]) {
      const { bytes: packed } = finished(fill, sealed)
      isCompressed[batch.codec(packed, 0) === CODEC_NONE ? "no" : "yes"] += 1
      assert.ok(packed.length <= plain.length)
      assert.equal(batch.checkBatch(packed, 0, packed.length), 0)
      assert.deepEqual(recordsOf(packed), recordsOf(plain))
    }
  })
  fc.assert(property, { numRuns: 300 })
  assert.ok(isCompressed.yes > 30 && isCompressed.no > 30, JSON.stringify(isCompressed))
})

const zeros = (length: number): Uint8Array => new Uint8Array(length)
const rows: ReadonlyArray<readonly [string, (builder: RecordBatchBuilder) => void, string]> = [
  ["one byte below the least size", ofSize(COMPRESSED_BYTES_MIN - 1, zeros), "small"],
  ["the least size", ofSize(COMPRESSED_BYTES_MIN, zeros), "compressed"],
  ["the largest size", ofSize(COMPRESSED_BYTES_MAX, zeros), "compressed"],
  ["one byte above it", ofSize(COMPRESSED_BYTES_MAX + 1, zeros), "large"],
  ["what does not shrink", oneValue(noise(10_000)), "incompressible"],
  [
    "what shrinks by less than an eighth",
    oneValue(new Uint8Array([...noise(9_000), ...zeros(1_000)])),
    "incompressible"
  ],
  ["what shrinks by more", oneValue(new Uint8Array([...noise(8_000), ...zeros(2_000)])), "compressed"]
]
for (const [name, fill, outcome] of rows) {
  test(`${name}: ${outcome}`, () => {
    const { bytes, compressor } = finished(fill)
    const { inputBytes, outputBytes, ...outcomes } = compressor.counts
    const none = { compressed: 0, small: 0, large: 0, incompressible: 0, busy: 0 }
    assert.deepEqual(outcomes, { ...none, [outcome]: 1 })
    assert.equal(batch.codec(bytes, 0), outcome === "compressed" ? CODEC_ZSTD : CODEC_NONE)
    assert.equal(outputBytes, bytes.length)
    if (outcome !== "compressed") assert.equal(inputBytes, outputBytes)
    assert.equal(batch.checkBatch(bytes, 0, bytes.length), 0)
  })
}

test("nothing appended is no batch, and is not counted", () => {
  const { bytes, compressor } = finished(() => {})
  assert.equal(bytes.length, 0)
  assert.ok(Object.values(compressor.counts).every((count) => count === 0))
})

test("what is beyond a turn's budget stays plain; the next turn has its own", () => {
  const due: Array<TurnTask> = []
  const budget = new CompressionBudget({ deferFlush: (task) => void due.push(task) })
  const [one, other] = [new BatchCompressor({ budget }), new BatchCompressor({ budget })]
  const sealWith = (compressor: BatchCompressor, size: number): boolean => {
    const builder = new RecordBatchBuilder(2 ** 20)
    ofSize(size, zeros)(builder)
    return batch.codec(builder.bytes.slice(0, compressor.finish(builder)), 0) === CODEC_ZSTD
  }
  const each = 100_000
  const fitting = Math.floor(TURN_BYTES_MAX / (each + CALL_BYTES))
  for (let turn = 1; turn <= 2; turn++) {
    for (let count = 0; count < fitting; count++) assert.ok(sealWith(count % 2 === 0 ? one : other, each))
    assert.equal(sealWith(one, each), false)
    assert.equal(sealWith(other, each), false)
    assert.ok(sealWith(one, 1_000), "what is smaller fits")
    assert.equal(sealWith(one, COMPRESSED_BYTES_MAX + 1), false)
    assert.deepEqual([one.counts.busy, other.counts.busy, one.counts.large], [turn, turn, turn])
    assert.equal(due.length, 1, "it waits for one end of the turn")
    due.pop()?.endTurn()
  }
  let calls = 0
  while (sealWith(one, COMPRESSED_BYTES_MIN)) calls += 1
  assert.equal(
    calls,
    Math.floor(TURN_BYTES_MAX / (COMPRESSED_BYTES_MIN + CALL_BYTES)),
    "many small batches are bounded, too"
  )
})

test("what was sealed a moment ago is not inflated, whoever reads it, as often as it is read", () => {
  const { bytes } = finished(oneValue(zeros(5_000)), sealedBatches)
  const held = sealedBatches.find(bytes, 0, bytes.length)
  assert.ok(held !== undefined)
  const padded = new Uint8Array([7, ...bytes, 7])
  // An engine writes these two, outside of the checksum.
  batch.writeBaseOffset(padded, 1, 77)
  batch.writeLeaderEpoch(padded, 1, 5)
  for (let reading = 0; reading < 2; reading++) {
    const cursor = new RecordCursor()
    assert.equal(cursor.reset(padded, 1, padded.length - 1), 0)
    assert.equal(cursor.bytes, held)
    assert.ok(cursor.next())
    assert.deepEqual([cursor.offset, cursor.valueEnd - cursor.valueStart], [77, 5_000])
    // What a reader lets go of stays for others.
    cursor.release()
  }
  const bounded = new RecordCursor()
  assert.equal(bounded.reset(bytes, 0, bytes.length, 4_999), COMPRESSION_TOO_LARGE)
  assert.equal(bounded.next(), false)
})

test("other bytes under the same checksum are not taken for it", () => {
  const { bytes } = finished(oneValue(zeros(5_000)), sealedBatches)
  const bad = bytes.slice()
  bad.fill(0xff, batch.RECORDS_POSITION)
  assert.equal(sealedBatches.find(bad, 0, bad.length), undefined)
  assert.equal(sealedBatches.find(bytes, 0, bytes.length - 1), undefined)
  const cursor = new RecordCursor()
  assert.equal(cursor.reset(bad, 0, bad.length), COMPRESSION_CORRUPT)
})

test("what is held is bounded, and the oldest goes first", () => {
  const sealed = new SealedBatches(10_000)
  const batches = Array.from({ length: 20 }, (_, index) => finished(oneValue(zeros(1_000 + index)), sealed).bytes)
  const isHeld = batches.map((bytes) => sealed.find(bytes, 0, bytes.length) !== undefined)
  assert.ok(sealed.bytes <= 10_000 && sealed.bytes > 8_000, String(sealed.bytes))
  const first = isHeld.indexOf(true)
  assert.ok(first > 5 && first < 18)
  assert.deepEqual(
    isHeld,
    isHeld.map((_, index) => index >= first)
  )
  const again = batches.at(-1) ?? zeros(0)
  const before = sealed.bytes
  sealed.add(
    batch.crc(again, 0),
    again.subarray(batch.RECORDS_POSITION),
    sealed.find(again, 0, again.length) ?? zeros(0)
  )
  assert.equal(sealed.bytes, before, "the same batch is held once")
  const large = finished(oneValue(zeros(20_000)), sealed).bytes
  assert.deepEqual([sealed.find(large, 0, large.length), sealed.bytes], [undefined, 0])
})

test("the bytes that are held are the keeper's own", () => {
  const sealed = new SealedBatches()
  const builder = new RecordBatchBuilder()
  oneValue(zeros(2_000))(builder)
  const bytes = builder.bytes.slice(0, new BatchCompressor({ sealed }).finish(builder))
  builder.bytes.fill(0xff)
  builder.reset()
  oneValue(noise(3_000))(builder)
  const held = sealed.find(bytes, 0, bytes.length)
  assert.ok(held !== undefined)
  assert.ok(held.subarray(-1_990).every((byte) => byte === 0))
})
