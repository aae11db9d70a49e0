import assert from "node:assert"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import fc from "fast-check"
import { checkRecords, defaultRecordLimits } from "./check-records.ts"
import { CODEC_NONE, CODEC_ZSTD, codecNames, compress } from "./compression.ts"
import { crc32c } from "./crc32c.ts"
import { HeaderCursor } from "./HeaderCursor.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { RecordCursor } from "./RecordCursor.ts"
import * as batch from "./record-batch.ts"
import { headerSize, writeHeader } from "./record-header.ts"
import * as refusals from "./refusals.ts"

interface PlainRecord {
  readonly key: string | null
  readonly value: string | null
  readonly headers: ReadonlyArray<readonly [name: string, value: string | null]>
  readonly timestamp: number | null
}
interface GoldenBatch {
  readonly client: string
  readonly version: string
  readonly codec: string
  readonly note: string
  readonly hex: string
  readonly records: ReadonlyArray<PlainRecord>
}

/** Recorded from real clients by `tests/support/record-kafka-batches.ts`. */
const golden = JSON.parse(
  readFileSync(new URL("golden/record-batches.golden.json", import.meta.url), "utf8")
) as ReadonlyArray<GoldenBatch>
const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"))
const hexOf = (bytes: Uint8Array, start: number, end: number): string | null =>
  start < 0 ? null : Buffer.from(bytes.subarray(start, end)).toString("hex")
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Everything that a cursor gives, as plain values. */
function readAll(cursor: RecordCursor): Array<PlainRecord & { offset: number }> {
  const records: Array<PlainRecord & { offset: number }> = []
  const header = new HeaderCursor()
  while (cursor.next()) {
    const headers: Array<[string, string | null]> = []
    header.reset(cursor.bytes, cursor.headersStart, cursor.headersEnd, cursor.headerCount)
    while (header.next()) {
      const name = decoder.decode(header.bytes.subarray(header.nameStart, header.nameEnd))
      headers.push([name, hexOf(header.bytes, header.valueStart, header.valueEnd)])
    }
    assert.strictEqual(header.refusal, 0)
    records.push({
      offset: cursor.offset,
      timestamp: cursor.timestamp,
      key: hexOf(cursor.bytes, cursor.keyStart, cursor.keyEnd),
      value: hexOf(cursor.bytes, cursor.valueStart, cursor.valueEnd),
      headers
    })
  }
  assert.strictEqual(cursor.refusal, 0)
  return records
}

