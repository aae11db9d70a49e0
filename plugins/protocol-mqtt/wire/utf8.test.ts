import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { hex, utf8 } from "./testing.ts"
import { decodeString, isMqttString } from "./utf8.ts"

const strict = new TextDecoder("utf-8", { fatal: true })

function oracle(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes)
    return !bytes.includes(0)
  } catch {
    return false
  }
}

const cases: ReadonlyArray<readonly [string, boolean, string]> = [
  ["", true, "empty"],
  ["41f0aa9b94", true, "the example of MQTT 5.0, section 1.5.4"],
  ["00", false, "U+0000"],
  ["610062", false, "U+0000 inside"],
  ["c080", false, "U+0000 in two bytes"],
  ["efbbbf", true, "U+FEFF"],
  ["7f", true, "U+007F, left to the receiver"],
  ["01", true, "U+0001, left to the receiver"],
  ["efbfbf", true, "U+FFFF, a non-character"],
  ["eda080", false, "U+D800"],
  ["edbfbf", false, "U+DFFF"],
  ["ed9fbf", true, "U+D7FF"],
  ["ee8080", true, "U+E000"],
  ["c1bf", false, "overlong of two"],
  ["c280", true, "smallest of two"],
  ["e09fbf", false, "overlong of three"],
  ["e0a080", true, "smallest of three"],
  ["f08fbfbf", false, "overlong of four"],
  ["f0908080", true, "smallest of four"],
  ["f48fbfbf", true, "U+10FFFF"],
  ["f4908080", false, "U+110000"],
  ["f5808080", false, "no such lead byte"],
  ["80", false, "a following byte first"],
  ["c3", false, "cut"],
  ["e282", false, "cut in the middle"],
  ["c341", false, "no following byte"],
  ["e2824a", false, "no third byte"],
  ["ff", false, "never"]
]
for (const [digits, expected, name] of cases) {
  test(`${digits || "-"}: ${expected} (${name})`, () => {
    const bytes = hex(digits)
    assert.equal(isMqttString(bytes, 0, bytes.length), expected)
    assert.equal(oracle(bytes), expected)
  })
}

test("every two bytes: as a strict decoder says", () => {
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      const bytes = Uint8Array.of(first, second)
      if (isMqttString(bytes, 0, 2) !== oracle(bytes)) assert.fail(`${first} ${second}`)
    }
  }
})

test("bytes near the borders of the encoding: as a strict decoder says, never beyond the end", () => {
  const border = fc.constantFrom(
    ...[0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed],
    ...[0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]
  )
  fc.assert(
    fc.property(fc.array(border, { maxLength: 8 }), fc.array(border, { maxLength: 3 }), (inside, after) => {
      const bytes = Uint8Array.from([0x80, ...inside, ...after])
      assert.equal(isMqttString(bytes, 1, 1 + inside.length), oracle(Uint8Array.from(inside)))
    }),
    { numRuns: 2_000 }
  )
})

test("strings come back as they were, U+FEFF too", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const bytes = utf8(text)
      assert.equal(decodeString(bytes, 0, bytes.length), text)
    })
  )
  assert.equal(decodeString(hex("efbbbf61"), 0, 4), "\ufeffa")
})
