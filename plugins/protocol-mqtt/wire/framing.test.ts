import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { CLEARED, NOT_TAKEN, PAUSED, type PacketHandler, PacketStream } from "./framing.ts"
import { hex, hexOf } from "./testing.ts"
import { encode, size } from "./variable-byte-integer.ts"

const CONNECT = hex("10 0d 0004 4d515454 04 02 003c 0001 61")

/** Notes every packet as hex and answers as the test says. */
class Recorder implements PacketHandler {
  readonly packets: Array<string> = []
  readonly sources: Array<Uint8Array> = []
  answer: (count: number) => number = () => 0

  packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number {
    this.packets.push(`${firstByte.toString(16)} ${hexOf(bytes.slice(start, end))}`)
    this.sources.push(bytes)
    return this.answer(this.packets.length)
  }
}

function packetOf(firstByte: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + size(body.length) + body.length)
  bytes[0] = firstByte
  bytes.set(body, encode(body.length, bytes, 1))
  return bytes
}

function joined(pieces: ReadonlyArray<Uint8Array>): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces))
}

/** A stream whose CONNECT is over. */
function begun(maximumPacketSize = 1_000_000): { stream: PacketStream; recorder: Recorder } {
  const stream = new PacketStream()
  const recorder = new Recorder()
  assert.equal(stream.feed(CONNECT, recorder), 0)
  recorder.packets.length = 0
  recorder.sources.length = 0
  stream.maximumPacketSize = maximumPacketSize
  return { stream, recorder }
}

const body = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 6 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 120, maxLength: 400 }) }
)
const packet = fc.tuple(fc.constantFrom(0x30, 0x32, 0x40, 0x62, 0x82, 0xc0, 0xe0), body)

test("any packets, cut anywhere: the same packets, nothing held between them", () => {
  const chunkSizes = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 8 }), chunkSizes, (packets, sizes) => {
      const { stream, recorder } = begun()
      const bytes = joined(packets.map(([first, rest]) => packetOf(first, rest)))
      let position = 0
      for (let index = 0; position < bytes.length; index++) {
        const next = Math.min(
          bytes.length,
          position + ((sizes[index % sizes.length] ?? 0) || (index % 7 === 6 ? 1 : 0))
        )
        assert.equal(stream.feed(bytes.slice(position, next), recorder), 0)
        position = next
      }
      assert.deepEqual(
        recorder.packets,
        packets.map(([first, rest]) => `${first.toString(16)} ${hexOf(rest)}`)
      )
      assert.equal(stream.bufferedSize, 0)
      assert.equal(stream.midPacket, false)
    }),
    { numRuns: 500 }
  )
})

test("pausing after any packet and feeding meanwhile changes neither packets nor order", () => {
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 8 }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(255),
      (packets, step, mask) => {
        const { stream, recorder } = begun()
        recorder.answer = (count) => ((mask >> (count % 8)) & 1 ? PAUSED : 0)
        const bytes = joined(packets.map(([first, rest]) => packetOf(first, rest)))
        let paused = false
        for (let position = 0; position < bytes.length; position += step) {
          const before = recorder.packets.length
          const code = stream.feed(bytes.slice(position, position + step), recorder)
          if (paused) {
            assert.equal(code, PAUSED)
            assert.equal(recorder.packets.length, before, "nothing is handled while paused")
          }
          paused = code === PAUSED
          // Every third chunk the way is free again.
          if (paused && position % 3 === 0) paused = stream.resume(recorder) === PAUSED
        }
        for (let rounds = 0; paused; rounds++) {
          assert.ok(rounds <= packets.length)
          paused = stream.resume(recorder) === PAUSED
        }
        assert.deepEqual(
          recorder.packets,
          packets.map(([first, rest]) => `${first.toString(16)} ${hexOf(rest)}`)
        )
        assert.equal(stream.bufferedSize, 0)
      }
    ),
    { numRuns: 500 }
  )
})

