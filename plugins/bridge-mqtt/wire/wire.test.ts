/** What goes to a remote and comes from it, byte by byte: an independent codec reads what is written; bytes of a stranger never throw. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { generate, type Packet, parser } from "mqtt-packet"
import { AcknowledgementView, decodeCodes, decodeConnack, decodeDisconnect, Malformed, shown } from "./answers.ts"
import { OutBuffer } from "./OutBuffer.ts"
import { FAULTY, FOUND, NEED_MORE, PacketReader } from "./PacketReader.ts"
import * as Type from "./packet-types.ts"
import { PublishView, writePublish } from "./publish.ts"
import {
  writeAcknowledgement,
  writeConnect,
  writeDisconnect,
  writePing,
  writeSubscribe,
  writeUnsubscribe
} from "./requests.ts"

const bytesOf = (hex: string): Uint8Array => Uint8Array.fromHex(hex.replaceAll(" ", ""))
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const OWN = text("0123456789ab")

function written(write: (out: OutBuffer) => void): Uint8Array {
  const out = new OutBuffer()
  write(out)
  return out.take()
}

/** What another codec reads in `bytes`. */
function read(bytes: Uint8Array, protocolVersion: 4 | 5): Array<Packet> {
  const found: Array<Packet> = []
  const stream = parser({ protocolVersion })
  stream.on("packet", (packet: Packet) => found.push(packet))
  stream.on("error", (error: Error) => assert.fail(error.message))
  stream.parse(Buffer.from(bytes))
  return found
}

test("CONNECT as another codec reads it, in both versions", () => {
  const connect = {
    isPrivate: false,
    clientIdentifier: "edge",
    cleanStart: false,
    keepAlive: 60,
    username: "user",
    password: "secret",
    sessionExpiryInterval: 604_800,
    receiveMaximum: 20,
    maximumPacketSize: 1_048_576
  }
  const [five] = read(
    written((out) => writeConnect(out, { ...connect, version: 5 })),
    5
  )
  assert.equal(five?.cmd, "connect")
  if (five?.cmd !== "connect") return
  assert.deepEqual(
    [five.clientId, five.clean, five.keepalive, five.username, String(five.password), five.protocolVersion],
    ["edge", false, 60, "user", "secret", 5]
  )
  assert.equal(five.properties?.sessionExpiryInterval, 604_800)
  assert.equal(five.properties?.receiveMaximum, 20)
  assert.equal(five.properties?.maximumPacketSize, 1_048_576)
  const [four] = read(
    written((out) => writeConnect(out, { ...connect, version: 4, cleanStart: true })),
    4
  )
  assert.ok(four?.cmd === "connect" && four.clean === true && four.protocolVersion === 4)
  // The bridge's bit of mosquitto: the protocol level is 0x84.
  assert.equal(written((out) => writeConnect(out, { ...connect, version: 4, isPrivate: true }))[8], 0x84)
})

test("SUBSCRIBE, UNSUBSCRIBE, acknowledgements, PINGREQ and DISCONNECT as another codec reads them", () => {
  const wishes = [
    { filter: "a/#", qos: 2, retainHandling: 1 },
    { filter: "+/b", qos: 0, retainHandling: 1 }
  ]
  const [five] = read(
    written((out) => writeSubscribe(out, 5, 65_535, wishes)),
    5
  )
  assert.ok(five?.cmd === "subscribe")
  assert.deepEqual(
    five.subscriptions.map(({ topic, qos, nl, rap, rh }) => [topic, qos, nl, rap, rh]),
    [
      ["a/#", 2, true, true, 1],
      ["+/b", 0, true, true, 1]
    ]
  )
  const [four] = read(
    written((out) => writeSubscribe(out, 4, 7, wishes)),
    4
  )
  assert.ok(four?.cmd === "subscribe" && four.messageId === 7 && four.subscriptions.length === 2)
  for (const version of [4, 5] as const) {
    const rest = written((out) => {
      writeUnsubscribe(out, version, 9, ["a/#"])
      writeAcknowledgement(out, version, Type.PUBACK, 1, 0x87)
      writeAcknowledgement(out, version, Type.PUBREL, 2)
      writePing(out)
      writeDisconnect(out)
    })
    const found = read(rest, version)
    assert.deepEqual(
      found.map(({ cmd }) => cmd),
      ["unsubscribe", "puback", "pubrel", "pingreq", "disconnect"]
    )
    assert.equal((found[1] as { reasonCode?: number }).reasonCode ?? 0, version === 5 ? 0x87 : 0)
  }
})

