import { test } from "bun:test"
import assert from "node:assert/strict"
import { crc32c } from "../../core/mod.ts"
import type { Segment } from "./Segment.ts"
import {
  baseOfName,
  checkFooter,
  checkHeader,
  decodeRun,
  encodeFooter,
  encodeHeader,
  encodeRuns,
  FOOTER_BYTES,
  HEADER_BYTES,
  INDEX_ENTRY_BYTES,
  indexName,
  logName
} from "./segment-format.ts"

/** Bytes from text in hexadecimal digits. */
const hex = (...parts: ReadonlyArray<string>): Uint8Array =>
  new Uint8Array(Buffer.from(parts.join("").replaceAll(" ", ""), "hex"))
const ascii = (text: string): string => Buffer.from(text).toString("hex")

const SEGMENT: Segment = {
  ...{ base: 258, end: 300, bytes: 70_000, isSealed: true, firstTimestamp: -1, maxTimestamp: 1_700_000_000_000 },
  ...{ firstAppendedMs: 1_700_000_000_001, lastAppendedMs: 1_700_000_000_002, batches: 5, records: 42 },
  ...{
    headersCrc: 0xdeadbeef,
    indexEntries: 4,
    indexCrc: 1,
    indexedBytes: 70_000,
    indexedEnd: 300,
    tailMaxTimestamp: 0
  }
}

/** With the checksum of what stands behind it. */
function checked(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(8, crc32c(bytes, 12, bytes.length))
  return bytes
}

test("a header, byte for byte", () => {
  const wanted = hex(
    ascii("MFSEGMNT"),
    "00000000 00000001",
    "0000000000000007 0000000000000102",
    "0000000000000003 0000000000000009",
    `05 ${ascii("topic")}`,
    "00".repeat(128 - 8 - 8 - 32 - 6)
  )
  assert.equal(wanted.length, HEADER_BYTES)
  const header = encodeHeader(7, { tenant: 3, topicId: "topic", partition: 9 }, 258)
  assert.deepEqual(header, checked(wanted))
  assert.equal(checkHeader(header, 7, 258), undefined)
})

test("a topic's id that is longer than a header has room for is cut there", () => {
  const header = encodeHeader(7, { tenant: 3, topicId: "x".repeat(200), partition: 9 }, 258)
  assert.equal(header.length, HEADER_BYTES)
  assert.equal(header[48], 79)
  assert.equal(Buffer.from(header.subarray(49)).toString(), "x".repeat(79))
  assert.equal(checkHeader(header, 7, 258), undefined)
})

test("a footer, byte for byte", () => {
  const wanted = hex(
    ascii("MFSEGEND"),
    "00000000 deadbeef",
    "0000000000011170 0000000000000102 000000000000012c",
    "ffffffffffffffff 0000018bcfe56800",
    "0000018bcfe56801 0000018bcfe56802",
    "0000000000000005 000000000000002a",
    "00".repeat(96 - 16 - 72)
  )
  assert.equal(wanted.length, FOOTER_BYTES)
  const footer = encodeFooter(SEGMENT)
  assert.deepEqual(footer, checked(wanted))
  assert.equal(checkFooter(footer, SEGMENT), undefined)
})

test("entries of an index, byte for byte", () => {
  const first = { relativeOffset: 0, position: 128, end: 20_000, maxTimestamp: -2 }
  const second = { relativeOffset: 0xffff_fffe, position: 20_000, end: 0x4000_0000, maxTimestamp: 1_700_000_000_000 }
  const plain = [hex("00000000 00000080 00004e20 fffffffffffffffe"), hex("fffffffe 00004e20 40000000 0000018bcfe56800")]
  const wanted = plain.flatMap((entry) => [...entry, ...checksumOf(entry)])
  const bytes = encodeRuns([first, second])
  assert.deepEqual([...bytes], wanted)
  assert.deepEqual(decodeRun(bytes, 0), first)
  assert.deepEqual(decodeRun(bytes, INDEX_ENTRY_BYTES), second)
  assert.equal(encodeRuns([]).length, 0)
})

function checksumOf(bytes: Uint8Array): ReadonlyArray<number> {
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, crc32c(bytes, 0, bytes.length))
  return [...new Uint8Array(view.buffer)]
}

test("a bit that is turned anywhere is seen", () => {
  const header = encodeHeader(7, { tenant: 0, topicId: "topic", partition: 0 }, 258)
  const footer = encodeFooter(SEGMENT)
  const entry = encodeRuns([{ relativeOffset: 1, position: 128, end: 500, maxTimestamp: 3 }])
  const checks: ReadonlyArray<readonly [Uint8Array, (bytes: Uint8Array) => unknown]> = [
    [header, (bytes) => checkHeader(bytes, 7, 258)],
    [footer, (bytes) => checkFooter(bytes, SEGMENT)],
    [entry, (bytes) => (decodeRun(bytes, 0) === undefined ? "damaged" : undefined)]
  ]
  for (const [whole, check] of checks) {
    assert.equal(check(whole), undefined)
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bytes = whole.slice()
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.notEqual(check(bytes), undefined, `bit ${bit}`)
    }
  }
})

test("a header or a footer that is another's, of another version, or cut short says so", () => {
  const header = encodeHeader(7, { tenant: 0, topicId: "topic", partition: 0 }, 258)
  assert.equal(checkHeader(header, 8, 258), "the header is that of partition 7 from offset 258 on")
  assert.equal(checkHeader(header, 7, 0), "the header is that of partition 7 from offset 258 on")
  assert.equal(checkHeader(header.subarray(0, 127), 7, 258), "the file ends within the header")
  assert.equal(checkHeader(new Uint8Array(128), 7, 258), "there is no header")
  const later = header.slice()
  later[15] = 2
  assert.equal(checkHeader(checked(later), 7, 258), "the header has version 2; this program knows 1")
  const footer = encodeFooter(SEGMENT)
  assert.equal(checkFooter(footer, { ...SEGMENT, records: 43 }), "the footer is that of another content")
  assert.equal(checkFooter(footer, { ...SEGMENT, headersCrc: 1 }), "the footer is that of another content")
  assert.equal(checkFooter(footer.subarray(1), SEGMENT), "the file ends within the footer")
  assert.equal(checkFooter(header, SEGMENT), "there is no footer")
})

test("names order as offsets do", () => {
  assert.equal(logName({ base: 0 }), "00000000000000000000.log")
  assert.equal(indexName({ base: 1_234 }), "00000000000000001234.index")
  assert.equal(logName({ base: Number.MAX_SAFE_INTEGER }), "00009007199254740991.log")
  const bases = [0, 9, 10, 99, 100, 12_345_678_901, Number.MAX_SAFE_INTEGER]
  assert.deepEqual(
    bases
      .map((base) => logName({ base }))
      .sort()
      .map(baseOfName),
    bases
  )
  for (const name of ["manifest", "1.log", "00000000000000000000.log.new", "0000000000000000000x.log"]) {
    assert.equal(baseOfName(name), undefined, name)
  }
})