test("a whole packet is handed on in its chunk; a split one in a buffer of its own", () => {
  const { stream, recorder } = begun()
  const chunk = joined([hex("c000"), hex("3003000161"), hex("30")])
  assert.equal(stream.feed(chunk, recorder), 0)
  assert.deepEqual(
    recorder.sources.map((source) => source === chunk),
    [true, true]
  )
  assert.equal(stream.midPacket, true)
  const rest = hex("03000162 c000")
  assert.equal(stream.feed(rest, recorder), 0)
  assert.deepEqual(recorder.packets, ["c0 ", "30 000161", "30 000162", "c0 "])
  assert.ok(recorder.sources[2] !== rest && recorder.sources[3] === rest)
})

// First bytes of a stream, what feed returns, how it is called.
const beginnings: ReadonlyArray<readonly [string, number, string]> = [
  ["c000", 0x82, "PINGREQ first"],
  ["30", 0x82, "PUBLISH first, one byte is enough"],
  ["30ffffff7f", 0x82, "PUBLISH of 256 MiB first"],
  ["10ffffff7f", 0x95, "CONNECT of 256 MiB: at the header"],
  ["10fdff03", 0x95, "CONNECT of 65,537 bytes: at the header"],
  ["10fcff03", 0, "CONNECT of 65,536 bytes: read on"],
  ["1080808080", 0x81, "a Remaining Length of five bytes"],
  ["10ffffffff", 0x81, "a Remaining Length of five bytes"],
  ["108000", 0x81, "a Remaining Length not in its shortest form"],
  ["00", 0x81, "type 0"],
  ["11", 0x81, "flags in CONNECT"],
  ["20", 0x82, "CONNACK from a client"],
  ["474554202f", 0x81, "an HTTP request"],
  ["1603010200", 0x81, "a TLS handshake"],
  ["10", 0, "CONNECT begun"],
  ["", 0, "nothing"]
]
for (const [digits, expected, name] of beginnings) {
  test(`${name}: 0x${expected.toString(16)}, in one piece and byte by byte`, () => {
    const whole = new PacketStream()
    const recorder = new Recorder()
    assert.equal(whole.feed(hex(digits), recorder), expected)
    const piecemeal = new PacketStream()
    let code = 0
    for (const byte of hex(digits)) if (code === 0) code = piecemeal.feed(Uint8Array.of(byte), recorder)
    assert.equal(code, expected)
    assert.deepEqual(recorder.packets, [])
    if (expected === 0) return
    assert.equal(whole.bufferedSize, 0)
    assert.equal(whole.feed(CONNECT, recorder), expected, "an ended stream takes nothing more")
    assert.equal(whole.resume(recorder), expected)
  })
}

test("the buffer grows with what came, never with what is declared", () => {
  const { stream, recorder } = begun(268_435_460)
  assert.equal(stream.feed(hex("30 ffffff7f 00"), recorder), 0)
  assert.ok(stream.bufferedSize <= 64)
  let came = 6
  for (let index = 0; index < 200; index++) {
    assert.equal(stream.feed(new Uint8Array(1_000), recorder), 0)
    came += 1_000
    assert.ok(stream.bufferedSize <= came * 2)
  }
  stream.clear()
  assert.equal(stream.bufferedSize, 0)
})

test("a buffer never outgrows its packet", () => {
  const { stream, recorder } = begun()
  const bytes = packetOf(0x30, new Uint8Array(1_000))
  assert.equal(stream.feed(bytes.slice(0, 900), recorder), 0)
  assert.equal(stream.bufferedSize, bytes.length)
  assert.equal(stream.feed(bytes.slice(900), recorder), 0)
  assert.equal(recorder.sources[0]?.length, bytes.length)
})

test("the Maximum Packet Size counts the header, in one piece and split", () => {
  for (const [length, expected] of [
    [98, 0],
    [99, 0x95]
  ] as const) {
    const bytes = packetOf(0x30, new Uint8Array(length))
    for (const cut of [0, 1, 2, 50]) {
      const { stream, recorder } = begun(100)
      const code = stream.feed(bytes.slice(0, cut), recorder) || stream.feed(bytes.slice(cut), recorder)
      assert.equal(code, expected, `${length} bytes, cut at ${cut}`)
    }
  }
})

