import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { copyBytes } from "../copy-bytes.ts"
import { checkRecords, defaultRecordLimits } from "./check-records.ts"
import { HeaderCursor } from "./HeaderCursor.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { RecordCursor } from "./RecordCursor.ts"
import * as batch from "./record-batch.ts"
import { headerSize, writeHeader } from "./record-header.ts"
import { BUILDER_FULL, BUILDER_RECORD_TOO_LARGE } from "./refusals.ts"

const accepted = (builder: RecordBatchBuilder): void => {
  const length = builder.finish()
  assert.strictEqual(length, builder.byteLength)
  assert.strictEqual(batch.checkBatch(builder.bytes, 0, length), 0)
  assert.strictEqual(checkRecords(builder.bytes, 0, length, defaultRecordLimits), 0)
}

/** One encoded header whose name has `nameLength` and whose value has `valueLength` bytes, filled with `fill`. */
function header(nameLength: number, valueLength: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(headerSize(nameLength, valueLength))
  const name = new Uint8Array(nameLength).fill(fill)
  const value = valueLength < 0 ? undefined : new Uint8Array(valueLength).fill(fill)
  assert.strictEqual(writeHeader(bytes, 0, name, value, 0, valueLength), bytes.length)
  return bytes
}

test("the header of a gathered batch", () => {
  const builder = new RecordBatchBuilder()
  const bytes = Uint8Array.of(1, 2, 3)
  assert.strictEqual(builder.finish(), 0, "an empty batch is none")
  for (const timestamp of [5000, 4000, 9000, 8000]) {
    assert.strictEqual(builder.append(timestamp, bytes, 0, 1, undefined, 0, 0), 0)
  }
  accepted(builder)
  assert.strictEqual(batch.attributes(builder.bytes, 0), batch.GATHERED)
  assert.strictEqual(batch.baseOffset(builder.bytes, 0), 0)
  assert.strictEqual(batch.baseTimestamp(builder.bytes, 0), 5000)
  assert.strictEqual(batch.maxTimestamp(builder.bytes, 0), 9000)
  assert.strictEqual(batch.recordCount(builder.bytes, 0), 4)
  assert.strictEqual(batch.producerId(builder.bytes, 0), -1)
  assert.strictEqual(batch.producerEpoch(builder.bytes, 0), -1)
  assert.strictEqual(batch.baseSequence(builder.bytes, 0), -1)
  builder.reset()
  assert.deepStrictEqual([builder.recordCount, builder.finish()], [0, 0])
  builder.append(7, bytes, 0, 3, bytes, 0, 0)
  accepted(builder)
  assert.deepStrictEqual([batch.baseTimestamp(builder.bytes, 0), batch.maxTimestamp(builder.bytes, 0)], [7, 7])
})

const part = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined })
const headerShape = fc.tuple(fc.integer({ min: 0, max: 80 }), fc.integer({ min: -1, max: 80 }))
const anyRecord = fc.record({
  timestamp: fc.oneof(fc.integer({ min: 1.7e12, max: 1.7e12 + 1000 }), fc.integer({ min: -(2 ** 51), max: 2 ** 51 })),
  key: part,
  value: part,
  headers: fc.array(headerShape, { maxLength: 3 }),
  extra: fc.array(headerShape, { maxLength: 2 })
})

