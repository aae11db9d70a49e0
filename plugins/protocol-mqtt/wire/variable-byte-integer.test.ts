import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { hex } from "./testing.ts"
import { decode, encode, MALFORMED, NEED_MORE, size, VARIABLE_BYTE_INTEGER_MAX } from "./variable-byte-integer.ts"

// MQTT 5.0, table 1-1, and what lies beside it.
const cases: ReadonlyArray<readonly [string, number, string]> = [
  ["00", 0, "smallest"],
  ["7f", 127, "largest of one byte"],
  ["8001", 128, "smallest of two"],
  ["ff7f", 16_383, "largest of two"],
  ["808001", 16_384, "smallest of three"],
  ["ffff7f", 2_097_151, "largest of three"],
  ["80808001", 2_097_152, "smallest of four"],
  ["ffffff7f", 268_435_455, "largest"],
  ["", NEED_MORE, "nothing"],
  ["ff", NEED_MORE, "cut after one"],
  ["ffffff", NEED_MORE, "cut after three"],
  ["8000", MALFORMED, "not the shortest form of 0"],
  ["ff8000", MALFORMED, "not the shortest form of 127"],
  ["ffffffff", MALFORMED, "a fourth byte that asks for a fifth"],
  ["8080808001", MALFORMED, "five bytes"]
]
for (const [digits, expected, name] of cases) {
  test(`${digits || "-"} -> ${expected} (${name})`, () => assert.equal(decode(hex(digits), 0), expected))
}

test("round trip at any position, in the announced size", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: VARIABLE_BYTE_INTEGER_MAX }), fc.nat(9), (value, position) => {
      const bytes = new Uint8Array(16).fill(0xff)
      assert.equal(encode(value, bytes, position), position + size(value))
      assert.equal(decode(bytes, position), value)
      assert.equal(decode(bytes, position, position + size(value) - 1), NEED_MORE)
    })
  )
})

test("any bytes give a value, its shortest form, or a refusal; nothing at the end is read", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), fc.nat(6), (bytes, cut) => {
      const end = Math.min(cut, bytes.length)
      const value = decode(bytes, 0, end)
      assert.equal(value, decode(bytes.slice(0, end), 0))
      if (value < 0) return
      const again = new Uint8Array(size(value))
      encode(value, again, 0)
      assert.deepEqual(bytes.slice(0, size(value)), again)
    })
  )
})