test("a handler's Reason Code ends the stream, in the chunk and in a gathered packet", () => {
  for (const cut of [0, 1]) {
    const { stream, recorder } = begun()
    recorder.answer = () => 0x82
    const bytes = hex("c000 c000")
    if (cut > 0) assert.equal(stream.feed(bytes.slice(0, cut), recorder), 0)
    assert.equal(stream.feed(bytes.slice(cut), recorder), 0x82)
    assert.equal(recorder.packets.length, 1)
    assert.equal(stream.feed(hex("c000"), recorder), 0x82)
    assert.equal(recorder.packets.length, 1)
  }
})

test("a handler may clear the stream", () => {
  const { stream, recorder } = begun()
  recorder.answer = () => {
    stream.clear()
    return 0
  }
  assert.equal(stream.feed(hex("c000 c000 30"), recorder), CLEARED)
  assert.equal(recorder.packets.length, 1)
  assert.equal(stream.bufferedSize, 0)
})

test("what waits while paused is counted", () => {
  const { stream, recorder } = begun()
  recorder.answer = () => PAUSED
  assert.equal(stream.feed(hex("c000 c000 c0"), recorder), PAUSED)
  assert.equal(stream.bufferedSize, 3)
  assert.equal(stream.feed(hex("00 c000"), recorder), PAUSED)
  assert.equal(stream.bufferedSize, 6)
  assert.equal(stream.resume(recorder), PAUSED)
  assert.equal(stream.resume(recorder), PAUSED)
  recorder.answer = () => 0
  assert.equal(stream.resume(recorder), 0)
  assert.equal(recorder.packets.length, 4)
  assert.equal(stream.bufferedSize, 0)
})

test("a packet that is not taken comes again first, whole or gathered, and nothing behind it before", () => {
  fc.assert(
    fc.property(
      fc.array(packet, { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 })),
      (packets, sizes) => {
        const { stream, recorder } = begun()
        const bytes = joined(packets.map(([first, rest]) => packetOf(first, rest)))
        const taken: Array<string> = []
        // Every packet is offered twice.
        let isSecond = false
        recorder.answer = () => {
          isSecond = !isSecond
          if (isSecond) return NOT_TAKEN
          taken.push(recorder.packets.at(-1) ?? "")
          return 0
        }
        const settle = (code: number): void => {
          for (let next = code; next !== 0; next = stream.resume(recorder)) assert.equal(next, PAUSED)
        }
        let position = 0
        for (let index = 0; position < bytes.length; index++) {
          const next = Math.min(bytes.length, position + (sizes[index % Math.max(1, sizes.length)] ?? bytes.length))
          settle(stream.feed(bytes.slice(position, next), recorder))
          position = next
        }
        assert.deepEqual(
          taken,
          packets.map(([first, rest]) => `${first.toString(16)} ${hexOf(rest)}`)
        )
        assert.equal(recorder.packets.length, 2 * packets.length)
        assert.equal(stream.bufferedSize, 0)
      }
    )
  )
})

test("what comes while a packet waits to be offered again is kept behind it", () => {
  const { stream, recorder } = begun()
  recorder.answer = (count) => (count === 1 ? NOT_TAKEN : 0)
  assert.equal(stream.feed(hex("30 03 00 01 61 30 03 00"), recorder), PAUSED)
  assert.equal(stream.feed(hex("01 62"), recorder), PAUSED)
  assert.equal(recorder.packets.length, 1)
  assert.equal(stream.resume(recorder), 0)
  assert.deepEqual(recorder.packets, ["30 000161", "30 000161", "30 000162"])
  // A stream that ends meanwhile offers nothing again.
  recorder.answer = () => NOT_TAKEN
  assert.equal(stream.feed(hex("30 03 00 01 63"), recorder), PAUSED)
  stream.clear()
  assert.equal(stream.resume(recorder), CLEARED)
})