test("what is appended is what is read, from any range, in any buffer that was used before", () => {
  const builder = new RecordBatchBuilder()
  const cursor = new RecordCursor()
  const headers = new HeaderCursor()
  fc.assert(
    fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 40 }), fc.nat(5), (records, shift) => {
      builder.reset()
      const shifted = (bytes: Uint8Array): Uint8Array =>
        Uint8Array.of(...new Uint8Array(shift).fill(0xaa), ...bytes, 0xbb)
      for (const { timestamp, key, value, headers, extra } of records) {
        const region = Buffer.concat(headers.map(([name, value]) => header(name, value, 0x68)))
        const more = Buffer.concat(extra.map(([name, value]) => header(name, value, 0x65)))
        const [k, v, h, e] = [shifted(key ?? region), shifted(value ?? region), shifted(region), shifted(more)] as const
        const result = builder.append(
          timestamp,
          key === undefined ? undefined : k,
          shift,
          k.length - 1,
          value === undefined ? undefined : v,
          shift,
          v.length - 1,
          h,
          shift,
          h.length - 1,
          headers.length,
          e,
          shift,
          e.length - 1,
          extra.length
        )
        assert.strictEqual(result, 0)
        for (const bytes of [k, v, h, e]) bytes.fill(0xcc) // copied before append returned
      }
      accepted(builder)
      assert.strictEqual(cursor.reset(builder.bytes, 0, builder.byteLength), 0)
      for (const [index, record] of records.entries()) {
        assert.ok(cursor.next())
        assert.deepStrictEqual([cursor.offset, cursor.timestamp], [index, record.timestamp])
        const read = (start: number, end: number): Uint8Array | undefined =>
          start < 0 ? undefined : Uint8Array.from(cursor.bytes.subarray(start, end))
        assert.deepStrictEqual(read(cursor.keyStart, cursor.keyEnd), record.key)
        assert.deepStrictEqual(read(cursor.valueStart, cursor.valueEnd), record.value)
        headers.reset(cursor.bytes, cursor.headersStart, cursor.headersEnd, cursor.headerCount)
        const shapes: Array<[number, number]> = []
        while (headers.next()) {
          const valueLength = headers.valueStart < 0 ? -1 : headers.valueEnd - headers.valueStart
          shapes.push([headers.nameEnd - headers.nameStart, valueLength])
        }
        assert.deepStrictEqual(shapes, [...record.headers, ...record.extra])
      }
      assert.strictEqual(cursor.next(), false)
      assert.strictEqual(cursor.refusal, 0)
    }),
    { numRuns: 200 }
  )
})

for (const sizeMax of [61, 68, 69, 100, 4096, 4097, 5000, 70_000]) {
  test(`a batch of at most ${sizeMax} bytes fills to the last byte and never past it`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: sizeMax }), (valueLength) => {
        const builder = new RecordBatchBuilder(sizeMax)
        const value = new Uint8Array(valueLength)
        let result = 0
        for (let count = 0; result === 0; count++) {
          const before = builder.byteLength
          result = builder.append(1, undefined, 0, 0, value, 0, valueLength)
          assert.strictEqual(builder.recordCount, result === 0 ? count + 1 : count)
          assert.ok(builder.byteLength <= sizeMax && builder.bytes.length <= sizeMax)
          if (result === 0) continue
          assert.strictEqual(builder.byteLength, before, "a refused append changes nothing")
          assert.strictEqual(result, count > 0 ? BUILDER_FULL : BUILDER_RECORD_TOO_LARGE)
          // With its overhead the refused record would not have fitted.
          assert.ok(before + valueLength + 7 + 8 > sizeMax)
          if (count > 0) accepted(builder)
        }
      }),
      { numRuns: 20 }
    )
  })
}

test("a record of exactly the bound is taken, one byte more is too large, whatever was there before", () => {
  // Length, attributes, timestamp, offset, key, value length, header count: 7 bytes and the value's 10.
  const builder = new RecordBatchBuilder(batch.RECORDS_POSITION + 17)
  assert.strictEqual(builder.append(1, undefined, 0, 0, new Uint8Array(10), 0, 10), 0)
  assert.strictEqual(builder.byteLength, batch.RECORDS_POSITION + 17)
  accepted(builder)
  assert.strictEqual(builder.append(1, undefined, 0, 0, undefined, 0, 0), BUILDER_FULL)
  assert.strictEqual(builder.append(1, undefined, 0, 0, new Uint8Array(11), 0, 11), BUILDER_RECORD_TOO_LARGE)
})

test("reset drops an oversized buffer and keeps an ordinary one", () => {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(100_000), 0, 100_000)
  const ordinary = builder.bytes
  builder.reset()
  assert.strictEqual(builder.bytes, ordinary)
  builder.append(1, undefined, 0, 0, new Uint8Array(600_000), 0, 600_000)
  accepted(builder)
  builder.reset()
  assert.ok(builder.bytes.length <= 4096)
})

test("copyBytes copies any length, at any place", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(9), fc.nat(9), (source, skip, position) => {
      const start = Math.min(skip, source.length)
      const target = new Uint8Array(90).fill(0xee)
      const end = copyBytes(source, start, source.length, target, position)
      const expected = new Uint8Array(90).fill(0xee)
      expected.set(source.subarray(start), position)
      assert.strictEqual(end, position + source.length - start)
      assert.deepStrictEqual(target, expected)
    })
  )
})
