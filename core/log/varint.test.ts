import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import {
  decoded,
  readUnsignedVarint,
  readVarint,
  readVarlong,
  unsignedVarintSize,
  VARINT_OVERLONG,
  VARINT_TRUNCATED,
  VARINT_UNSAFE,
  varintSize,
  varlongSize,
  writeUnsignedVarint,
  writeVarint,
  writeVarlong
} from "./varint.ts"

type Read = typeof readVarint
const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))

/** Values after Kafka's `ByteUtilsTest`. */
const good: ReadonlyArray<readonly [read: Read, bytes: string, value: number]> = [
  [readUnsignedVarint, "00", 0],
  [readUnsignedVarint, "7f", 127],
  [readUnsignedVarint, "8001", 128],
  [readUnsignedVarint, "ffffffff0f", 4294967295],
  [readUnsignedVarint, "8000", 0],
  [readVarint, "00", 0],
  [readVarint, "01", -1],
  [readVarint, "02", 1],
  [readVarint, "7e", 63],
  [readVarint, "7f", -64],
  [readVarint, "8001", 64],
  [readVarint, "8101", -65],
  [readVarint, "fe7f", 8191],
  [readVarint, "ff7f", -8192],
  [readVarint, "feffffff0f", 2147483647],
  [readVarint, "ffffffff0f", -2147483648],
  [readVarlong, "01", -1],
  [readVarlong, "ffffffff0f", -2147483648],
  [readVarlong, "8080808010", 2147483648],
  [readVarlong, "8180808010", -2147483649],
  [readVarlong, "feffffffffffff1f", Number.MAX_SAFE_INTEGER - 0],
  [readVarlong, "fdffffffffffff1f", Number.MIN_SAFE_INTEGER]
]
for (const [read, bytes, value] of good) {
  test(`${read.name} of ${bytes} is ${value}`, () => {
    assert.strictEqual(read(hex(bytes), 0, bytes.length / 2), bytes.length / 2)
    assert.strictEqual(decoded.value, value)
  })
}

const bad: ReadonlyArray<readonly [read: Read, bytes: string, refusal: number]> = [
  [readUnsignedVarint, "", VARINT_TRUNCATED],
  [readUnsignedVarint, "ffffffff", VARINT_TRUNCATED],
  [readUnsignedVarint, "ffffffff1f", VARINT_OVERLONG],
  [readUnsignedVarint, "808080808000", VARINT_OVERLONG],
  [readVarint, "", VARINT_TRUNCATED],
  [readVarint, "80", VARINT_TRUNCATED],
  [readVarint, "ffffffff10", VARINT_OVERLONG],
  [readVarint, "ffffffffffff", VARINT_OVERLONG],
  [readVarlong, "", VARINT_TRUNCATED],
  [readVarlong, "8080808080808080", VARINT_TRUNCATED],
  [readVarlong, "ffffffffffffff1f", VARINT_UNSAFE],
  [readVarlong, "feffffffffffff3f", VARINT_UNSAFE],
  [readVarlong, "ffffffffffffffffff01", VARINT_UNSAFE],
  [readVarlong, "ffffffffffffffffff02", VARINT_OVERLONG],
  [readVarlong, "ffffffffffffffffffffff", VARINT_OVERLONG]
]
for (const [read, bytes, refusal] of bad) {
  test(`${read.name} refuses ${bytes || "nothing"}`, () => {
    assert.strictEqual(read(hex(bytes), 0, bytes.length / 2), refusal)
  })
}

const kinds = [
  [fc.integer({ min: 0, max: 0xffffffff }), unsignedVarintSize, writeUnsignedVarint, readUnsignedVarint],
  [fc.integer(), varintSize, writeVarint, readVarint],
  [fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -(2 ** 36), max: 2 ** 36 })), varlongSize, writeVarlong, readVarlong]
] as const
for (const [values, size, write, read] of kinds) {
  test(`${write.name} and ${read.name} agree at any position, and any cut is refused`, () => {
    fc.assert(
      fc.property(values, fc.nat(9), (value, position) => {
        const bytes = new Uint8Array(30).fill(0xff)
        const end = write(bytes, position, value)
        assert.strictEqual(end - position, size(value))
        assert.strictEqual(bytes[end], 0xff, "nothing is written past the end")
        assert.strictEqual(read(bytes, position, end), end)
        assert.strictEqual(decoded.value, value)
        for (let cut = position; cut < end; cut++) assert.strictEqual(read(bytes, position, cut), VARINT_TRUNCATED)
      })
    )
  })
}

test("a varlong is what BigInt arithmetic says", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      let zigzag = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
      const expected: Array<number> = []
      for (; zigzag > 127n; zigzag >>= 7n) expected.push(Number(zigzag & 127n) | 128)
      expected.push(Number(zigzag))
      const bytes = new Uint8Array(10)
      assert.deepStrictEqual([...bytes.subarray(0, writeVarlong(bytes, 0, value))], expected)
    })
  )
})
