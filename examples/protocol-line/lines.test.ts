import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { LINE, LineReader, LineWriter, NO_LINE, TOO_LONG, unescapeBytes, wordEnd } from "./lines.ts"

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"))
const textOf = (bytes: Uint8Array, start = 0, end = bytes.length): string =>
  Buffer.from(bytes.subarray(start, end)).toString("latin1")

/** All lines that the reader gives after each piece; the last entry is TOO_LONG where it refused. */
function readAll(reader: LineReader, pieces: ReadonlyArray<Uint8Array>): Array<string | number> {
  const found: Array<string | number> = []
  for (const piece of pieces) {
    reader.feed(piece)
    for (;;) {
      const outcome = reader.next()
      if (outcome === NO_LINE) break
      if (outcome === TOO_LONG) return [...found, TOO_LONG]
      found.push(textOf(reader.bytes, reader.start, reader.end))
    }
  }
  return found
}

/** `text` cut at the places that `cuts` choose, each piece in a buffer of its own. */
function cut(text: string, cuts: ReadonlyArray<number>): Array<Uint8Array> {
  const places = [...new Set(cuts.map((place) => place % (text.length + 1)))].toSorted((one, other) => one - other)
  const from = [0, ...places]
  return from.map((place, index) => bytesOf(text.slice(place, from[index + 1] ?? text.length)))
}

const lines: ReadonlyArray<readonly [received: string, lines: ReadonlyArray<string | number>]> = [
  ["", []],
  ["PING", []],
  ["PING\n", ["PING"]],
  ["PING\r\n", ["PING"]],
  ["\n\r\n\r\r\n", ["", "", "\r"]],
  ["a\nb\nc", ["a", "b"]],
  ["12345678\n", ["12345678"]],
  ["123456789", [TOO_LONG]],
  ["123456789\n", [TOO_LONG]],
  ["a\n1234567\r\n12345678\r\n", ["a", "1234567", TOO_LONG]]
]
for (const [received, expected] of lines) {
  test(`lines of ${JSON.stringify(received)}, of 8 bytes at most`, () => {
    assert.deepEqual(readAll(new LineReader(8), [bytesOf(received)]), expected)
    assert.deepEqual(readAll(new LineReader(8), [...received].map(bytesOf)), expected)
  })
}

test("any bytes in any pieces give the same lines, and no more than one unfinished line is kept", () =>
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "\n", "\r", "\x00", "ÿ", "abcdefgh"), { maxLength: 40 }),
      fc.array(fc.nat(), { maxLength: 10 }),
      (parts, cuts) => {
        const text = parts.join("")
        const whole = readAll(new LineReader(8), [bytesOf(text)])
        const reader = new LineReader(8)
        assert.deepEqual(readAll(reader, cut(text, cuts)), whole)
        if (!whole.includes(TOO_LONG)) assert.ok(reader.bytes.length <= 8, "kept after all lines were taken")
      }
    )
  ))

test("a line is the reader's own: changed in place, it does not change what follows", () => {
  const reader = new LineReader(100)
  reader.feed(bytesOf("first\nsecond\n"))
  assert.equal(reader.next(), LINE)
  reader.bytes.fill(0x58, reader.start, reader.end)
  assert.equal(reader.next(), LINE)
  assert.equal(textOf(reader.bytes, reader.start, reader.end), "second")
})

test("a word ends at a space or at the end", () => {
  const bytes = bytesOf("PUB a b")
  assert.deepEqual(
    [wordEnd(bytes, 0, 7), wordEnd(bytes, 4, 7), wordEnd(bytes, 0, 2), wordEnd(bytes, 3, 7)],
    [3, 5, 2, 3]
  )
})

const unescaped: ReadonlyArray<readonly [written: string, read: string | undefined]> = [
  ["", ""],
  ["plain text", "plain text"],
  ["\\\\", "\\"],
  ["\\x00\\xfF\\x0a", "\x00\xff\n"],
  ["a\\x20b\\\\x41", "a b\\x41"],
  ["\xff\xfe", "\xff\xfe"],
  ["\\", undefined],
  ["\\n", undefined],
  ["\\x", undefined],
  ["\\x1", undefined],
  ["\\xg0", undefined],
  ["\\x0g", undefined],
  ["\\X41", undefined],
  ["a\\x4\xb1", undefined]
]
for (const [written, read] of unescaped) {
  test(`${JSON.stringify(written)} reads as ${JSON.stringify(read)}`, () => {
    // What stands behind the range must be neither read nor written.
    const bytes = bytesOf(`<${written}41`)
    const end = unescapeBytes(bytes, 1, 1 + written.length)
    assert.equal(end < 0 ? undefined : textOf(bytes, 1, end), read)
    assert.equal(textOf(bytes, 1 + written.length), "41")
    assert.equal(textOf(bytes, 0, 1), "<")
  })
}

function show(bytes: Uint8Array, isWord: boolean): Uint8Array {
  const writer = new LineWriter()
  writer.begin(bytesOf("MSG"))
  writer.escaped(bytes, 0, bytes.length, isWord)
  writer.end()
  assert.equal(textOf(writer.bytes, 0, 4), "MSG ")
  assert.equal(writer.bytes[writer.length - 1], 0x0a)
  return writer.bytes.slice(4, writer.length - 1)
}

const escaped: ReadonlyArray<readonly [text: string, isWord: boolean, written: string]> = [
  ["21.5", false, "21.5"],
  ["a b", false, "a b"],
  ["a b", true, "a\\x20b"],
  ["é \u{1f600} \u00a0", false, "é \u{1f600} \u00a0"],
  ["\\x41", false, "\\\\x41"],
  ["\u001b[2J\r\n\t\u007f", false, "\\x1b[2J\\x0d\\x0a\\x09\\x7f"],
  ["a\u009b31m", false, "a\\xc2\\x9b31m"]
]
for (const [text, isWord, written] of escaped) {
  test(`${JSON.stringify(text)} is shown as ${JSON.stringify(written)}`, () => {
    assert.equal(Buffer.from(show(Uint8Array.from(Buffer.from(text)), isWord)).toString(), written)
  })
}

test("any bytes read back as they were, and nothing that a terminal obeys is among what is written", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.string({ unit: "binary", maxLength: 100 }).map((text) => Uint8Array.from(Buffer.from(text)))
      ),
      fc.boolean(),
      (bytes, isWord) => {
        const written = show(bytes, isWord)
        const shown = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(written)
        assert.doesNotMatch(shown, /[\u0000-\u001f\u007f-\u009f]/)
        if (isWord) assert.doesNotMatch(shown, / /)
        assert.deepEqual(written.subarray(0, unescapeBytes(written, 0, written.length)), bytes)
      }
    )
  ))

test("whole numbers are written as they are", () =>
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(1_000), fc.constantFrom(9, 10, 99, 100, 2 ** 53 - 1)), (value) => {
      const writer = new LineWriter()
      writer.begin(bytesOf(""))
      writer.number(value)
      assert.equal(textOf(writer.bytes, 0, writer.length), String(value))
    })
  ))
