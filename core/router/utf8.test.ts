import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { isWellFormedUtf8, NOT_WELL_FORMED, utf8Length } from "./utf8.ts"

/** RFC 3629, section 4; Markus Kuhn's boundary cases. */
const golden: ReadonlyArray<readonly [hex: string, valid: boolean, what: string]> = [
  ["", true, "nothing"],
  ["00", false, "U+0000"],
  ["610062", false, "U+0000 within"],
  ["01", true, "U+0001, a control character"],
  ["7f", true, "U+007F"],
  ["80", false, "a continuation byte alone"],
  ["bf", false, "the last continuation byte alone"],
  ["c080", false, "over-long U+0000"],
  ["c1bf", false, "over-long U+007F"],
  ["c280", true, "U+0080, smallest of two bytes"],
  ["dfbf", true, "U+07FF, largest of two bytes"],
  ["c2", false, "cut after one of two"],
  ["c27f", false, "second byte too small"],
  ["c2c0", false, "second byte too large"],
  ["e09fbf", false, "over-long U+07FF"],
  ["e0a080", true, "U+0800, smallest of three bytes"],
  ["e0a0", false, "cut after two of three"],
  ["e0a07f", false, "third byte too small"],
  ["ed9fbf", true, "U+D7FF, before the surrogates"],
  ["eda080", false, "U+D800, first surrogate"],
  ["edbfbf", false, "U+DFFF, last surrogate"],
  ["ee8080", true, "U+E000, after the surrogates"],
  ["efbbbf", true, "U+FEFF"],
  ["efbfbf", true, "U+FFFF, a non-character"],
  ["f08fbfbf", false, "over-long U+FFFF"],
  ["f0908080", true, "U+10000, smallest of four bytes"],
  ["f09080", false, "cut after three of four"],
  ["f09080c0", false, "fourth byte too large"],
  ["f48fbfbf", true, "U+10FFFF, the largest"],
  ["f4908080", false, "U+110000"],
  ["f5808080", false, "lead byte 0xf5"],
  ["ff", false, "lead byte 0xff"],
  ["61c3a9e282acf09f9880", true, "one of each length"]
]
for (const [hex, valid, what] of golden) {
  test(`${what}: ${valid ? "passes" : "refused"} at any position`, () => {
    const bytes = Uint8Array.fromHex(`c2${hex}80`)
    assert.strictEqual(isWellFormedUtf8(bytes, 1, bytes.length - 1), valid)
  })
}

const decoder = new TextDecoder("utf-8", { fatal: true })
function decodes(bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes)
    return !bytes.includes(0)
  } catch {
    return false
  }
}
/** Bytes near the borders of the table, so that sequences that are almost right come up. */
const borderByte = fc.constantFrom(
  ...[0, 1, 0x61, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf],
  ...[0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]
)

test("agrees with the platform's fatal decoder on any bytes", () => {
  const bytes = fc.oneof(
    fc.array(borderByte, { maxLength: 6 }).map((list) => Uint8Array.from(list)),
    fc.uint8Array({ maxLength: 12 })
  )
  fc.assert(
    fc.property(bytes, (candidate) => {
      assert.strictEqual(isWellFormedUtf8(candidate, 0, candidate.length), decodes(candidate))
    }),
    { numRuns: 5000 }
  )
})

test("the length of a text is that of its encoding, or a refusal where it has none", () => {
  const unit = fc.constantFrom("a", "\u0000", "\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ud800", "\udbff")
  const more = fc.constantFrom("\udc00", "\udfff", "\ue000", "\ufeff", "\uffff", "\u{10000}", "\u{10ffff}")
  fc.assert(
    fc.property(fc.array(fc.oneof(unit, more), { maxLength: 6 }), (units) => {
      const text = units.join("")
      const valid = text.isWellFormed() && !text.includes("\u0000")
      assert.strictEqual(utf8Length(text), valid ? new TextEncoder().encode(text).length : NOT_WELL_FORMED)
    }),
    { numRuns: 5000 }
  )
})