const properties = fc.record(
  {
    payloadFormatIndicator: fc.boolean(),
    messageExpiryInterval: fc.integer({ min: 0, max: 0xffffffff }),
    contentType: fc.string({ maxLength: 20 }),
    responseTopic: fc.constantFrom("r/a", "r"),
    correlationData: fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    subscriptionIdentifier: fc.integer({ min: 1, max: 1_000_000 }),
    topicAlias: fc.integer({ min: 1, max: 65_535 }),
    userProperties: fc.dictionary(
      fc.constantFrom("a", "b", "manifold-bridge"),
      fc.constantFrom("x", "0123456789ab", "y"),
      {
        minKeys: 1
      }
    )
  },
  { requiredKeys: [] }
)
const publishes = fc.record({
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  dup: fc.boolean(),
  retain: fc.boolean(),
  payload: fc.uint8Array({ maxLength: 300 }),
  messageId: fc.integer({ min: 1, max: 65_535 }),
  properties
})

test("a PUBLISH goes on as it was, under another name: all properties but those of one connection, and one note more", () =>
  fc.assert(
    fc.property(publishes, fc.constantFrom(4, 5), fc.constantFrom(4, 5), (publish, from, to) => {
      const [fromVersion, toVersion] = [from as 4 | 5, to as 4 | 5]
      const given = { ...publish, dup: publish.dup && publish.qos > 0, payload: Buffer.from(publish.payload) }
      const packet = { cmd: "publish" as const, topic: "from/a", ...given }
      const { properties: some, ...bare } = packet
      const bytes = new Uint8Array(
        generate(fromVersion === 5 ? { ...bare, properties: some } : bare, { protocolVersion: fromVersion })
      )
      const reader = new PacketReader(100_000)
      reader.push(bytes)
      assert.equal(reader.next(), FOUND)
      const view = new PublishView(OWN)
      assert.equal(view.scan(reader.bytes, reader.firstByte, reader.start, reader.end, fromVersion), "")
      const rewritten = { version: toVersion, topic: text("to/a"), qos: given.qos, retain: given.retain, hop: OWN }
      const out = written((buffer) => void writePublish(buffer, reader.bytes, view, rewritten))
      const [found] = read(out, toVersion)
      assert.ok(found?.cmd === "publish")
      assert.deepEqual(
        [found.topic, found.qos, found.dup, found.retain, Buffer.from(found.payload).toString("hex")],
        ["to/a", given.qos, given.dup, given.retain, given.payload.toString("hex")]
      )
      if (given.qos > 0) assert.equal(found.messageId, given.messageId)
      if (toVersion === 4) return
      const { subscriptionIdentifier: _, topicAlias: __, userProperties, ...kept } = fromVersion === 5 ? some : {}
      const { userProperties: notes, ...gone } = found.properties ?? {}
      assert.deepEqual(gone, kept)
      const before = { ...(userProperties as Record<string, string> | undefined) }
      const hasOwn = before["manifold-bridge"] === "0123456789ab"
      assert.equal(view.ownNotes > 0, hasOwn)
      const expected =
        before["manifold-bridge"] === undefined
          ? { ...before, "manifold-bridge": "0123456789ab" }
          : { ...before, "manifold-bridge": [before["manifold-bridge"], "0123456789ab"] }
      assert.deepEqual({ ...notes }, expected)
    }),
    { numRuns: 300 }
  ))

test("a stream in pieces of any size is the packets that were put in", () =>
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 400 }), { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 20 }),
      (payloads, sizes) => {
        const stream = written((out) => {
          for (const payload of payloads) out.packet(0x30, (body) => body.raw(payload))
        })
        const reader = new PacketReader(1_000)
        const found: Array<string> = []
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1
          reader.push(stream.slice(at, at + size))
          at += size
          while (reader.next() === FOUND) found.push(reader.bytes.slice(reader.start, reader.end).toHex())
        }
        assert.deepEqual(
          found,
          payloads.map((payload) => payload.toHex())
        )
      }
    )
  ))

test("what a stranger may not send ends the stream at its header", () => {
  for (const [hex, what] of [
    ["30 ff ff ff ff 01", "a length of five bytes"],
    ["40 e9 07", "a packet of more than is taken"],
    ["21 02 00 00", "flags"],
    ["60 02 00 01", "PUBREL without its flag"]
  ] as const) {
    const reader = new PacketReader(1_000)
    reader.push(bytesOf(hex))
    assert.equal(reader.next(), FAULTY, what)
    reader.push(bytesOf("20 02 00 00"))
    assert.equal(reader.next(), FAULTY, what)
  }
  const cut = new PacketReader(1_000)
  cut.push(bytesOf("30 05 00"))
  assert.equal(cut.next(), NEED_MORE)
})

