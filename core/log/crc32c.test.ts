import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { crc32c, crc32cUpdate } from "./crc32c.ts"

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** RFC 3720, appendix B.4 (there with the bytes of the CRC in wire order), and the customary check value. */
const vectors: ReadonlyArray<readonly [name: string, bytes: Uint8Array, expected: number]> = [
  ["nothing", new Uint8Array(0), 0],
  ["123456789", text("123456789"), 0xe3069283],
  ["32 zeros", new Uint8Array(32), 0x8a9136aa],
  ["32 ones", new Uint8Array(32).fill(255), 0x62a8ab43],
  ["0 to 31", Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  ["31 to 0", Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c]
]

for (const [name, bytes, expected] of vectors) {
  test(`crc32c of ${name}`, () => assert.strictEqual(crc32c(bytes, 0, bytes.length), expected))
}

/** The definition, one bit at a time. */
function slow(bytes: Uint8Array, start: number, end: number): number {
  let remainder = 0xffffffff
  for (const byte of bytes.subarray(start, end)) {
    remainder ^= byte
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0x82f63b78 : remainder >>> 1
  }
  return ~remainder >>> 0
}

test("any range of any bytes has the checksum of the definition, in one piece or in two", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), fc.nat(100), (bytes, one, other) => {
      const start = Math.min(one, other, bytes.length)
      const end = Math.min(Math.max(one, other), bytes.length)
      const cut = (start + end) >>> 1
      const expected = slow(bytes, start, end)
      assert.strictEqual(crc32c(bytes, start, end), expected)
      assert.strictEqual(crc32cUpdate(crc32c(bytes, start, cut), bytes, cut, end), expected)
    })
  )
})
