import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { controlFrame, dataFrame, FrameReader, OPCODE } from "./websocket-frames.ts"

const FRAME_SIZE_MAX = 70_000
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"))

/** Everything that the bytes hold, given in pieces that end at `cuts`: payload, control frames, and what is wrong. */
function readAll(bytes: Uint8Array, cuts: ReadonlyArray<number> = []): string {
  const reader = new FrameReader(FRAME_SIZE_MAX)
  let payload = ""
  const controls: Array<string> = []
  const ends = [...new Set([...cuts.filter((cut) => cut < bytes.length), bytes.length])].sort((a, b) => a - b)
  let start = 0
  for (const end of ends) {
    // A copy: what is read is unmasked in place.
    const piece = bytes.slice(start, end)
    for (let position = 0; position < piece.length; ) {
      position = reader.read(piece, position)
      if (reader.fault !== 0) return `${payload}|${controls}|fault ${reader.fault}`
      if (reader.control !== undefined) controls.push(`${reader.opcode}:${Buffer.from(reader.control).toString("hex")}`)
      if (reader.payload !== undefined) payload += Buffer.from(reader.payload).toString("hex")
    }
    start = end
  }
  return `${payload}|${controls}`
}

/** A client's bytes, and what they hold. The mask of the first rows is that of RFC 6455, section 5.7. */
const rows: ReadonlyArray<readonly [name: string, bytes: string, expected: string]> = [
  ["a frame", "82 85 37fa213d 7f9f4d5158", "48656c6c6f|"],
  ["a ping", "89 85 37fa213d 7f9f4d5158", "|9:48656c6c6f"],
  ["fragments with a pong between", "02 81 00000000 01 8a 80 00000000 80 82 00000000 0203", "010203|10:"],
  ["an empty frame, then one", "82 80 01020304 82 81 00000000 ff", "ff|"],
  ["a close with a code", "88 82 00000000 03e8", "|8:03e8"],
  ["16 bits of length", "82 fe 0002 00000000 0a0b", "0a0b|"],
  ["64 bits of length", "82 ff 0000000000000002 00000000 0a0b", "0a0b|"],
  ["a text", "81 81 00000000 61", "||fault 1003"],
  ["no mask", "82 01 61", "||fault 1002"],
  ["a reserved bit", "c2 81 00000000 61", "||fault 1002"],
  ["a reserved opcode", "83 81 00000000 61", "||fault 1002"],
  ["a reserved control opcode", "8b 80 00000000", "||fault 1002"],
  ["a continuation of nothing", "80 81 00000000 61", "||fault 1002"],
  ["a frame inside a message", "02 81 00000000 61 82 81 00000000 62", "61||fault 1002"],
  ["a fragmented ping", "09 80 00000000", "||fault 1002"],
  ["a long ping", "89 fe 007e 00000000", "||fault 1002"],
  ["one byte too much", "82 ff 0000000000011171 00000000", "||fault 1009"],
  ["2^62 bytes", "82 ff 4000000000000000 00000000", "||fault 1009"]
]
for (const [name, bytes, expected] of rows) {
  test(`${name}, whole and byte by byte`, () => {
    const all = hex(bytes)
    assert.equal(readAll(all), expected)
    assert.equal(readAll(all, [...all.keys()]), expected)
  })
}

test("the largest frame is taken", () => {
  const all = new Uint8Array(14 + FRAME_SIZE_MAX)
  all.set(hex(`82 ff 00000000 ${FRAME_SIZE_MAX.toString(16).padStart(8, "0")} 00000000`))
  assert.equal(readAll(all).length, FRAME_SIZE_MAX * 2 + 1)
})

/** A client's frame as a server's with a mask. */
function masked(frame: Uint8Array, mask: Uint8Array): Uint8Array {
  const short = frame[1] ?? 0
  const head = short < 126 ? 2 : short === 126 ? 4 : 10
  const all = Buffer.concat([frame.subarray(0, head), mask, frame.subarray(head)])
  all[1] = short | 0x80
  for (let index = head + 4; index < all.length; index++)
    all[index] = (all[index] ?? 0) ^ (mask[(index - head) % 4] ?? 0)
  return new Uint8Array(all)
}

test("any payloads in any pieces come as they were, with the control frames between", () => {
  const payload = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 65_530, maxLength: 65_540 }))
  const frame = fc.record({
    payload,
    mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    ping: fc.option(fc.uint8Array({ maxLength: 125 }), { nil: undefined })
  })
  const cuts = fc.array(fc.nat(400), { maxLength: 12 })
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 5 }), cuts, (frames, cuts) => {
      const bytes = frames.flatMap(({ payload, mask, ping }) => [
        ...(ping === undefined ? [] : [masked(controlFrame(OPCODE.ping, ping), mask)]),
        masked(dataFrame(Buffer.concat([Buffer.of(1), payload, Buffer.of(2)]), 1, 1 + payload.length), mask)
      ])
      const pings = frames.flatMap(({ ping }) => (ping === undefined ? [] : [`9:${Buffer.from(ping).toString("hex")}`]))
      const all = frames.map(({ payload }) => Buffer.from(payload).toString("hex")).join("")
      assert.equal(readAll(new Uint8Array(Buffer.concat(bytes)), cuts), `${all}|${pings}`)
    }),
    { numRuns: 200 }
  )
})

test("any bytes are read to their end or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.array(fc.nat(60), { maxLength: 5 }), (bytes, cuts) => {
      const found = readAll(bytes, cuts)
      assert.equal(found, readAll(bytes))
      assert.match(found, /^[0-9a-f]*\|[0-9a-f:,]*(?:\|fault 100[239])?$/)
    }),
    { numRuns: 2_000 }
  )
})