test("of a PUBLISH that is too large the beginning is told, in pieces of any size, and the stream goes on behind it", () => {
  const large = written((out) =>
    out.packet(0x34, (body) => {
      body.string("a/b")
      body.uint16(513)
      body.raw(new Uint8Array(5_000))
    })
  )
  const stream = Uint8Array.of(...bytesOf("d0 00"), ...large, ...bytesOf("40 02 00 07"))
  for (const size of [1, 2, 7, 500, 6_000]) {
    const reader = new PacketReader(1_000)
    const found: Array<string> = []
    for (let at = 0; at < stream.length; at += size) {
      reader.push(stream.slice(at, at + size))
      while (reader.next() === FOUND) {
        found.push(
          `${reader.firstByte.toString(16)} ${reader.isCut} ${reader.bytes.slice(reader.start, reader.end).toHex()}`
        )
        if (!reader.isCut) continue
        const view = new PublishView(OWN)
        assert.equal(view.scanCut(reader.bytes, reader.firstByte, reader.start, reader.end), "")
        assert.deepEqual([view.qos, view.packetIdentifier], [2, 513])
      }
    }
    assert.deepEqual(found, ["d0 false ", "34 true 0003612f620201", "40 false 0007"], String(size))
  }
})

test("a PUBLISH that is none says why, and a CONNACK tells its limits", () => {
  const view = new PublishView(OWN)
  const faultOf = (hex: string, firstByte: number, version: 4 | 5): string => {
    const bytes = bytesOf(hex)
    return view.scan(bytes, firstByte, 0, bytes.length, version)
  }
  for (const [hex, firstByte, version] of [
    ["0001 61", 0x36, 4], // QoS 3
    ["0001 61", 0x38, 4], // DUP at QoS 0
    ["0003 61", 0x30, 4], // cut short
    ["0000", 0x30, 4], // no topic name
    ["0001 2b", 0x30, 4], // a wildcard
    ["0001 ff", 0x30, 4], // no UTF-8
    ["0001 61 00", 0x32, 4], // no packet identifier
    ["0001 61 0000", 0x32, 4], // packet identifier 0
    ["0001 61", 0x30, 5], // no properties
    ["0001 61 05 0100", 0x30, 5], // properties cut short
    ["0001 61 04 0100 0101", 0x30, 5], // a property twice
    ["0001 61 03 210014", 0x30, 5], // Receive Maximum
    ["0001 61 04 0300 02 61", 0x30, 5] // a string that does not end
  ] as const) {
    assert.notEqual(faultOf(hex, firstByte, version), "", hex)
  }
  const connack = decodeConnack(bytesOf("01 00 0c 21 0014 24 01 27 00010000 25 00"), 0, 15, 5)
  assert.ok(!(connack instanceof Malformed))
  assert.deepEqual(
    [
      connack.sessionPresent,
      connack.receiveMaximum,
      connack.maximumQos,
      connack.maximumPacketSize,
      connack.retainAvailable
    ],
    [true, 20, 1, 65_536, false]
  )
  for (const hex of ["", "00", "02 00", "00 00 03 21 0000", "00 00 05 21 0014", "00 00 03 0b 01 01"]) {
    const bytes = bytesOf(hex)
    assert.ok(decodeConnack(bytes, 0, bytes.length, 5) instanceof Malformed, hex)
  }
})

test("any bytes give a packet or a refusal, never a throw", () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 0x30, max: 0x3f }), (bytes, firstByte) => {
      const { length } = bytes
      for (const version of [4, 5] as const) {
        new PublishView(OWN).scan(bytes, firstByte, 0, length, version)
        decodeConnack(bytes, 0, length, version)
        decodeCodes(bytes, 0, length, version, Type.SUBACK)
        for (const type of [4, 5, 6, 7]) new AcknowledgementView().scan(bytes, 0, length, version, type)
      }
      decodeDisconnect(bytes, 0, length)
      const reader = new PacketReader(100)
      reader.push(bytes)
      while (reader.next() === FOUND);
    }),
    { numRuns: 2_000 }
  ))

test("words of a stranger are one line of bounded length", () => {
  assert.equal(shown("a\nb\u001b[31mc"), "a b [31mc")
  assert.equal(shown("x".repeat(1_000)).length, 200)
})