/** Writes the CRC anew after the bytes it covers were changed. */
function seal(bytes: Uint8Array): Uint8Array {
  batch.writeInt32(bytes, batch.BATCH_LENGTH_POSITION, bytes.length - batch.LENGTH_OVERHEAD)
  batch.writeInt32(bytes, batch.CRC_POSITION, crc32c(bytes, batch.ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

function build(records: ReadonlyArray<PlainRecord>): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (const record of records) {
    const key = record.key === null ? undefined : fromHex(record.key)
    const value = record.value === null ? undefined : fromHex(record.value)
    const headers = new Uint8Array(4096)
    let end = 0
    for (const [name, text] of record.headers) {
      const bytes = text === null ? undefined : fromHex(text)
      const before = end
      const nameBytes = encoder.encode(name)
      end = writeHeader(headers, end, nameBytes, bytes, 0, bytes?.length ?? 0)
      assert.strictEqual(end - before, headerSize(nameBytes.length, bytes === undefined ? -1 : bytes.length))
    }
    const count = record.headers.length
    const at = record.timestamp ?? 0
    const result = builder.append(at, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, headers, 0, end, count)
    assert.strictEqual(result, 0)
  }
  return builder.bytes.slice(0, builder.finish())
}

test("the golden file holds every client and codec", () => {
  const kinds = new Set(golden.map((each) => `${each.client} ${each.codec}`))
  for (const client of ["kcat", "kafka-python"])
    for (const name of codecNames) assert.ok(kinds.has(`${client} ${name}`))
  for (const name of ["none", "gzip"]) assert.ok(kinds.has(`kafkajs ${name}`))
})

for (const { client, version, codec, note, hex, records } of golden) {
  test(`${client} ${version}, ${codec} (${note}): accepted as sent, read as given to the client`, () => {
    const sent = fromHex(hex)
    const framed = new Uint8Array(sent.length + 9).fill(0xff)
    framed.set(sent, 4)
    const end = 4 + sent.length
    assert.strictEqual(batch.checkProducedBatch(framed, 4, end), 0)
    assert.strictEqual(codecNames[batch.codec(framed, 4)], codec)
    const cursor = new RecordCursor()
    assert.strictEqual(checkRecords(framed, 4, end, defaultRecordLimits, cursor), 0)
    batch.writeBaseOffset(framed, 4, 2 ** 40 + 5)
    batch.writeLeaderEpoch(framed, 4, 3)
    assert.strictEqual(batch.checkBatch(framed, 4, end), 0, "offset and epoch lie outside the CRC")
    assert.strictEqual(cursor.reset(framed, 4, end), 0)
    const read = readAll(cursor)
    assert.strictEqual(read.length, records.length)
    for (const [index, record] of records.entries()) {
      const { offset, timestamp, ...parts } = read[index]!
      assert.strictEqual(offset, 2 ** 40 + 5 + index)
      if (record.timestamp !== null) assert.strictEqual(timestamp, record.timestamp)
      assert.deepStrictEqual(parts, { key: record.key, value: record.value, headers: record.headers })
    }
    if (codec === "none") {
      const again = build(read)
      const cursorOfOurs = new RecordCursor()
      assert.strictEqual(cursorOfOurs.reset(again, 0, again.length), 0)
      assert.deepStrictEqual(
        readAll(cursorOfOurs).map((record) => ({ ...record, offset: record.offset + 2 ** 40 + 5 })),
        read
      )
      // kafkajs counts timestamps from the smallest one, not from the first record's: the same records in other bytes.
      if (batch.baseTimestamp(sent, 0) === read[0]?.timestamp) {
        assert.strictEqual(hexOf(again, batch.RECORDS_POSITION, again.length), hex.slice(2 * batch.RECORDS_POSITION))
      } else assert.strictEqual(client, "kafkajs")
    }
  })
}

test("the fields of an idempotent producer's batch", () => {
  const found = golden.find((each) => each.note.startsWith("idempotent"))
  assert.ok(found !== undefined)
  const bytes = fromHex(found.hex)
  assert.deepStrictEqual(
    [batch.producerId(bytes, 0), batch.producerEpoch(bytes, 0), batch.baseSequence(bytes, 0)],
    [4242, 7, 0]
  )
  assert.deepStrictEqual([batch.recordCount(bytes, 0), batch.lastOffsetDelta(bytes, 0)], [5, 4])
  assert.deepStrictEqual([batch.baseOffset(bytes, 0), batch.magic(bytes, 0)], [0, 2])
  assert.strictEqual(batch.baseTimestamp(bytes, 0), 1_700_000_000_000)
  assert.strictEqual(batch.maxTimestamp(bytes, 0), 1_700_000_100_000)
  assert.strictEqual(batch.batchSize(bytes, 0, bytes.length), bytes.length)
})

const two: ReadonlyArray<PlainRecord> = [
  { key: "6b", value: "76", headers: [["h", "01"]], timestamp: 1000 },
  { key: null, value: null, headers: [["n", null]], timestamp: 900 }
]

/** Each row: what is done to a good batch (the CRC made right again), and what checkBatch says. */
const lies: ReadonlyArray<readonly [name: string, change: (bytes: Uint8Array) => Uint8Array, refusal: number]> = [
  ["nothing", (bytes) => bytes, 0],
  ["no bytes", () => new Uint8Array(0), refusals.BATCH_TOO_SHORT],
  ["a header cut short", (bytes) => bytes.subarray(0, 60), refusals.BATCH_TOO_SHORT],
  ["a byte missing", (bytes) => bytes.subarray(0, bytes.length - 1), refusals.BATCH_LENGTH],
  ["a byte too many", (bytes) => Uint8Array.of(...bytes, 0), refusals.BATCH_LENGTH],
  ["magic 1 in few bytes", (bytes) => bytes.slice(0, 40).fill(1, 16, 17), refusals.BATCH_MAGIC],
  ["a flipped bit in the attributes", (bytes) => bytes.fill(0x80, 21, 22), refusals.BATCH_CRC],
  ["a flipped bit in the last byte", (bytes) => bytes.fill(bytes.at(-1)! ^ 1, -1), refusals.BATCH_CRC],
  ["a flipped bit in the CRC", (bytes) => bytes.fill(bytes[17]! ^ 1, 17, 18), refusals.BATCH_CRC],
  ["reserved attribute 15", (bytes) => seal(bytes.fill(0x80, 21, 22)), refusals.BATCH_ATTRIBUTES],
  ["reserved attribute 7", (bytes) => seal(bytes.fill(0x80, 22, 23)), refusals.BATCH_ATTRIBUTES],
  ["codec 5", (bytes) => seal(bytes.fill(5, 22, 23)), refusals.BATCH_CODEC],
  ["a count of 3", (bytes) => seal(bytes.fill(3, 60, 61)), refusals.BATCH_COUNT],
  ["a count of 0", (bytes) => seal(bytes.fill(0, 60, 61).fill(255, 23, 27)), refusals.BATCH_COUNT],
  ["a count of -1", (bytes) => seal(bytes.fill(255, 57, 61)), refusals.BATCH_COUNT],
  ["last offset delta -2", (bytes) => seal(bytes.fill(255, 23, 26).fill(254, 26, 27)), refusals.BATCH_COUNT],
  ["last offset delta 2, as compaction leaves it", (bytes) => seal(bytes.fill(2, 26, 27)), 0],
  ["a count of 0 over two offsets, the same", (bytes) => seal(bytes.fill(0, 60, 61)), 0],
  ["a base timestamp of 2^62", (bytes) => seal(bytes.fill(0x40, 27, 28)), refusals.BATCH_TIMESTAMP],
  ["a maximum timestamp of -2^60", (bytes) => seal(bytes.fill(0xf0, 35, 36)), refusals.BATCH_TIMESTAMP]
]
for (const [name, change, refusal] of lies) {
  test(`checkBatch, ${name}: ${refusals.refusalName(refusal)}`, () => {
    const bytes = change(build(two))
    assert.strictEqual(batch.checkBatch(bytes, 0, bytes.length), refusal)
  })
}

test("a client may not leave offsets out: only compaction does", () => {
  for (const change of [
    (bytes: Uint8Array) => bytes.fill(2, 26, 27),
    (bytes: Uint8Array) => bytes.fill(1, 60, 61),
    (bytes: Uint8Array) => bytes.fill(0, 60, 61)
  ]) {
    const bytes = seal(change(build(two).fill(0, 21, 23)))
    assert.strictEqual(batch.checkBatch(bytes, 0, bytes.length), 0)
    assert.strictEqual(batch.checkProducedBatch(bytes, 0, bytes.length), refusals.BATCH_COUNT)
  }
})

test("a client may not send our mark, a control batch or a delete horizon", () => {
  const withAttributes = (bits: number): number => {
    const bytes = build(two)
    batch.writeInt16(bytes, batch.ATTRIBUTES_POSITION, bits)
    return batch.checkProducedBatch(seal(bytes), 0, bytes.length)
  }
  assert.strictEqual(withAttributes(0), 0)
  assert.strictEqual(withAttributes(batch.TRANSACTIONAL | batch.LOG_APPEND_TIME), 0)
  assert.strictEqual(withAttributes(batch.GATHERED), refusals.BATCH_FORGED)
  assert.strictEqual(withAttributes(batch.CONTROL), refusals.BATCH_CONTROL)
  assert.strictEqual(withAttributes(batch.DELETE_HORIZON), refusals.BATCH_ATTRIBUTES)
})

/** A batch whose records are exactly these bytes. */
function batchOf(records: Uint8Array, count: number, codec = CODEC_NONE): Uint8Array {
  const payload = compress(codec, records)
  const bytes = new Uint8Array(batch.RECORDS_POSITION + payload.length)
  bytes.set(payload, batch.RECORDS_POSITION)
  bytes[batch.MAGIC_POSITION] = batch.MAGIC
  batch.writeInt16(bytes, batch.ATTRIBUTES_POSITION, codec)
  batch.writeInt32(bytes, batch.LAST_OFFSET_DELTA_POSITION, count - 1)
  batch.writeInt32(bytes, batch.RECORD_COUNT_POSITION, count)
  return seal(bytes)
}

/** Records by hand: length, attributes, timestamp delta, offset delta, key, value, header count, headers. */
const recordRows: ReadonlyArray<readonly [name: string, hex: string, count: number, refusal: number]> = [
  ["null key and value", "0c000000010100", 1, 0],
  ["two of them", "0c0000000101000c000002010100", 2, 0],
  ["a key and a header with a null value", "14000000026b0102026801", 1, 0],
  ["fewer records than the count", "0c000000010100", 2, refusals.RECORD_LENGTH],
  ["more records than the count", "0c0000000101000c000002010100", 1, refusals.RECORDS_LEFT_OVER],
  ["a byte after the last record", "0c00000001010000", 1, refusals.RECORDS_LEFT_OVER],
  ["a length past the end", "7e000000010100", 1, refusals.RECORD_LENGTH],
  ["a negative length", "01000000010100", 1, refusals.RECORD_LENGTH],
  ["a length that ends inside the fields", "06000000010100", 1, refusals.RECORD_KEY],
  ["a length of 0", "00", 1, refusals.RECORD_LENGTH],
  ["a length with a byte to spare", "0e00000001010000", 1, refusals.RECORD_LENGTH],
  ["an over-long length", "ffffffffffff", 1, refusals.RECORD_LENGTH],
  ["a key past the record", "0c0000007e0100", 1, refusals.RECORD_KEY],
  ["a key length of -2", "0c000000030100", 1, refusals.RECORD_KEY],
  ["a value past the record", "0c000000017e00", 1, refusals.RECORD_VALUE],
  ["a value length of -2", "0c000000010300", 1, refusals.RECORD_VALUE],
  ["a header count of -1", "0c000000010101", 1, refusals.RECORD_HEADER_COUNT],
  ["more headers than bytes", "100000000101040001", 1, refusals.RECORD_HEADER_COUNT],
  ["a header name past the record", "100000000101020801", 1, refusals.RECORD_HEADER],
  ["a header name of length -1 in two bytes", "100000000101028100", 1, refusals.RECORD_HEADER],
  ["a null header name", "100000000101020101", 1, refusals.RECORD_HEADER],
  ["a header value past the record", "100000000101020002", 1, refusals.RECORD_HEADER],
  ["bytes after the last header", "12000000010102000100", 1, refusals.RECORD_HEADER],
  ["an offset delta of 1 first", "0c000002010100", 1, refusals.RECORD_OFFSET_DELTA],
  ["the same offset delta twice", "0c0000000101000c000000010100", 2, refusals.RECORD_OFFSET_DELTA],
  ["a timestamp delta of 2^60", "1c00808080808080808020000101000000", 1, refusals.BATCH_TIMESTAMP]
]
for (const [name, hex, count, refusal] of recordRows) {
  for (const codec of [CODEC_NONE, CODEC_ZSTD]) {
    test(`checkRecords (${codecNames[codec]}), ${name}: ${refusals.refusalName(refusal)}`, () => {
      const bytes = batchOf(fromHex(hex), count, codec)
      assert.strictEqual(batch.checkBatch(bytes, 0, bytes.length), 0)
      assert.strictEqual(checkRecords(bytes, 0, bytes.length, defaultRecordLimits), refusal)
    })
  }
}

test("checkRecords keeps to its limits", () => {
  const good = batchOf(fromHex("14000000026b0102026801"), 1, CODEC_ZSTD)
  const check = (decompressedSizeMax: number, headersPerRecordMax: number): number =>
    checkRecords(good, 0, good.length, { decompressedSizeMax, headersPerRecordMax })
  assert.strictEqual(check(11, 1), 0)
  assert.strictEqual(check(10, 1), refusals.COMPRESSION_TOO_LARGE)
  assert.strictEqual(check(11, 0), refusals.RECORD_HEADER_COUNT)
  const broken = good.slice()
  broken[batch.RECORDS_POSITION + 6] = broken[batch.RECORDS_POSITION + 6]! | 6
  assert.strictEqual(checkRecords(seal(broken), 0, broken.length, defaultRecordLimits), refusals.COMPRESSION_CORRUPT)
})

test("a record's timestamp beyond 2^53 through its base is refused", () => {
  const bytes = batchOf(fromHex("0c000200010100"), 1)
  batch.writeInt64(bytes, batch.BASE_TIMESTAMP_POSITION, Number.MAX_SAFE_INTEGER)
  assert.strictEqual(checkRecords(seal(bytes), 0, bytes.length, defaultRecordLimits), refusals.BATCH_TIMESTAMP)
})

test("a cursor handed to checkRecords stands at the first record, or is empty after a refusal", () => {
  const cursor = new RecordCursor()
  const good = batchOf(fromHex("0c0000000101000c000002010100"), 2, CODEC_ZSTD)
  assert.strictEqual(checkRecords(good, 0, good.length, defaultRecordLimits, cursor), 0)
  assert.deepStrictEqual(
    readAll(cursor).map((record) => record.offset),
    [0, 1]
  )
  const bad = batchOf(fromHex("0c0000000101000c000000010100"), 2)
  assert.notStrictEqual(checkRecords(bad, 0, bad.length, defaultRecordLimits, cursor), 0)
  assert.strictEqual(cursor.next(), false)
})

test("attributes that a reader acts upon", () => {
  const bytes = build(two)
  const cursor = new RecordCursor()
  cursor.reset(bytes, 0, bytes.length)
  assert.deepStrictEqual([cursor.isGathered, cursor.isControl, cursor.isTransactional], [true, false, false])
  const bits = batch.LOG_APPEND_TIME | batch.CONTROL | batch.TRANSACTIONAL
  batch.writeInt16(bytes, batch.ATTRIBUTES_POSITION, bits)
  batch.writeInt64(bytes, batch.MAX_TIMESTAMP_POSITION, 77_777)
  cursor.reset(bytes, 0, bytes.length)
  assert.deepStrictEqual([cursor.isGathered, cursor.isControl, cursor.isTransactional], [false, true, true])
  assert.deepStrictEqual(
    readAll(cursor).map((record) => record.timestamp),
    [77_777, 77_777]
  )
})

test("batchSize steps over batches and tells cut from nonsense", () => {
  const bytes = build(two)
  const twice = Uint8Array.of(...bytes, ...bytes)
  assert.strictEqual(batch.batchSize(twice, 0, twice.length), bytes.length)
  assert.strictEqual(batch.batchSize(twice, bytes.length, twice.length), bytes.length)
  assert.strictEqual(batch.batchSize(twice, 0, bytes.length - 1), refusals.BATCH_TOO_SHORT)
  assert.strictEqual(batch.batchSize(twice, 0, 11), refusals.BATCH_TOO_SHORT)
  assert.strictEqual(batch.batchSize(new Uint8Array(99), 0, 99), refusals.BATCH_LENGTH)
})

test("64-bit fields hold any safe integer, negative ones too", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const bytes = new Uint8Array(batch.RECORDS_POSITION)
      batch.writeBaseOffset(bytes, 0, value)
      assert.strictEqual(batch.baseOffset(bytes, 0), value)
      assert.strictEqual(Buffer.from(bytes).readBigInt64BE(0), BigInt(value))
    })
  )
})

test("every refusal has a name of its own", () => {
  assert.strictEqual(new Set(refusals.refusals.values()).size, refusals.refusals.size)
  const codes = Object.values(refusals).filter((value) => typeof value === "number")
  assert.deepStrictEqual(new Set(codes), new Set(refusals.refusals.keys()))
  assert.deepStrictEqual([refusals.refusalName(0), refusals.refusalName(-9999)], ["none", "unknown"])
})
