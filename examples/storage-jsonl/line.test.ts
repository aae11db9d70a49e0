import assert from "node:assert/strict"
import { test } from "node:test"
import { CODEC_ZSTD, crc32c, RecordBatchBuilder, recordBatch } from "manifold"
import { batches } from "manifold/contracts"
import { decode, encodeBatch, encodeState, lineEnd } from "./line.ts"

const utf8 = new TextEncoder()
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

type Bytes = Uint8Array | undefined
const field = (value: string | Uint8Array | null): Bytes =>
  value === null ? undefined : typeof value === "string" ? utf8.encode(value) : value

/** One record with these parts, at offset 7 in epoch 2. */
function batchOf(key: string | Uint8Array | null, value: string | Uint8Array | null, headers?: Uint8Array): Uint8Array {
  const builder = new RecordBatchBuilder(8_000_000)
  const [keyBytes, valueBytes] = [field(key), field(value)]
  const count = headers === undefined ? 0 : 2
  const [keyEnd, valueEnd] = [keyBytes?.length ?? 0, valueBytes?.length ?? 0]
  builder.append(
    1_700_000_000_000,
    keyBytes,
    0,
    keyEnd,
    valueBytes,
    0,
    valueEnd,
    headers,
    0,
    headers?.length ?? 0,
    count
  )
  const bytes = builder.bytes.slice(0, builder.finish())
  recordBatch.writeBaseOffset(bytes, 0, 7)
  recordBatch.writeLeaderEpoch(bytes, 0, 2)
  return bytes
}

function encoded(batch: Uint8Array): { text: string; line: Record<string, unknown>; bytes: Uint8Array } {
  const bytes = encodeBatch(batch, 0, batch.length, 1_700_000_000_123, 5)
  const text = textOf(bytes)
  assert.equal(text.indexOf("\n"), text.length - 1, "one line, and its line break is the last of it")
  return { text, line: JSON.parse(text), bytes: bytes.subarray(0, bytes.length - 1) }
}

test("a batch is a line that a person reads", () => {
  // Two headers: "unit" = "C", and one whose value is null.
  const headers = Uint8Array.of(8, ...utf8.encode("unit"), 2, 67, 2, 120, 1)
  const { text, line } = encoded(batchOf("sensors/room1", "21.5", headers))
  assert.ok(text.startsWith('{"crc":"'))
  const { crc, batch, ...readable } = line
  assert.match(String(crc), /^[0-9a-f]{8}$/)
  assert.deepEqual(readable, {
    offset: 7,
    epoch: 2,
    at: 1_700_000_000_123,
    durable: 5,
    records: [
      {
        offset: 7,
        timestamp: 1_700_000_000_000,
        key: "sensors/room1",
        value: "21.5",
        headers: [
          ["unit", "C"],
          ["x", null]
        ]
      }
    ]
  })
  assert.ok(String(batch).length > 60)
})

test("what is no text is base64, nothing is null, and a line break is none", () => {
  const rows: ReadonlyArray<readonly [string | Uint8Array | null, unknown]> = [
    ["", ""],
    [null, null],
    ['Grüße\n\r\u2028"\\', 'Grüße\n\r\u2028"\\'],
    ['{"a":1}', '{"a":1}'],
    [Uint8Array.of(0xff, 0xfe), { base64: "//4=" }],
    [Uint8Array.of(0), { base64: "AA==" }]
  ]
  for (const [value, shown] of rows) {
    const [record] = encoded(batchOf(value, value)).line["records"] as ReadonlyArray<Record<string, unknown>>
    assert.deepEqual([record?.["key"], record?.["value"]], [shown, shown])
  }
})

test("the batch comes back byte for byte: compressed, of a producer, a control batch", () => {
  const plain = batches.makeBatch([5, 6, 7], 300, 3)
  const control = batches.makeBatch([9], 4, 1)
  recordBatch.writeInt16(control, recordBatch.ATTRIBUTES_POSITION, recordBatch.CONTROL | recordBatch.TRANSACTIONAL)
  recordBatch.writeInt32(
    control,
    recordBatch.CRC_POSITION,
    crc32c(control, recordBatch.ATTRIBUTES_POSITION, control.length)
  )
  for (const [batch, expected] of [
    [plain, { producerId: 4_714 }],
    [batches.compressed(plain, CODEC_ZSTD), { producerId: 4_714, codec: "zstd" }],
    [control, { producerId: 4_712, control: true }]
  ] as const) {
    recordBatch.writeBaseOffset(batch, 0, 7)
    recordBatch.writeLeaderEpoch(batch, 0, 2)
    const { line, bytes } = encoded(batch)
    for (const [name, value] of Object.entries(expected)) assert.equal(line[name], value, name)
    const found = decode(bytes, 0, bytes.length)
    assert.ok(found !== undefined && "batch" in found)
    assert.deepEqual(found.batch, batch)
    assert.deepEqual([found.offset, found.at, found.durable], [7, 1_700_000_000_123, 5])
  }
})

test("what is too much to be shown is counted, and the batch is whole all the same", () => {
  const large = batchOf("key", new Uint8Array(1_000_000).fill(65))
  const bomb = batches.compressed(large, CODEC_ZSTD)
  for (const batch of [large, bomb]) {
    const { line, bytes } = encoded(batch)
    assert.deepEqual([line["records"], line["hidden"]], [[], 1])
    const found = decode(bytes, 0, bytes.length)
    assert.ok(found !== undefined && "batch" in found)
    assert.deepEqual(found.batch, batch)
  }
})

test("a state comes back", () => {
  const state = { state: "closed", start: 3, next: 9, epoch: 4, at: 1_700_000_000_000, durable: 9 } as const
  const bytes = encodeState(state)
  const { crc, ...found } = decode(bytes, 0, bytes.length - 1) as unknown as Record<string, unknown>
  assert.equal(typeof crc, "string")
  assert.deepEqual(found, state)
})

test("no change of one bit and no cut passes for a line", () => {
  for (const bytes of [
    encoded(batchOf("k", "v")).bytes,
    encodeState({ state: "open", start: 0, next: 0, epoch: 0, at: 0, durable: 0 })
  ]) {
    const line = bytes.subarray(0, bytes.at(-1) === 10 ? bytes.length - 1 : bytes.length)
    assert.ok(decode(line, 0, line.length) !== undefined)
    // The first bytes are no part of the checksum, and no reader needs them.
    for (let at = 8; at < line.length; at++) {
      if (at === 16 || at === 17) continue
      for (const bit of [1, 8, 128]) {
        const changed = line.slice()
        changed[at] = (changed[at] ?? 0) ^ bit
        assert.equal(decode(changed, 0, changed.length), undefined, `byte ${at}`)
      }
      assert.equal(decode(line, 0, at), undefined)
    }
  }
})

test("a line with a right checksum and wrong content is none", () => {
  for (const text of ['"offset":7,"batch":"AAAA"}', "nonsense", '"offset":7', "}"]) {
    const bytes = utf8.encode(`{"crc":"00000000",${text}`)
    const crc = crc32c(bytes, 18, bytes.length).toString(16).padStart(8, "0")
    const forged = utf8.encode(`{"crc":"${crc}",${text}`)
    assert.equal(decode(forged, 0, forged.length), undefined, text)
  }
})

test("lines end where their line breaks are", () => {
  const bytes = utf8.encode("ab\ncd\n")
  assert.deepEqual(
    [lineEnd(bytes, 0, 6), lineEnd(bytes, 3, 6), lineEnd(bytes, 3, 5), lineEnd(bytes, 6, 6)],
    [2, 5, -1, -1]
  )
})
